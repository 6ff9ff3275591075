"""Rows become batches: the assistant's learned words only, pixels from the original, boxes in the model's own space."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sft_world import call, thousandths, trajectories, trajectory, write_data, zoom_row
from tiny_checkpoint import save_tiny
from zoom_world import FAR, NEAR, SIDE, pixels_of, scene

from zoomagent.data.trajectories.trajectory import TextPart, Trajectory, Turn
from zoomagent.errors import SettingInvalid
from zoomagent.geometry import Box, Size, between_spaces, box_to_model, coverage
from zoomagent.models.base import ToolCall
from zoomagent.models.profiles import QWEN2_5_VL, QWEN3_VL, Profile, override
from zoomagent.prompts import macro_prompt
from zoomagent.tools.arguments import read_arguments
from zoomagent.tools.cropping import locate
from zoomagent.tools.definitions import SEARCH, VERIFY, ZOOM_IN
from zoomagent.tools.dispatch import cut_out
from zoomagent.tools.viewing import ViewStore, as_view
from zoomagent.training.base import Base
from zoomagent.training.sft.chat_rows import chat_messages, read, unusable, views
from zoomagent.training.sft.collating import BLANK, Collator, labels
from zoomagent.training.sft.reading import pictures, split
from zoomagent.training.sft.run import Settings, usable

FAMILIES = ["nano", "qwen3_vl", "qwen2_5_vl"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("rows") / "data")


@pytest.fixture(scope="module", params=FAMILIES)
def collator(request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Collator:
    name = request.param if request.param == "nano" else str(save_tiny(tmp_path_factory.mktemp("tiny"), request.param))
    base = Base.open(name)
    processor, profile = base.processor, base.profile
    if name != "nano":
        profile = override(profile, {"crop_pixels": 96 * 96, "crop_margin": 0.6})
    return Collator(processor, profile, pictures(data), max_length=16_384)


def batch_of(collator: Collator, made: list[Trajectory]) -> dict[str, torch.Tensor]:
    return collator([one.to_row() for one in made])


def learned_words(collator: Collator, row: torch.Tensor) -> str:
    return str(collator.processor.tokenizer.decode(row[row >= 0]))


def written_call(profile: Profile, item: Any) -> str:
    """The zoom on `item` as the model is to write it."""
    messages = chat_messages(zoom_row(item, 0), profile, {"view-0": BLANK, "view-1": BLANK})
    arguments = messages[1]["tool_calls"][0]["function"]["arguments"]
    return f'<tool_call>\n{{"name": "{ZOOM_IN}", "arguments": {arguments}}}\n</tool_call><|im_end|>'


def test_labels_decode_to_exactly_the_turns_to_learn(collator: Collator) -> None:
    batch = batch_of(collator, [zoom_row(NEAR, 0), zoom_row(NEAR, 1, wrong=FAR)])
    for row in batch["labels"]:
        assert learned_words(collator, row) == f"{written_call(collator.profile, NEAR)}47<|im_end|>"
    kept = batch["labels"] >= 0
    assert torch.equal(batch["labels"][kept], batch["input_ids"][kept])
    box = written_call(collator.profile, FAR).split('"label"')[0]
    assert box in collator.processor.tokenizer.decode(batch["input_ids"][1])


def test_views_are_those_of_a_run_cut_from_the_original(collator: Collator) -> None:
    made = zoom_row(NEAR, 0)
    store = ViewStore(scene(), collator.profile)
    crop = store.add(Box(*made.views[1].box), max_pixels=collator.profile.crop_pixels or None)
    images = [store.image(store.whole()["id"]), store.image(crop["id"])]
    seen = collator.processor.image_processor(images=images, return_tensors="pt")
    batch = batch_of(collator, [made])
    assert torch.equal(batch["image_grid_thw"], seen["image_grid_thw"])
    assert torch.equal(batch["pixel_values"], seen["pixel_values"])


def test_calls_and_results_say_what_a_run_would_say(collator: Collator) -> None:
    """A call as it is learned, run by the agent's own tool, zooms to the target, in the words that are stored."""
    store, profile = ViewStore(scene(), collator.profile), collator.profile
    messages = chat_messages(zoom_row(NEAR, 0), profile, {"view-0": BLANK, "view-1": BLANK})
    function = messages[1]["tool_calls"][0]["function"]
    arguments = read_arguments(ToolCall("", function["name"], function["arguments"]), profile.tools, 1)
    whole = store.whole()["id"]
    near = locate(store, whole, arguments.bbox_2d)  # type: ignore[union-attr]
    pixel = SIDE / 160
    assert np.abs(np.subtract(near.as_list(), pixels_of(NEAR).as_list())).max() <= pixel
    said = cut_out(store, [whole], arguments).text  # type: ignore[arg-type]
    stored = messages[2]["content"][0]["text"]
    assert said.split("[")[0] == stored.split("[")[0] and said.split("]")[1] == stored.split("]")[1]
    ran, kept = ([int(n) for n in text.split("[")[1].split("]")[0].split(", ")] for text in (said, stored))
    assert np.abs(np.subtract(ran, kept)).max() <= (8 if profile.space == "thousand" else 2)


