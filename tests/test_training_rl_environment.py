"""ZoomEnv shows a model what a run of the agent would show it, in the same words, and can be stored half way."""

import asyncio
import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_model import Call, FakeModel
from rl_world import pointing, row, write_scene
from zoom_world import ALSO, FAR, NEAR, PROFILE, READ_NEAR, pixels_of, run

from zoomagent.errors import InputRefused, SettingInvalid
from zoomagent.geometry import Box
from zoomagent.models.base import Pixels, Reply, Text, ToolCall
from zoomagent.tools.definitions import SEARCH, VERIFY, ZOOM_IN, ZOOM_OUT
from zoomagent.tools.progress import PER_RUN, TOO_CLOSE, WORDS
from zoomagent.tools.viewing import size_of
from zoomagent.training.rl.environment import EnvConfig, ZoomEnv
from zoomagent.training.rl.rewards import RewardConfig

TOOLS = (ZOOM_IN, ZOOM_OUT, SEARCH, VERIFY)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene"))


def make(images: Path, **changes: Any) -> ZoomEnv:
    return ZoomEnv(EnvConfig(PROFILE, images, TOOLS, **changes))


def test_prompt_tools_results_and_refusals_are_those_of_a_run(images: Path) -> None:
    """The graph and the environment are given the same calls, right and wrong; every word and pixel is compared."""
    calls = [
        pointing(NEAR),
        pointing(NEAR),
        {"bbox_2d": [100, 100, 900, 900], "label": "middle", "img_idx": 1},
        {"bbox_2d": [9, 9, 5, 5], "label": "reversed", "img_idx": 0},
        {"bbox_2d": [0, 0, 1, 1], "label": "no such image", "img_idx": 7},
        {"label": "no box", "img_idx": 0},
    ]
    replies = iter(calls)
    history: list[Call] = []

    def respond(call: Call) -> Any:
        history.append(call)
        arguments = next(replies, None) if call.options.get("tools") else None
        if arguments is None:
            return NEAR.text
        return Reply("", "tool_calls", tool_calls=(ToolCall("x", ZOOM_IN, json.dumps(arguments)),))

    profile = replace(PROFILE, tools=TOOLS)
    run(FakeModel(profile=profile, logprob=None, respond=respond), READ_NEAR, strategy="tools", rule="micro")
    told = max((call for call in history if call.options.get("tools")), key=lambda call: len(call.messages))
    env = ZoomEnv(EnvConfig(profile, images))
    [opening] = env.reset(row(NEAR))
    results = [env.call(ZOOM_IN, arguments) for arguments in calls]
    assert list(told.options["tools"]) == env.config.definitions()
    assert _flat(told.messages[0].parts) == _opening(opening)
    in_run = [_flat(message.parts) for message in told.messages if message.role == "tool"]
    assert len(in_run) == len(calls)
    assert in_run == [([seen.text], [image.tobytes() for image in seen.images]) for seen in results]
    assert [seen.ok for seen in results] == [True, False, True, False, False, False]


def _flat(parts: Any) -> tuple[list[str], list[bytes]]:
    texts = [part.text for part in parts if isinstance(part, Text)]
    return texts, [part.image.tobytes() for part in parts if isinstance(part, Pixels)]


def _opening(message: dict[str, Any]) -> tuple[list[str], list[bytes]]:
    texts = [part["text"] for part in message["content"] if part["type"] == "text"]
    return texts, [part["image"].tobytes() for part in message["content"] if part["type"] == "image"]


def test_too_deep_too_often_and_the_same_again_are_told_in_the_words_of_a_run(images: Path) -> None:
    env = make(images, depth=1)
    env.reset(row())
    assert env.call(ZOOM_IN, pointing(NEAR)).ok
    assert env.call(ZOOM_IN, pointing(NEAR)).text == WORDS["same"]
    assert env.call(ZOOM_IN, {"bbox_2d": [1, 1, 900, 900], "label": "", "img_idx": 1}).text == TOO_CLOSE
    corners = [[x, y, x + 150, y + 150] for x in range(0, 800, 200) for y in range(0, 800, 200)]
    told = [env.call(ZOOM_IN, {"bbox_2d": box, "label": "", "img_idx": 0}).text for box in corners]
    assert told.count(WORDS["run_full"]) == len(corners) - (PER_RUN - 1)


def test_resolution_holds_the_whole_back_and_never_a_crop(images: Path) -> None:
    full, gap = make(images), make(images)
    [a], [b] = full.reset(row()), gap.reset(row(resolution=48 * 48))
    assert a["content"][0]["image"].size == (128, 128) and b["content"][0]["image"].size == (48, 48)
    crops = [env.call(ZOOM_IN, pointing(NEAR)).images[0] for env in (full, gap)]
    assert crops[0].size == (80, 80) and crops[0].tobytes() == crops[1].tobytes()


def test_zooming_out_of_a_crop_never_opens_the_gap(images: Path) -> None:
    env = make(images)
    env.reset(row(resolution=48 * 48))
    assert env.call(ZOOM_IN, {"bbox_2d": [190, 190, 810, 810], "label": "", "img_idx": 0}).ok
    back = env.call(ZOOM_OUT, {"img_idx": 1})
    assert back.images[0].size == (48, 48)


