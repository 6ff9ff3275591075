"""Trajectories: round trips, words as in a run, boxes that hold what they should, the same bytes after a kill."""

import hashlib
import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_model import FAKE_PROFILE, Call, FakeModel
from pydantic import ValidationError
from sudden_death import killed_at_draft
from typer.testing import CliRunner

from zoomagent.agent import ZoomAgent
from zoomagent.cli.data import _profile, app
from zoomagent.data.trajectories import pipeline
from zoomagent.data.trajectories.card import check_leak, read_card, split_of
from zoomagent.data.trajectories.pipeline import Settings, make
from zoomagent.data.trajectories.showing import sample_of_each_kind, show
from zoomagent.data.trajectories.trajectory import KINDS, ImagePart, TextPart, Trajectory, Turn, read_parquet
from zoomagent.data.world.scene import SMALL
from zoomagent.data.world.writing import write_world
from zoomagent.errors import RunError, SettingInvalid
from zoomagent.geometry import Box, Size, coverage
from zoomagent.models.base import Message, Pixels, Reply, Text, ToolCall
from zoomagent.models.loading import NANO_WEIGHTS, load_model
from zoomagent.models.profiles import whole_side
from zoomagent.models.words.chat import arrange
from zoomagent.tools.definitions import SEARCH, VERIFY, ZOOM_IN
from zoomagent.training.rl.environment import EnvConfig, ZoomEnv
from zoomagent.training.rl.rows import load_rows

PICTURES = 16


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trajectories") / "world"
    write_world(out, SMALL, 5, PICTURES, 512)
    return out


@pytest.fixture(scope="module")
def made(world: Path) -> Path:
    out = world.parent / "set"
    make(world, out, settings(world))
    return out


@pytest.fixture(scope="module")
def rows(made: Path) -> list[Trajectory]:
    return [one for file in sorted(made.glob("*/*.parquet")) for one in read_parquet(file)]


def settings(world: Path, **other: Any) -> Settings:
    return Settings(world, FAKE_PROFILE, held_out=0.3, **other)


def learned(one: Trajectory) -> list[Turn]:
    return [turn for turn in one.messages if turn.role == "assistant" and turn.learn]


def of_kind(rows: Sequence[Trajectory], kind: str) -> list[Trajectory]:
    found = [one for one in rows if one.kind == kind]
    assert found, f"no {kind}"
    return found


def test_a_world_gives_trajectories_of_all_kinds(rows: list[Trajectory]) -> None:
    assert {one.kind for one in rows} == set(KINDS)
    assert len({one.id for one in rows}) == len(rows)


def test_rows_survive_json_arrow_and_datasets(made: Path, rows: list[Trajectory], tmp_path: Path) -> None:
    from datasets import load_dataset

    files = {side: str(made / side / "*.parquet") for side in ("train", "held-out")}
    loaded = load_dataset(
        "parquet", data_files={k.replace("-", "_"): v for k, v in files.items()}, cache_dir=str(tmp_path)
    )
    back = [Trajectory.from_row(row) for side in ("held_out", "train") for row in loaded[side]]
    assert back == rows
    assert [Trajectory.model_validate_json(one.model_dump_json()) for one in rows] == rows


def test_no_picture_is_on_both_sides_and_both_sides_have_some(made: Path) -> None:
    sides = [
        {one.image_id for file in (made / side).glob("*") for one in read_parquet(file)}
        for side in ("train", "held-out")
    ]
    assert sides[0] and sides[1] and not sides[0] & sides[1]


def test_a_leak_between_the_splits_is_an_error() -> None:
    with pytest.raises(RunError, match="both splits"):
        check_leak({"train": {"1", "2"}, "held-out": {"2"}})
    check_leak({"train": {"1", "2"}, "held-out": {"3"}})


