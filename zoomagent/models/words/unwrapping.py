"""A reply without what models wrap an answer in: the one place that takes it off, before anything reads the words.

    without_thoughts("<think>red?</think>B")         # "B"; a thought that never ends is no answer: ""
    unwrapped("Let me see.\\n**Final answer:** \\\\boxed{B}")   # "B"
    is_call('<tool_call>{"name": …')                  # True: markup is never an answer

Thoughts and end tokens go first, then answer tags, boxes of LaTeX, code fences, `{"answer": …}`, Markdown, and the
words that announce an answer (`phrases.py`). Where several answers are wrapped and differ, all of them stay, so that
whoever reads sees two. Linear in the text, and announcements are looked for near its end only. Left out: what the words
mean (`confidence/replies.py`), and running calls (`calls.py`).
"""

import re
import unicodedata

import orjson

from zoomagent.models.words.phrases import ANNOUNCE, ANNOUNCE_FINAL, CORRECTS

MAX_TEXT = 64 * 1024
"""Characters of a reply that are looked at (ours)."""
NEAR = 8 * 1024
"""Characters at its end in which an answer is announced. What is longer, with its wrapping off, is no answer (ours)."""
MOST_NAMES = 2000
"""Names of a list that are read (ours)."""

_NAMES = "think|thinking|thoughts?|reasoning|reflection|scratchpad|seed:think"
_THOUGHT = re.compile(
    rf"(?P<close></(?:{_NAMES})>|◁/think▷|\[/THINK\]|<\|channel\|>\s?final\s?(?:<\|constrain\|>\w*)?<\|message\|>|<unused95>)"
    rf"|(?P<open><(?:{_NAMES})>|◁think▷|\[THINK\]|<\|channel\|>\s?(?:analysis|commentary)\s?<\|message\|>|<unused94>)",
    re.IGNORECASE,
)
_ENDS = (
    *(
        "<|im_end|>",
        "<|endoftext|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|end|>",
        "<|return|>",
        "<|end_of_text|>",
        "<|user|>",
    ),
    *("<|observation|>", "</s>", "<eos>", "<end_of_turn>", "<\uff5cend\u2581of\u2581sentence\uff5c>", "<|im_start|>"),
    "<|im_start|>assistant",
)
_BEGIN = re.compile(r"^(?:\s|<\|im_start\|>(?:assistant)?|<\|start\|>assistant|<bos>|<s>)+")

_TAG = "answer|final_answer|final|response|choice"
_TAGGED = re.compile(rf"<({_TAG})>(.*?)(?:</\1>|$)|<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|$)", re.DOTALL | re.I)
_LATEX_BOX = re.compile(r"\\f?boxed\s?\{")
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|mathbf|mathrm|boldsymbol|mbox)\{([^{}]*)\}")
_MATH = re.compile(r"\$\$?([^$]{1,200})\$\$?|\\\((.{1,200})\\\)|\\\[(.{1,200})\\\]", re.DOTALL)
_FENCE = re.compile(r"```(?!tool_)\w{0,16}\s*+((?:[^`]++|`(?!``))*+)```")
_ANSWER_KEYS = ("answer", "final_answer", "result", "choice", "option", "response")

_BOLD = re.compile(
    r"(\*\*\*|\*\*)(?=\S)([^*\n]{1,2000})(?<=\S)\1|(?<!\w)__(?=[^\W_])([^_\n]{1,2000})(?<=\S)__(?![\w(])"
)
_ITALIC = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]{1,500})(?<=\S)\*(?![\w*])|(?<!\w)_(?=\S)([^_\n]{1,500})(?<=\S)_(?!\w)")
_CODE = re.compile(r"(?<!`)`([^`\n]{1,500})`(?!`)")
_LINE_MARK = re.compile(r"^[ \t]{0,8}(?:#{1,6}\s|>\s?|[-*+\u2022\u2023\u25cf]\s(?!\d))[ \t]{0,8}", re.MULTILINE)
_BETWEEN = re.compile(r"[,;\n，、；،؛]")
_NUMBERED = re.compile(r"^\s{0,4}(?:\(?\d{1,3}[.):、．]\s?(?!\d)|[-*\u2022\u2023\u25cf]\s)")
_AND = re.compile(r"^(?:and|und|et|y|e|和|及|と)\s", re.IGNORECASE)
_QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb", "\u300c": "\u300d"}