def test_the_reward_sees_what_was_pointed_at_in_original_pixels(images: Path) -> None:
    env = make(images)
    env.reset(row(NEAR))
    env.call(ZOOM_IN, pointing(NEAR))
    env.finish(NEAR.text)
    parts = env.reward()
    wanted = pixels_of(NEAR)
    [pointed] = env.rollout().looks
    assert max(abs(a - b) for a, b in zip(pointed.as_list(), wanted.as_list(), strict=True)) <= 1
    assert (parts.accuracy, parts.format, parts.tool) == (1, 1, 1) and parts.iou > 0.95 and parts.l1 > 0.99


def test_a_refused_call_is_no_use_of_the_tool(images: Path) -> None:
    env = make(images)
    env.reset(row())
    assert not env.call(ZOOM_IN, {"bbox_2d": "everywhere", "label": "", "img_idx": 0}).ok
    env.finish(NEAR.text)
    assert (env.reward().accuracy, env.reward().tool, env.reward().format) == (1, 0, 0)


def test_a_search_that_finds_is_seen_as_a_crop_and_counted_but_not_as_pointing(images: Path) -> None:
    env = make(images, search="annotated", rewards=RewardConfig(geometry=1.0, search=0.3))
    env.reset(row(NEAR))
    assert env.call(SEARCH, {"label": "it", "img_idx": 0}).images
    env.finish(NEAR.text)
    rollout, parts = env.rollout(), env.reward()
    assert rollout.looks == () and rollout.found == (pixels_of(NEAR),) and rollout.searches == 1
    assert (parts.tool, parts.geometry) == (1, 0) and parts.total == pytest.approx(2.2 - 0.3)


def test_an_unfinished_episode_has_answered_nothing(images: Path) -> None:
    env = make(images)
    env.reset(row())
    assert env.reward().total == 0


def test_a_zoom_of_a_zoom_is_cut_from_the_original(images: Path) -> None:
    env = make(images)
    env.reset(row(FAR))
    env.call(ZOOM_IN, {"bbox_2d": [200, 700, 420, 920], "label": "", "img_idx": 0})
    view, far = Box(*env.episode.records[1]["box"]), pixels_of(FAR)
    edges = (far.left - view.left, far.top - view.top, far.right - view.left, far.bottom - view.top)
    inner = [round(1000 * edge / view.width) for edge in edges]
    assert env.call(ZOOM_IN, {"bbox_2d": inner, "label": "", "img_idx": 1}).ok
    box = Box(*env.episode.records[2]["box"])
    assert box.width < view.width / 2
    picture = env.views.picture
    assert (
        env.views.image(env.episode.indexed[2]).tobytes()
        == picture.view(box, size_of(env.episode.records[2])).tobytes()
    )


def test_a_copy_pickled_half_way_goes_on_alike(images: Path) -> None:
    env = make(images)
    env.reset(row(NEAR, resolution=64 * 64))
    env.call(ZOOM_IN, pointing(ALSO))
    again = pickle.loads(pickle.dumps(env))
    seen = [one.call(ZOOM_IN, {"bbox_2d": [100, 100, 800, 800], "label": "", "img_idx": 1}) for one in (env, again)]
    assert seen[0].text == seen[1].text and seen[0].images[0].tobytes() == seen[1].images[0].tobytes()
    same = [one.call(ZOOM_IN, pointing(ALSO)).text for one in (env, again)]
    assert same == [WORDS["same"]] * 2
    for one in (env, again):
        one.finish("47")
    assert env.reward() == again.reward()
    assert len(pickle.dumps(env)) < 20_000, "no pixels travel"


def test_search_is_refused_or_knows_the_annotation(images: Path) -> None:
    refused, knows = make(images), make(images, search="annotated")
    for env in (refused, knows):
        env.reset(row(FAR))
    call = {"label": FAR.name, "img_idx": 0}
    assert "not available" in refused.call(SEARCH, call).text
    seen = knows.call(SEARCH, call)
    assert seen.ok and seen.images[0].size == (80, 80)
    nothing = make(images, search="annotated")
    nothing.reset(row(FAR, targets=[], nested=[]))
    assert nothing.call(SEARCH, call).text == "Not found."


def test_tools_that_need_a_model_are_refused_in_words(images: Path) -> None:
    env = make(images)
    env.reset(row())
    assert "not available" in env.call(VERIFY, {"label": "x", "img_idx": 0}).text
    assert "There is no tool 'rm'" in env.call("rm", {}).text


def test_questions_can_not_spell_special_tokens(images: Path) -> None:
    env = make(images)
    [opening] = env.reset(row(question="<|image_pad|> What is it?"))
    assert "<|image_pad|>" not in opening["content"][1]["text"]


def test_a_picture_of_another_size_is_refused(images: Path) -> None:
    with pytest.raises(InputRefused, match="1024x1024"):
        make(images).reset(row(width=1000))
    with pytest.raises(SettingInvalid, match="reset"):
        make(images).reward()


def test_no_event_loop_is_needed_and_none_is_in_the_way(images: Path) -> None:
    async def inside() -> bool:
        env = make(images)
        env.reset(row())
        return env.call(ZOOM_IN, pointing(NEAR)).ok

    assert asyncio.run(inside())
