"""Calibration records are what runs really knew, about scenes no reported bench asks about, each asked once."""

from pathlib import Path

from zoomagent.confidence.records import read_records
from zoomagent.data.world.render import drawn_picture
from zoomagent.data.world.scene import DEEP, draw_scene
from zoomagent.evaluation.sets.asked import Task
from zoomagent.evaluation.sets.haystack import Settings, cases
from zoomagent.geometry import Box, Size
from zoomagent.models.loading import load_model
from zoomagent.training.calibration.collecting import collect_all, held_out


def test_a_collection_that_was_cut_short_goes_on_without_asking_twice(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole.jsonl", tmp_path / "parts.jsonl"
    model = load_model("nano")
    collect_all(model, 9, ("small",), whole)
    lines = whole.read_text().splitlines()
    parts.write_text("\n".join(lines[:5]) + "\n" + lines[5][:40], encoding="utf-8")  # killed while it wrote
    collect_all(model, 9, ("small",), parts)
    ids = [record.id for record in read_records(parts)]
    assert ids == [record.id for record in read_records(whole)] and len(set(ids)) == 9
    assert any(record.micro_right is not None for record in read_records(whole))


def test_no_scene_is_collected_that_a_bench_reports() -> None:
    collected = {task.question.text for task in held_out(60, ("small",), 128)}
    reported = {
        case.question.text for _, found in cases(Settings(n=60, seeds=(500, 501), level="small")) for case in found
    }
    assert len(collected & reported) < len(collected) / 2, "other scenes, so mostly other things are asked about"


def test_every_collected_question_has_a_scene_of_its_own_and_all_groups_occur() -> None:
    found: list[Task] = list(held_out(120, ("small", "deep", "varied"), 128))
    assert len({task.name for task in found}) == len(found) == 120
    assert {task.group for task in found} == {"read", "whole", "presence", "count", "compare", "absent"}
    assert {task.world for task in found} == {"small", "deep", "varied"}


def test_a_drawn_picture_shows_what_the_scene_says() -> None:
    scene = draw_scene(DEEP, 3, 1)
    with drawn_picture(scene, 8192, "deep") as picture:
        item = scene.items[0]
        left, top, right, bottom = (round(v * 8192) for v in item.box)
        close = picture.view(Box(left, top, right, bottom), Size(64, 64))
        again = picture.view(Box(left, top, right, bottom), Size(64, 64))
    assert close.size == (64, 64) and close.tobytes() == again.tobytes()
    assert len(set(close.tobytes())) > 10
