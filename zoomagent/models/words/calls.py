"""Tool calls that a server left in a reply's text, in any spelling that models write.

    words, calls = find_calls("I look.\\n<function=zoom>\\n<parameter=x>\\n1\\n</parameter>\\n</function>")

Hermes and its slips (`parameters` for `arguments`, arguments as text, a closing tag that is missing, a brace too many),
Qwen3.5's XML, GLM, Mistral and Pixtral, Llama 3 and 4, Gemma, DeepSeek, Kimi, Phi and InternLM, gpt-oss, ReAct. Whole
calls only: JSON is read strictly, nothing is completed and nothing is evaluated; a call that is cut short is none.
Linear in the text. Left out: the strict Hermes reader that training goes by (`hermes.py`), Mini-o3 and P2R
(`dialects.py`), and whether the arguments fit a tool.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import orjson

from zoomagent.models.base import ToolCall
from zoomagent.models.words.strict_json import MAX_TEXT, json_texts, strict_json, strict_object

MAX_CALLS = 16
"""Calls of one reply that are read (ours)."""

Found = tuple[int, str, dict[str, Any]]
"""Where a call begins, its tool, and its arguments."""

_NAME = r"(?:functions\.|default_api\.)?([A-Za-z_][\w.-]{0,79})"
# Qwen3-Coder leaves out closing tags inside a call that it closes: what is closed in the end was not cut short.
_FUNCTION = re.compile(
    rf"<function={_NAME}>((?:[^<]++|<(?!/function>|/tool_call>|function=))*+)(?:</function>|</tool_call>)"
)
_PARAMETER = re.compile(r"<parameter=([\w-]{1,80})>((?:[^<]++|<(?!/?parameter))*+)")
_INVOKE = re.compile(rf'<invoke name="{_NAME}">((?:[^<]++|<(?!/?invoke))*+)</invoke>')
_NAMED_PARAMETER = re.compile(r'<parameter name="([\w-]{1,80})"[^<>]{0,40}>((?:[^<]++|<(?!/?parameter))*+)</parameter>')
_GLM = re.compile(rf"<tool_call>\s{{0,8}}{_NAME}\s{{0,8}}(<arg_key>(?:[^<]++|<(?!/?tool_call>))*+)(?:</tool_call>|$)")
_GLM_ARGUMENT = re.compile(r"<arg_key>([^<]{1,80})</arg_key>\s{0,8}<arg_value>((?:[^<]++|<(?!/?arg_))*+)</arg_value>")
_TOKENED = re.compile(
    rf"(?:<[|｜]tool[▁_]call[▁_]begin[|｜]>(?:function<[|｜]tool[▁_]sep[|｜]>)?|\[TOOL_CALLS\]|to=|Action:\s{{0,4}})"
    rf"{_NAME}(?::\d{{1,4}})?\s{{0,4}}"
    r"(?:<[|｜]tool[▁_](?:sep|call[▁_]argument[▁_]begin)[|｜]>|\[CALL_ID\]\w{1,40})?(?:\[ARGS\]"
    r"|(?:<\|constrain\|>)?(?:json)?\s{0,4}<\|message\|>|Action[ _]Input:)?\s{0,4}(?:```json)?\s{0,4}(?=\{)"
)
_GEMMA = re.compile(rf"<start_function_call>call:{_NAME}\{{([^{{}}]*+)\}}<end_function_call>")
_GEMMA_ARGUMENT = re.compile(
    r"([\w-]{1,80}):(?:<escape>((?:[^<]++|<(?!escape>))*+)<escape>|(\[[^\[\]]*+\]|[^,\[\]<>]++))"
)
_PYTHON = re.compile(rf"(?:(?<=[\[\s,(])|^){_NAME}\(")
_PYTHON_ARGUMENT = re.compile(
    r"\s{0,8}([A-Za-z_]\w{0,79})\s{0,4}=\s{0,4}(\"(?:[^\"\\]++|\\.)*+\"|'(?:[^'\\]++|\\.)*+'|\[[^\[\]]*+\]|[^,()\[\]\"']++)\s{0,8}(,|\))",
    re.DOTALL,
)
_OURS = re.compile(r"image_[a-z_]{2,20}_tool")
_MARKS = re.compile(
    r"(?:\s|<\|?/?tool_calls?\|?>|<tool_call>|\[TOOL_CALLS\]|<\|python_(?:tag|start)\|>|```\w{0,16}|<function_calls?>|\[|\("
    r"|<\|\w{1,20}\|>|commentary|<[|｜]tool[▁_]calls?[▁_](?:section[▁_])?begin[|｜]>|print)+$"
)
_QUOTED = re.compile(r'(?:^|<tool_call>)\s{0,8}("\{(?:[^"\\]++|\\.)*+")', re.DOTALL)
_ARGUMENTS = ("arguments", "parameters", "args", "input")


def find_calls(text: str, first_id: int = 0) -> tuple[str, tuple[ToolCall, ...]]:
    """The words before the first call, and the calls; the text as it is where there is none."""
    if len(text) > MAX_TEXT:
        return text, ()
    for spelling in (_function_tags, _invoke_tags, _glm_calls, _token_calls, _gemma_calls, _python_calls, _json_calls):
        found = list(islice(spelling(text), MAX_CALLS))
        if found:
            calls = (
                ToolCall(f"call_{first_id + i}", name, orjson.dumps(arguments).decode())
                for i, (_, name, arguments) in enumerate(found)
            )
            return _MARKS.sub("", text[: found[0][0]]).strip(), tuple(calls)
    return text, ()


def _function_tags(text: str) -> Iterator[Found]:
    """Qwen3.5 and later: `<function=name><parameter=key>value</parameter></function>`; Llama 3.1: JSON inside."""
    for match in _FUNCTION.finditer(text):
        written = {key: _value(key, value) for key, value in _PARAMETER.findall(match[2])}
        arguments = written or (strict_object(match[2].strip()) if match[2].strip() else {})
        if arguments is not None:
            yield match.start(), match[1], arguments


def _invoke_tags(text: str) -> Iterator[Found]:
    """`<invoke name="…"><parameter name="…">value</parameter></invoke>`."""
    for match in _INVOKE.finditer(text):
        yield match.start(), match[1], {key: _value(key, value) for key, value in _NAMED_PARAMETER.findall(match[2])}


def _glm_calls(text: str) -> Iterator[Found]:
    """`<tool_call>name<arg_key>key</arg_key><arg_value>value</arg_value></tool_call>`."""
    for match in _GLM.finditer(text):
        yield (
            match.start(),
            match[1],
            {key.strip(): _value(key, value) for key, value in _GLM_ARGUMENT.findall(match[2])},
        )


def _token_calls(text: str) -> Iterator[Found]:
    """A name and a JSON object between special tokens: Mistral, DeepSeek, Kimi, gpt-oss, ReAct."""
    for match in islice(_TOKENED.finditer(text), 2 * MAX_CALLS):
        written = next(json_texts(text[match.end() :]), "")
        arguments = strict_object(written)
        if arguments is not None and text.startswith(written, match.end()):
            yield match.start(), match[1], arguments


def _gemma_calls(text: str) -> Iterator[Found]:
    """FunctionGemma: `<start_function_call>call:name{key:<escape>value<escape>}<end_function_call>`."""
    for match in _GEMMA.finditer(text):
        written = _GEMMA_ARGUMENT.findall(match[2])
        yield match.start(), match[1], {key: escaped or _value(key, bare) for key, escaped, bare in written}


def _python_calls(text: str) -> Iterator[Found]:
    """Gemma 3 and Llama 4: `name(key=value, …)`, for our own tools or in a block of tool code."""
    in_block = "```tool_code" in text or "<|python_start|>" in text
    for match in _PYTHON.finditer(text):
        if not in_block and not _OURS.fullmatch(match[1]):
            continue
        arguments: dict[str, Any] = {}
        position, closed = match.end(), text.startswith(")", match.end())
        while not closed and (argument := _PYTHON_ARGUMENT.match(text, position)):
            key, written = argument[1], argument[2].strip()
            if written[:1] in ("'", '"'):
                arguments[key] = written[1:-1].replace("\\'", "'").replace('\\"', '"')
            else:
                arguments[key] = _value(key, written.replace("'", '"'))
            position, closed = argument.end(), argument[3] == ")"
        if closed:
            yield match.start(), match[1], arguments


def _json_calls(text: str) -> Iterator[Found]:
    """JSON of a name and arguments, alone, in a list, or one inside the other's key `function`; as text, too."""
    places: set[int] = set()
    for written in json_texts(text):
        at = text.find(written)
        if at in places:  # in its code fence it was read already
            continue
        places.add(at)
        for call in _of_json(strict_json(written), 5):
            yield at, *call
    for quoted in islice(_QUOTED.finditer(text), MAX_CALLS):
        inner = strict_json(quoted[1])
        for call in _of_json(strict_json(inner) if isinstance(inner, str) else None, 5):
            yield quoted.start(), *call


def _of_json(value: Any, depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, list) and depth:
        for item in value[:MAX_CALLS]:
            yield from _of_json(item, depth - 1)
    if not isinstance(value, dict) or not depth:
        return
    for key in ("function", "tool_calls", "tool_call"):
        if isinstance(value.get(key), dict | list):
            yield from _of_json(value[key], depth - 1)
            return
    named = [value[key] for key in ("name", "tool_name", "function", "tool") if isinstance(value.get(key), str)]
    given = [value[key] for key in _ARGUMENTS if key in value]
    if len(named) != 1 or len(given) != 1 or not re.fullmatch(_NAME, named[0]):
        return
    arguments = strict_object(given[0]) if isinstance(given[0], str) else given[0]
    if isinstance(arguments, dict):
        yield named[0].removeprefix("functions.").removeprefix("default_api."), arguments


def _value(key: str, written: str) -> Any:
    """A value written as bare text: JSON where it is a list, an object or a number; a label stays text."""
    bare = written.strip()
    value = None if key.strip() == "label" else strict_json(bare)
    return bare if value is None or isinstance(value, str) else value