def test_the_split_of_a_picture_depends_on_its_id_alone() -> None:
    share = sum(split_of(i, 0.1) == "held-out" for i in range(20_000)) / 20_000
    assert 0.09 < share < 0.11
    assert {split_of(i, 0.0) for i in range(100)} == {"train"}
    assert all(split_of(i, 0.3) == "held-out" for i in range(500) if split_of(i, 0.1) == "held-out")


def test_rows_with_foreign_boxes_or_unlisted_views_are_refused(rows: list[Trajectory]) -> None:
    good = of_kind(rows, "one_zoom")[0].model_dump()
    for change in ({"targets": [(0, 0, 10_000, 10)]}, {"views": good["views"][:1]}, {"extra": 1}, {"kind": "other"}):
        with pytest.raises(ValidationError):
            Trajectory.model_validate({**good, **change})


def test_every_view_of_a_right_look_shows_its_target(rows: list[Trajectory]) -> None:
    for kind in ("one_zoom", "zoom_of_zoom", "recovered", "verify"):
        for one in of_kind(rows, kind):
            assert coverage(Box(*one.targets[0]), Box(*one.views[-1].box)) > 0.98, one.id
    for one in of_kind(rows, "several"):
        shown = [Box(*view.box) for view in one.views[1:]]
        assert all(max(coverage(Box(*target), view) for view in shown) > 0.98 for target in one.targets), one.id


def test_a_wrong_look_misses_the_target_and_is_not_learned(rows: list[Trajectory]) -> None:
    for one in of_kind(rows, "recovered"):
        assistant = [turn for turn in one.messages if turn.role == "assistant"]
        assert [turn.learn for turn in assistant] == [False, True, True]
        assert coverage(Box(*one.targets[0]), Box(*one.views[1].box)) <= 0.1


def test_all_other_turns_are_learned(rows: list[Trajectory]) -> None:
    for one in rows:
        if one.kind != "recovered":
            assert all(turn.learn for turn in one.messages if turn.role == "assistant")
        assert learned(one)[-1].content == (TextPart(text=one.answer),)


def test_a_zoom_of_a_zoom_goes_through_a_wide_view(rows: list[Trajectory]) -> None:
    for one in of_kind(rows, "zoom_of_zoom"):
        wide, close = (Box(*view.box) for view in one.views[1:])
        assert one.views[2].source == "view-1" and wide.area > 3 * close.area
        assert learned(one)[1].tool_calls[0].function.arguments["img_idx"] == 1


def test_nested_boxes_hold_each_other_from_the_target_on(rows: list[Trajectory]) -> None:
    nested = [one for one in rows if one.nested]
    assert nested
    for one in nested:
        boxes = [Box(*box) for box in one.nested]
        assert one.nested[0] == one.targets[0]
        assert all(coverage(a, b) == 1 and b.area > a.area for a, b in zip(boxes, boxes[1:], strict=False)), one.id


def test_a_label_never_says_what_the_question_does_not(rows: list[Trajectory]) -> None:
    for one in rows:
        for turn in one.messages:
            for call in turn.tool_calls:
                if "label" in call.function.arguments and turn.learn:
                    assert set(call.function.arguments["label"].split()) <= set(one.question.rstrip("?").split()), (
                        one.id
                    )


def flattened(messages: Sequence[Message]) -> list[tuple[Any, ...]]:
    return [
        (
            m.role,
            sum(isinstance(p, Pixels) for p in m.parts),
            "".join(p.text for p in m.parts if isinstance(p, Text)),
            [(call.name, json.loads(call.arguments)) for call in m.tool_calls],
        )
        for m in messages
    ]