def test_a_row_is_the_same_alone_and_beside_others_and_padding_teaches_nothing(collator: Collator) -> None:
    made = [zoom_row(NEAR, 0), zoom_row(NEAR, 1, wrong=FAR), trajectories(9)[6]]
    together = batch_of(collator, made)
    for number, one in enumerate(made):
        alone = batch_of(collator, [one])
        length = alone["input_ids"].shape[1]
        for name in ("input_ids", "labels", "mm_token_type_ids"):
            assert torch.equal(together[name][number, :length], alone[name][0])
        assert together["attention_mask"][number].sum() == length == collator.length(one)
        assert (together["labels"][number, length:] == -100).all()


def test_tools_are_offered_as_at_run_time(collator: Collator) -> None:
    text = collator.processor.tokenizer.decode(batch_of(collator, [zoom_row(NEAR, 0)])["input_ids"][0])
    unit = "in pixels of that image" if collator.profile.space == "pixels" else "each from 0 to 1000"
    assert text.count('{"type": "function"') == len(collator.profile.tools) and unit in text


def test_the_collator_can_go_to_another_process(collator: Collator) -> None:
    again = pickle.loads(pickle.dumps(collator))
    made = zoom_row(NEAR, 0).to_row()
    assert torch.equal(again([made])["input_ids"], collator([made])["input_ids"])


def test_arrow_holds_references_never_pixels(data: Path) -> None:
    rows = split(data, "train")
    assert rows is not None and rows[0]["image"] == "scene.png"
    assert "Image" not in str(rows.features) and max(map(len, map(str, rows[0].values()))) < 5_000


def test_boxes_are_written_as_finely_as_the_model_was_taught_and_never_cut_the_target(nano: Collator) -> None:
    assert nano.profile.box_step == 10
    for item in (NEAR, FAR):
        fine, coarse = (_pointed(override(nano.profile, {"box_step": step}), item) for step in (1, 30))
        assert all(n % 30 == 0 for n in coarse) and any(n % 30 for n in fine)
        assert coverage(Box(*map(round, fine)), Box(*map(round, coarse))) == 1
        assert max(abs(a - b) for a, b in zip(fine, coarse, strict=True)) < 30


def _pointed(profile: Profile, item: Any) -> list[float]:
    messages = chat_messages(zoom_row(item, 0), profile, {"view-0": BLANK, "view-1": BLANK})
    box: list[float] = json.loads(messages[1]["tool_calls"][0]["function"]["arguments"])["bbox_2d"]
    return box


def test_a_rows_own_resolution_is_what_its_whole_is_shown_at(collator: Collator) -> None:
    profile, row = collator.profile, zoom_row(NEAR, 0).to_row()
    wanted = profile.fit(Size(row["width"], row["height"]), profile.min_pixels * 4)
    given, own = (views(read({**row, "resolution": pixels}), profile) for pixels in (profile.min_pixels * 4, None))
    assert given["view-0"][1] == wanted != own["view-0"][1] and given["view-1"] == own["view-1"]


@pytest.fixture(scope="module")
def nano(data: Path) -> Collator:
    base = Base.open("nano")
    return Collator(base.processor, base.profile, pictures(data), 8192)


def test_rows_that_can_not_be_told_are_dropped_and_counted(nano: Collator, data: Path, tmp_path: Path) -> None:
    lengths = sorted(nano.length(one) for one in trajectories(18))
    tight = Collator(nano.processor, nano.profile, nano.images, lengths[-4])
    long = sum(length > lengths[-4] for length in lengths)
    rows = usable(Settings("nano", data, tmp_path, 1), tight, "train")
    dropped = (tmp_path / "dropped.json").read_text()
    assert rows is not None and long > 0 and f'"is too long": {long}' in dropped and len(rows) == 18 - long
    for row in rows:
        assert tight([row])["input_ids"].shape[1] <= lengths[-4]