_ANNOUNCED = re.compile(
    rf"(?:^|(?<=[\n.!?;,:。！？，]))\s{{0,4}}+(?:(?P<final>{ANNOUNCE_FINAL})|{'|'.join(ANNOUNCE)})\s{{0,4}}",
    re.IGNORECASE,
)
_CORRECTS = re.compile(CORRECTS, re.IGNORECASE)
_CALL = re.compile(
    r"</?tool_calls?\b|</?tool_response>|</?function_calls?>|<function=|</function>|<parameter=|</?invoke\b|</?arg_(?:key|value)>"
    r"|\[/?TOOL_CALLS\]|\[ARGS\]|<\|python_(?:tag|start|end)\|>|<grounding>|</?(?:start|end)_function_call>|```tool_(?:code|call)"
    r'|\{\s{0,8}"(?:type"\s{0,4}:\s{0,4}"function"\s{0,4},\s{0,8}")?(?:name|tool_name|function)"\s{0,4}:\s{0,4}(?:"[\w./:-]{1,80}"\s{0,4},\s{0,8}'
    r'"(?:arguments|parameters|args|type)"|\{\s{0,8}"name")|\bimage_[a-z_]{2,20}_tool["\']?\s{0,4}[({\[:,]'
    r"|<[|\uff5c][\w\u2581/]{1,40}[|\uff5c]?>?"
    r"|(?:^|\n)\s{0,4}Action:\s{0,4}[\w.-]{1,80}\s{0,8}\n\s{0,4}Action[ _]Input:"
)
_TAGS_ONLY = re.compile(r"(?:\s|<[^<>]{1,200}>|\[\s?\]|\{\s?\}|`)+")


def without_thoughts(text: str) -> str:
    """The words outside thoughts. A closing tag alone ends a thought that the server's template opened; what follows an
    opening tag that is never closed is thought, too."""
    kept: list[str] = []
    position, inside = 0, False
    for tag in _THOUGHT.finditer(text[:MAX_TEXT]):
        if tag["open"] and not inside:
            kept.append(text[position : tag.start()])
        if tag["close"] and not inside:
            kept.clear()
        inside, position = bool(tag["open"]), tag.end()
    if not inside:
        kept.append(text[position:])
    if position == 0:
        return text
    return "".join(kept).strip()


def ends_in_thought(text: str) -> bool:
    """Whether the reply ended before a thought did."""
    tags = [bool(tag["open"]) for tag in _THOUGHT.finditer(text[:MAX_TEXT])]
    return bool(tags) and tags[-1]


def dialogue_turn(text: str) -> str:
    """The reply as it goes on in a dialogue: without thoughts, and without the tokens that end a turn."""
    words = without_thoughts(text)
    end = len(words.rstrip())
    while token := next((token for token in _ENDS if words.endswith(token, 0, end)), ""):
        end -= len(token)
        while end and words[end - 1].isspace():
            end -= 1
    return _BEGIN.sub("", words[:end])


def unwrapped(text: str) -> str:
    """The answer inside a reply, as bare words."""
    words = dialogue_turn(text[:MAX_TEXT])
    for _ in range(6):
        bare = _open_tags(words)
        fence = _FENCE.fullmatch(bare.strip())
        bare = _strip_decoration(_cut_announcement(_open_json(fence[1].strip() if fence else bare))).strip()
        if bare == words or len(bare) > NEAR:
            return bare
        words = bare
    return words


def is_call(text: str) -> bool:
    """Whether the reply is a tool call, a piece of one, or nothing but markup. Such a text answers nothing."""
    words = dialogue_turn(text[:MAX_TEXT])
    if _CALL.search(_TAGGED.sub("", words)) or any(_CALL.search(inner) for inner in _bodies(words)):
        return True
    return bool(words) and _TAGS_ONLY.fullmatch(words) is not None