def told(one: Trajectory) -> list[tuple[Any, ...]]:
    return [
        (
            turn.role,
            sum(isinstance(part, ImagePart) for part in turn.content),
            "".join(part.text for part in turn.content if isinstance(part, TextPart)),
            [(call.function.name, call.function.arguments) for call in turn.tool_calls],
        )
        for turn in one.messages
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_shows_a_model_that_speaks_a_trajectorys_turns_the_very_same_words(
    world: Path, rows: list[Trajectory], kind: str
) -> None:
    """The assistant's turns are replayed through the graph; all that it is shown must be what the row says."""
    one = of_kind(rows, kind)[0]
    turns = [turn for turn in one.messages if turn.role == "assistant"]

    def respond(call: Call) -> Reply:
        if not call.options["tools"]:
            return Reply("0", "stop")
        turn = turns[sum(message.role == "assistant" for message in call.messages)]
        calls = tuple(ToolCall("", part.function.name, json.dumps(part.function.arguments)) for part in turn.tool_calls)
        return Reply("".join(p.text for p in turn.content if isinstance(p, TextPart)), "stop", tool_calls=calls)

    said = told(one)[-2][2]
    model = FakeModel(profile=FAKE_PROFILE, respond=respond, respond_score=lambda call: scores(call, said))
    with ZoomAgent(model, strategy="tools", proof=False, check=False, rule="micro") as agent:
        answer = agent.ask(world / one.image, one.question)
    asked = [call for call in model.history if call.method == "generate" and call.options["tools"]]
    assert flattened(arrange(asked[-1].messages, FAKE_PROFILE)) == told(one)[:-1]
    assert answer.text == one.answer


def scores(call: Call, said: str) -> list[float]:
    """No part of the picture shows what is searched for; what is verified has the probability that the row says."""
    if len(call.options["continuations"]) == 10:
        return [-0.001, *[-9.0] * 9]
    p = float(said.rstrip(".").rsplit(" ", 1)[1]) if "probability" in said else 0.05
    return [math.log(p), math.log(1 - p)]


def tree(folder: Path) -> dict[str, str]:
    """What is in a folder, short enough to be read where two differ."""
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_the_same_settings_give_the_same_bytes_and_another_seed_others(world: Path, made: Path, tmp_path: Path) -> None:
    make(world, made.parent / "again", settings(world))
    make(world, made.parent / "other", settings(world, seed=2))
    assert tree(made.parent / "again") == tree(made)
    assert tree(made.parent / "other") != tree(made)


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    world: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "SHARD", 2)
    whole, out = made.parent / "whole", made.parent / "killed"
    began = time.monotonic()
    make(world, whole, settings(world))
    took, rng, kills = time.monotonic() - began, random.Random(1), 0
    for _ in range(12):
        child = multiprocessing.get_context("fork").Process(target=make, args=(world, out, settings(world)))
        child.start()
        child.join(rng.uniform(0.05, 0.4) * took)
        if child.is_alive() and child.pid is not None:
            os.kill(child.pid, signal.SIGKILL)
            kills += 1
        child.join()
    assert kills >= 2
    make(world, out, settings(world))
    assert tree(out) == tree(whole)


@pytest.mark.skipif(sys.platform == "win32", reason="forks and SIGKILL")
def test_killed_at_any_file_it_leaves_nothing_beside_the_same_bytes(world: Path, made: Path) -> None:
    for number in range(4):  # the folder's own settings, candidates, what was counted of the rows, and the card
        out = made.parent / f"draft-{number}"
        assert killed_at_draft(partial(make, world, out, settings(world)), number)
        make(world, out, settings(world))
        assert tree(out) == tree(made)
    assert not killed_at_draft(partial(make, world, made.parent / "draft-4", settings(world)), 4)


DAMAGE = [
    b"",
    b"{",
    b"[]\n[]\n",
    b"null",
    b'{"settings": 5, "images": "x"}',
    b'{"kinds": 1}\n{"kinds": 1}',
    b"\xff\xfe\n\xff",
]


@pytest.fixture(scope="module")
def stopped(world: Path) -> Path:
    """A folder in which all is done but the card."""
    out = world.parent / "stopped"

    def leave(stage: str, done: int, of: int) -> None:
        if stage == "telling" and done == of:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(world, out, settings(world), leave)
    return out