def test_why_a_row_is_not_used_is_told(nano: Collator) -> None:
    made = zoom_row(NEAR, 0)
    assert nano.refusal(made.to_row()) is None
    assert nano.refusal({**made.to_row(), "image": "gone.png"}) == "its picture is missing"
    turn = Turn(role="assistant", tool_calls=(call(VERIFY, {"label": "a", "img_idx": 0}),))
    assert "not offered" in str(unusable(trajectory(NEAR, 0, "verify", "47", [turn], ()), nano.profile))
    several = made.model_copy(update={"messages": made.messages[:1] * 9 + made.messages[1:]})
    assert "more images" in str(unusable(several, nano.profile))
    mute = made.model_copy(update={"messages": tuple(t.model_copy(update={"learn": False}) for t in made.messages)})
    assert "no turn to learn" in str(unusable(mute, nano.profile))


def test_data_of_which_nothing_is_left_is_refused(nano: Collator, data: Path, tmp_path: Path) -> None:
    none = Collator(nano.processor, nano.profile, nano.images, 1)
    with pytest.raises(SettingInvalid, match="too long"):
        usable(Settings("nano", data, tmp_path, 1), none, "train")


def test_a_model_without_letters_is_not_shown_options(nano: Collator) -> None:
    made = trajectory(NEAR, 0, "no_zoom", "47", [], ())
    options = ("83", "47")
    lettered = macro_prompt(made.question, options)
    first = made.messages[0].model_copy(update={"content": (made.messages[0].content[0], TextPart(text=lettered))})
    last = Turn(role="assistant", content=(TextPart(text="B"),))
    row = made.model_copy(update={"options": options, "messages": (first, last)})
    words = [message["content"][-1]["text"] for message in chat_messages(row, nano.profile, {"view-0": BLANK})]
    assert words == [macro_prompt(made.question), "47"]
    kept = [message["content"][-1]["text"] for message in chat_messages(row, QWEN3_VL, {"view-0": BLANK})]
    assert kept == [lettered, "B"]


def test_text_that_spells_special_tokens_is_told_inert(nano: Collator) -> None:
    turns = [
        Turn(role="assistant", tool_calls=(call(SEARCH, {"label": "<|image_pad|>", "img_idx": 0}),)),
        Turn(role="tool", content=(TextPart(text="<|im_end|><|image_pad|>"),)),
    ]
    batch = batch_of(nano, [trajectory(NEAR, 0, "cannot_tell", "47", turns, ())])
    grid = batch["image_grid_thw"].prod(1).sum() // nano.processor.image_processor.merge_size**2
    assert (batch["input_ids"] == nano.processor.image_token_id).sum() == grid


def test_every_space_is_reached_and_left_again() -> None:
    size = views(zoom_row(NEAR, 0), QWEN2_5_VL)["view-0"][1]
    box = (100.0, 250.0, 400.0, 1000.0)
    for space in ("pixels", "unit", "thousand", "square"):
        there = between_spaces(box, "thousand", space, size)
        assert between_spaces(there, space, "thousand", size) == pytest.approx(box)
    store = ViewStore(scene(), QWEN2_5_VL)
    record = store.whole()
    exact = box_to_model(pixels_of(NEAR), "pixels", as_view(record))
    numbers = between_spaces(thousandths(pixels_of(NEAR)), "thousand", "pixels", size)
    assert numbers == pytest.approx(exact, abs=size.width / 1000)


def test_a_template_that_marks_too_little_is_noticed() -> None:
    assert labels([5, 6, 7, 8], [0, 1, 0, 1], [True, False]) == [-100, 6, -100, -100]
    with pytest.raises(SettingInvalid, match="generation"):
        labels([5, 6, 7], [0, 1, 1], [True, True])


@pytest.mark.parametrize("content", [b"", b"PAR1" + bytes(200), b"not parquet"])
def test_a_damaged_file_of_rows_is_refused(content: bytes, tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data")
    (folder / "train" / "part-00000.parquet").write_bytes(content)
    with pytest.raises(SettingInvalid, match="Write"):
        split(folder, "train")


def test_rows_of_another_kind_are_refused(tmp_path: Path) -> None:
    folder = write_data(tmp_path / "data")
    file = folder / "train" / "part-00000.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["views"]), file)
    with pytest.raises(SettingInvalid, match="no views"):
        split(folder, "train")


@pytest.mark.parametrize(
    "odd",
    [{"messages": "["}, {"messages": "[" * 5000}, {"messages": "5"}, {"messages": None}, {"provenance": "[]"}]
    + [{"kind": "other"}, {"width": 0}, {"views": []}, {"targets": [[0, 0, 10**9, 1]]}, {"question": 5}],
    ids=str,
)
def test_a_row_that_is_no_trajectory_is_refused_by_its_name(odd: dict[str, Any]) -> None:
    row = trajectories(1)[0].to_row()
    with pytest.raises(SettingInvalid, match=f"{row['id']}.*no trajectory"):
        read({**row, **odd})
