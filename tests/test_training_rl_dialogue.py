"""A rollout is, token for token, what a run of the agent shows the same model."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from rl_world import pointing, row, write_scene
from zoom_world import ALSO, NEAR

from zoomagent.models.base import Message, Text, ToolCall
from zoomagent.models.loading import load_model
from zoomagent.models.local.in_process import InProcessModel
from zoomagent.tools.definitions import ZOOM_IN
from zoomagent.training.rl.dialogue import last_words, prepare, read_reply
from zoomagent.training.rl.environment import EnvConfig, ZoomEnv
from zoomagent.training.rl.rollout import message, pixels
from zoomagent.training.sft.processing import load_processor

CALL = '<tool_call>\n{"name": "look", "arguments": {"at":[1,2]}}\n</tool_call>'


@pytest.fixture(scope="module")
def nano() -> InProcessModel:
    model = load_model("nano")
    assert isinstance(model, InProcessModel)
    return model


@pytest.fixture(scope="module")
def processor() -> Any:
    return prepare(load_processor("nano"))


@pytest.mark.parametrize("calls", [[[NEAR]], [[NEAR, ALSO]], [[NEAR], [ALSO]]])
def test_the_tokens_are_those_of_a_run(nano: InProcessModel, processor: Any, tmp_path: Path, calls: list[Any]) -> None:
    env = ZoomEnv(EnvConfig(nano.profile, write_scene(tmp_path)))
    told = env.reset(row())
    run = [message(one) for one in told]
    for turn, items in enumerate(calls):
        made = [ToolCall(f"{turn}-{i}", ZOOM_IN, orjson.dumps(pointing(item)).decode()) for i, item in enumerate(items)]
        run.append(Message("assistant", (), tuple(made)))
        spoken = [{"type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in made]
        told.append({"role": "assistant", "content": [], "tool_calls": spoken})
        for call in made:
            seen = env.call(call.name, call.arguments, turn)
            assert seen.ok
            run.append(Message("tool", (*map(pixels, seen.images), Text(seen.text)), tool_call_id=call.id))
            images = [{"type": "image", "image": image} for image in seen.images]
            told.append({"role": "tool", "content": [{"type": "text", "text": seen.text}, *images]})
    tools = env.config.definitions()
    wanted = nano.encode(run, tools)
    given = processor.apply_chat_template(
        told, tools=tools, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    assert given["input_ids"][0].tolist() == wanted.ids[0].tolist()
    assert given["image_grid_thw"].tolist() == [list(view.grid) for view in wanted.views]


@pytest.mark.parametrize(
    ("text", "words", "calls"),
    [
        ("47", "47", 0),
        (CALL, "", 1),
        (f"I look.\n{CALL}\n{CALL}", "I look.", 2),
        (CALL[:-4], CALL[:-4], 0),
        ('<tool_call>{"name": "look"}</tool_call>', '<tool_call>{"name": "look"}</tool_call>', 0),
        ('<tool_call>{"name": "look", "arguments": "x"}</tool_call>', None, 0),
    ],
)
def test_replies_are_read_as_strictly_as_in_a_run(text: str, words: str | None, calls: int) -> None:
    read = read_reply(text)
    assert len(read.get("tool_calls", [])) == calls
    assert read["content"] == (text if words is None else words)


def test_a_rollout_that_ends_in_a_call_has_said_nothing() -> None:
    assert last_words([read_reply(CALL)]) is None
    assert last_words([read_reply(CALL), {"role": "tool", "content": "x"}]) is None
    assert last_words([read_reply(CALL), read_reply("47")]) == "47"
    assert last_words([]) is None


def test_replies_are_parsed_by_our_reader_whatever_trl_asks(processor: Any) -> None:
    from trl.chat_template_utils import is_chat_template_prefix_preserving, parse_response, supports_tool_calling

    ids = processor.tokenizer.encode(CALL + "<|im_end|>")
    read = parse_response(processor.tokenizer, ids, prefix=[1], tools=[])
    assert read["tool_calls"][0]["function"] == {"name": "look", "arguments": {"at": [1, 2]}}
    assert supports_tool_calling(processor) and is_chat_template_prefix_preserving(processor)