@pytest.mark.parametrize("damage", DAMAGE, ids=repr)
def test_whatever_file_of_a_begun_folder_is_damaged_is_told_in_words(
    world: Path, stopped: Path, tmp_path: Path, damage: bytes
) -> None:
    names = [str(file.relative_to(stopped)) for file in (stopped / ".work").rglob("*") if file.is_file()]
    assert {name.rpartition("/")[2] for name in names} >= {"settings.json", "curated-00000.jsonl", "told-00000.json"}
    for name in [*names, "card.json"]:
        out = tmp_path / name.replace("/", "-")
        shutil.copytree(stopped, out)
        (out / name).write_bytes(damage)
        if name == "card.json" or name.endswith((".json", ".jsonl", "image_data.sqlite")):
            with pytest.raises(RunError):
                make(world, out, settings(world))
            if name.endswith(".jsonl"):  # found out while it chooses and tells, too
                (out / ".work" / "told-00000.json").unlink()
                with pytest.raises(RunError):
                    make(world, out, settings(world))


def test_pictures_above_a_limit_are_left_out_and_the_flag_is_named(world: Path, tmp_path: Path) -> None:
    for flag, most in (("--max-pixels", "200000"), ("--max-bytes", "1000")):
        out = tmp_path / flag
        done = CliRunner().invoke(app, ["trajectories", str(world), str(out), flag, most])
        assert done.exit_code == 0, done.output
        counts = read_card(out / "card.json")["counts"]
        assert counts["pictures: above --max-bytes or --max-pixels"] == PICTURES


def test_a_folder_of_other_settings_is_refused_and_left_alone(world: Path, made: Path) -> None:
    before = tree(made)
    with pytest.raises(SettingInvalid, match="limit"):
        make(world, made, settings(world, limit=3))
    assert tree(made) == before


def test_a_folder_with_other_files_is_refused(world: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SettingInvalid, match="other files"):
        make(world, tmp_path, settings(world))


def test_a_limit_and_kinds_are_kept_to(world: Path, tmp_path: Path) -> None:
    card = make(world, tmp_path / "a", settings(world, limit=20, kinds=("one_zoom", "no_zoom")))
    counts: Counter[str] = Counter()
    for side in card["kinds"].values():
        counts.update(side)
    assert 0 < counts["no_zoom"] < counts["one_zoom"] and sum(counts.values()) <= 20
    assert counts["one_zoom"] + counts["no_zoom"] == sum(counts.values())


def test_the_command_line_writes_a_card_that_finds_the_pictures(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["trajectories", str(world), str(out), "--profile", "nano", "--limit", "30"])
    assert done.exit_code == 0, done.output
    card = json.loads((out / "card.json").read_text())
    assert card["settings"]["profile"]["margin"] == 0.6 and sum(card["rows"].values()) <= 30
    for file in out.glob("*/*.parquet"):
        for one in read_parquet(file):
            assert (out / card["images"] / one.image).is_file()
    assert "| one_zoom |" in (out / "card.md").read_text()


