"""The dialogue of a rollout, token for token that of a run: how TRL's conversations are rendered and read.

TRL puts a tool's image into the tool message; the agent shows it in the user message after it (`models/chat.py`). So
the template here renders it there. Replies are read by the agent's own strict reader: what that calls no call is text.
Left out: dialects other than Hermes.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from zoomagent.models.words.hermes import parse_calls
from zoomagent.models.words.qwen_chat import CHAT_TEMPLATE

_PLAIN = CHAT_TEMPLATE[
    CHAT_TEMPLATE.index("{%- elif message.role == 'tool' -%}") : CHAT_TEMPLATE.rindex("{%- endif -%}\n{%- endfor -%}")
]
_SHOWN = """\
{%- elif message.role == 'tool' -%}
{%- if loop.first or messages[loop.index0 - 1].role != 'tool' -%}\
{%- set views.waiting = 0 -%}{{ '<|im_start|>user' }}{%- endif -%}
{{- '\\n<tool_response>\\n' -}}
{%- if message.content is string -%}{{ message.content }}{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'image' -%}{%- set views.waiting = views.waiting + 1 -%}
{%- elif 'text' in part -%}{{ part.text }}{%- endif -%}
{%- endfor -%}{%- endif -%}
{{- '\\n</tool_response>' -}}
{%- if loop.last or messages[loop.index0 + 1].role != 'tool' -%}{{ '<|im_end|>\\n' }}
{%- if views.waiting -%}
{{- '<|im_start|>user\\n' + '<|vision_start|><|image_pad|><|vision_end|>' * views.waiting + '<|im_end|>\\n' -}}
{%- endif -%}{%- endif -%}
"""
ROLLOUT_TEMPLATE = "{%- set views = namespace(waiting=0) -%}\n" + CHAT_TEMPLATE.replace(_PLAIN, _SHOWN)


def prepare(processor: Any) -> Any:
    """Make a processor render and read rollouts; returns it. What is exported keeps the checkpoint's own template."""
    tokenizer = processor.tokenizer

    def parse_response(ids: Any, schema: Any = None, *, prefix: Any = None, tools: Any = None) -> dict[str, Any]:
        return read_reply(tokenizer.decode(ids, skip_special_tokens=True))

    processor.chat_template = ROLLOUT_TEMPLATE
    tokenizer.response_template = {"read_by": __name__}
    tokenizer.parse_response = parse_response
    return processor


def read_reply(text: str) -> dict[str, Any]:
    """A reply as a message: its calls with arguments as objects, or its words."""
    words, calls = parse_calls(text)
    message: dict[str, Any] = {"role": "assistant", "content": words}
    if calls:
        message["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": orjson.loads(call.arguments)}}
            for call in calls
        ]
    return message


def last_words(completion: Sequence[dict[str, Any]]) -> str | None:
    """What a rollout's last turn says; None where it ends with a call, or with nothing."""
    last = completion[-1] if completion else {}
    if last.get("role") != "assistant" or last.get("tool_calls"):
        return None
    return str(last["content"])