def listed(text: str) -> list[str]:
    """The names in a list, each once: separated by commas of any script or by lines, numbered or not, or as JSON."""
    words = unwrapped(text)
    try:
        value = orjson.loads(words) if words[:1] == "[" else None
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, list):
        named = [item.get("label") or item.get("name") if isinstance(item, dict) else item for item in value]
        pieces = [item for item in named if isinstance(item, str)]
    else:
        pieces = _BETWEEN.split(words.strip("[]"), MOST_NAMES)
    names: dict[str, None] = {}
    for piece in pieces[:MOST_NAMES]:
        bare = _strip_decoration(_NUMBERED.sub("", " ".join(piece.split()), count=1))
        names[_AND.sub("", bare).strip(" .。\"'“”")] = None
    return [name for name in names if name]


def _bodies(text: str) -> list[str]:
    return [match[2] if match[2] is not None else match[3] for match in _TAGGED.finditer(text)]


def _open_tags(text: str) -> str:
    """What stands in answer tags or LaTeX boxes; several that differ stay together."""
    found = [body.strip() for body in _bodies(text)]
    if not found:
        found, rest = _read_latex_boxes(text)
        if found and (said := _cut_announcement(rest)) != rest:  # the box is a formula on the way to the answer
            return said
    found = [body for body in dict.fromkeys(found) if body]
    if found:
        return "\n".join(found)
    bare = _LATEX_TEXT.sub(r"\1", text)
    whole = _MATH.fullmatch(bare.strip().rstrip("."))
    return next(group for group in whole.groups() if group is not None) if whole else bare


def _read_latex_boxes(text: str) -> tuple[list[str], str]:
    """The contents of every `\\boxed{…}`, braces inside it counted, and the text after the last."""
    found, rest = [], ""
    for start in list(_LATEX_BOX.finditer(text))[:16]:
        depth = 1
        for end in range(start.end(), min(len(text), start.end() + 2000)):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            if depth == 0:
                found.append(text[start.end() : end].strip())
                rest = text[end + 1 :]
                break
    return found, rest


def _open_json(text: str) -> str:
    """The value of a JSON object that holds one answer."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    given = [value[key] for key in _ANSWER_KEYS if key in value]
    if len(given) != 1 or isinstance(given[0], bool) or not isinstance(given[0], str | int | float):
        return text
    return str(given[0])


def _strip_decoration(text: str) -> str:
    """Without Markdown, and without the quotation marks around the whole."""
    if text.lstrip()[:1] in ("{", "["):
        return text
    bare = _LINE_MARK.sub("", text)
    for pattern in (_BOLD, _ITALIC, _CODE):
        bare = pattern.sub(_last_group, bare)
    bare = bare.strip()
    end = _QUOTES.get(bare[:1])
    inner = bare[1:-1]
    return inner if end and len(bare) > 2 and bare[-1] == end and end not in inner and bare[0] not in inner else bare


def _last_group(match: re.Match[str]) -> str:
    return next(group for group in reversed(match.groups()) if group is not None)


def _cut_announcement(text: str) -> str:
    """What follows the words that announce an answer, up to the end of its line. A final answer goes before others;
    several that differ are left as they are."""
    near = text if len(text) <= NEAR else "…" + text[-NEAR:]  # where it is cut, no line begins
    bare = _BOLD.sub(_last_group, near)
    cues = list(_ANNOUNCED.finditer(bare))[:64]
    cues = [cue for cue in cues if cue["final"]] or cues
    # What announces nothing but the next announcement is left out: "Antwort:\n\nAntwort: C".
    next_cues = [*cues[1:], None]
    cues = [
        cue
        for cue, following in zip(cues, next_cues, strict=False)
        if following is None or bare[cue.end() : following.start()].strip()
    ]
    for at in range(len(cues) - 1, 0, -1):
        # Here the model takes back what it said before.
        if _CORRECTS.search(bare, cues[at - 1].end(), cues[at].start()):
            cues = cues[at:]
            break
    tails = []
    for cue in cues:
        line = bare[cue.end() :].lstrip().split("\n", 1)[0].strip()
        sentence = line.rstrip(".\u3002\uff0e")
        tail = line if re.search(r"[.\u3002]\s", sentence) else sentence
        if any(unicodedata.category(mark)[0] in "LNS" for mark in tail):
            tails.append(tail)
    if not tails or len({tail.casefold() for tail in tails}) > 1:
        return text
    return tails[0]