def test_tools_named_for_a_run_are_offered_in_every_row(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = (ZOOM_IN, SEARCH, VERIFY)
    monkeypatch.setenv("ZOOMAGENT_PROFILE", json.dumps({"tools": tools}))
    done = CliRunner().invoke(
        app, ["trajectories", str(world), str(tmp_path / "out"), "--profile", "nano", "--kinds", "one_zoom,verify"]
    )
    assert done.exit_code == 0, done.output
    rows = [one for file in (tmp_path / "out").glob("*/*.parquet") for one in read_parquet(file)]
    assert {one.kind for one in rows} == {"one_zoom", "verify"} and {one.tools for one in rows} == {tools}


UNSEEN = 48.0
"""Pixels of the picture (512 here) under which things are searched for: some of a small world, not all."""


@pytest.fixture(scope="module")
def searching(world: Path) -> list[Trajectory]:
    out = world.parent / "searching"
    make(world, out, settings(world, search_below=UNSEEN * FAKE_PROFILE.fit(Size(512, 512)).width / 512))
    return [one for file in sorted(out.glob("*/*.parquet")) for one in read_parquet(file)]


def calls_of(one: Trajectory) -> list[tuple[str, dict[str, Any]]]:
    return [(c.function.name, c.function.arguments) for turn in one.messages for c in turn.tool_calls]


def test_what_is_too_small_for_the_whole_is_searched_for_and_the_rest_pointed_at(searching: list[Trajectory]) -> None:
    seen: set[tuple[str, str]] = set()
    for one in searching:
        hidden = sum(max(x1 - x0, y1 - y0) <= UNSEEN for x0, y0, x1, y1 in one.targets)
        if one.kind in ("one_zoom", "several", "verify"):
            names = [name for name, _ in calls_of(one) if name != VERIFY]
            assert names.count(SEARCH) == hidden and names.count(ZOOM_IN) == len(one.targets) - hidden, one.id
            seen |= {(one.kind, name) for name in names}
    assert {("one_zoom", SEARCH), ("one_zoom", ZOOM_IN), ("several", SEARCH)} <= seen


def test_every_view_that_a_search_ends_in_shows_its_target(searching: list[Trajectory]) -> None:
    found = [one for one in searching if one.targets and any(name == SEARCH for name, _ in calls_of(one))]
    assert found
    for one in found:
        shown = [Box(*view.box) for view in one.views[1:]]
        assert all(max(coverage(Box(*target), view) for view in shown) > 0.98 for target in one.targets), one.id


def test_an_episode_answers_a_rows_searches_in_the_very_same_words(world: Path, searching: list[Trajectory]) -> None:
    told_rows = [one for one in searching if one.kind in ("one_zoom", "several") and SEARCH in dict(calls_of(one))]
    assert told_rows
    env = ZoomEnv(EnvConfig(replace(FAKE_PROFILE, space="thousand"), world, search="annotated"))
    for one in told_rows[:6]:
        env.reset(one.to_row())
        said = [env.call(name, arguments, turn=1).text for name, arguments in calls_of(one)]
        texts = [part.text for turn in one.messages if turn.role == "tool" for part in turn.content]  # type: ignore[union-attr]
        assert said == texts, one.id


def test_some_wholes_are_shown_smaller_and_searched_where_they_show_too_little(world: Path, tmp_path: Path) -> None:
    full = FAKE_PROFILE.fit(Size(512, 512))
    make(world, tmp_path / "out", settings(world, shrink=0.5, search_below=UNSEEN * full.width / 512))
    rows = [one for file in sorted((tmp_path / "out").glob("*/*.parquet")) for one in read_parquet(file)]
    smaller = [one for one in rows if one.views[0].pixels]
    assert 0.3 < len(smaller) / sum(one.kind != "no_zoom" for one in rows) < 0.7
    assert all(one.kind != "no_zoom" and one.views[0].pixels < full.pixels for one in smaller)  # type: ignore[operator]
    for one in of_kind(rows, "one_zoom"):
        width = FAKE_PROFILE.fit(Size(512, 512), one.views[0].pixels).width
        [(x0, y0, x1, y1)] = one.targets
        hidden = max(x1 - x0, y1 - y0) * width <= UNSEEN * full.width
        assert [name for name, _ in calls_of(one)] == [SEARCH if hidden else ZOOM_IN], one.id


def test_without_a_search_on_offer_nothing_is_searched_for(world: Path, tmp_path: Path) -> None:
    profile = replace(FAKE_PROFILE, tools=(ZOOM_IN,))
    make(world, tmp_path / "out", Settings(world, profile, held_out=0.3, search_below=UNSEEN))
    rows = [one for file in (tmp_path / "out").glob("*/*.parquet") for one in read_parquet(file)]
    assert not [one for one in rows if SEARCH in dict(calls_of(one))]
    for one in of_kind(rows, "cannot_tell"):
        assert not calls_of(one) and learned(one)[-1].content == (TextPart(text=one.answer),)


def test_a_folders_own_tools_and_sizes_are_taken(world: Path, tmp_path: Path) -> None:
    folder = tmp_path / "taught"
    shutil.copytree(NANO_WEIGHTS, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    own = json.loads((folder / "zoomagent.json").read_text())
    (folder / "zoomagent.json").write_text(json.dumps({**own, "tools": [ZOOM_IN], "crop_margin": 0.4}))
    done = CliRunner().invoke(
        app, ["trajectories", str(world), str(tmp_path / "out"), "--profile", str(folder), "--limit", "20"]
    )
    assert done.exit_code == 0, done.output
    profile = json.loads((tmp_path / "out" / "card.json").read_text())["settings"]["profile"]
    assert (profile["family"], profile["margin"], profile["tools"]) == ("nano", 0.4, [ZOOM_IN])


def test_rows_for_nano_judge_sizes_by_the_whole_that_nano_is_shown() -> None:
    assert whole_side(_profile("nano"), 2048) == whole_side(load_model("nano").profile, 2048) == 128
    assert _profile("qwen3-vl").family == "qwen3-vl"


CARDS = [b"{", b"[]", b"5", b"", b'{"format": 1}', b'{"images": 5}', b'{"images": "a\\u0000"}', b"\xff\xfe"]
CARDS.append(b"[" * 5000)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: repr(card[:20]))
def test_a_damaged_card_is_told_in_words(tmp_path: Path, card: bytes) -> None:
    (tmp_path / "card.json").write_bytes(card)
    with pytest.raises(SettingInvalid):
        read_card(tmp_path / "card.json")
    with pytest.raises(SettingInvalid):
        show(tmp_path, 1, tmp_path / "a.html")


def spoiled(file: Path, kind: str) -> None:
    """The file of rows, damaged."""
    table = pq.read_table(file)
    columns: dict[str, Any] = {}
    match kind:
        case "noise":
            file.write_bytes(random.Random(1).randbytes(5000))
        case "nothing":
            file.write_bytes(b"")
        case "half":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        case "pipe":
            file.unlink()
            os.mkfifo(file)
        case "flipped":
            content = bytearray(file.read_bytes())
            content[4 : len(content) // 2] = bytes(byte ^ 255 for byte in content[4 : len(content) // 2])
            file.write_bytes(content)
        case "other columns":
            columns = {"kind": [None, "x"]}
        case "nulls":
            columns = {name: pa.nulls(table.num_rows, table.schema.field(name).type) for name in table.schema.names}
        case _:
            columns = {name: table[name] for name in table.schema.names} | {kind: [{"a": 1}] * table.num_rows}
    if columns:
        pq.write_table(pa.table(columns), file)


SPOILS = [
    "noise",
    "nothing",
    "half",
    "pipe",
    "flipped",
    "other columns",
    "nulls",
    "width",
    "options",
    "answer",
    "image",
]


@pytest.mark.parametrize("kind", [*SPOILS, "targets", "nested", "tools", "id"])
@pytest.mark.parametrize("reader", ["view", "learn", "learn whole"])
def test_rows_that_are_damaged_are_told_by_whoever_reads_them(
    reader: str, kind: str, made: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(made, folder)
    for file in folder.glob("*/*.parquet"):
        spoiled(file, kind)
    with pytest.raises(SettingInvalid, match="Write the trajectories again"):
        if reader == "view":
            sample_of_each_kind(folder, 9)
        else:
            load_rows(folder, whole=reader == "learn whole")


@pytest.mark.parametrize("number", [2**63, 10**24])
@pytest.mark.parametrize("name", ["seed", "limit"])
def test_numbers_that_no_card_can_keep_are_refused_at_once(name: str, number: int, world: Path) -> None:
    with pytest.raises(SettingInvalid, match=r"below 2\*\*63"):
        settings(world, **{name: number})
