"""What clients are told, and what they may name: both conventions agree, and nothing is opened that was not allowed."""

import asyncio
import json
from pathlib import Path

import pytest
from fake_model import FakeModel
from fake_server import FakeServer, Guise
from PIL import Image

from zoomagent import ZoomAgent
from zoomagent.errors import InputRefused, RunError
from zoomagent.media import open_picture
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.page.run_json import run_json
from zoomagent.plugins.offers.inputs import Allowed, named_opener, picture_opener
from zoomagent.plugins.offers.public import MAX_CROP_SIDE, PublicAnswer, crops_of, public_answer, public_refusal

GREY = Image.new("RGB", (4000, 1000), "grey")


def answered() -> tuple[PublicAnswer, list[Image.Image]]:
    model = FakeModel()
    model.enqueue(["7", "[500, 500, 600, 600]", "42"])
    model.enqueue_scores([[-3.0, -0.1]])
    with ZoomAgent(model, strategy="dualfocus", rule="dualfocus") as agent, open_picture(GREY) as picture:
        answer = agent.ask(picture, "What is written there?")
        return public_answer(answer), crops_of(answer, picture)


def test_pixels_and_shares_name_the_same_region() -> None:
    run_json, _ = answered()
    assert run_json.answer == "42" and run_json.picture == (4000, 1000) and run_json.boxes
    for box in run_json.boxes:
        assert [round(share * side) for share, side in zip(box.relative, (4000, 1000) * 2, strict=True)] == list(
            box.pixels
        )


def test_the_public_answer_survives_json() -> None:
    run_json, _ = answered()
    assert PublicAnswer.model_validate_json(run_json.model_dump_json()) == run_json


def test_evidence_crops_are_bounded_and_keep_their_shape() -> None:
    run_json, crops = answered()
    left, top, right, bottom = run_json.boxes[0].pixels
    [crop] = crops
    assert max(crop.size) <= MAX_CROP_SIDE
    assert crop.width / crop.height == pytest.approx((right - left) / (bottom - top), rel=0.01)


def test_a_refused_question_tells_its_code_and_no_box() -> None:
    with ZoomAgent(FakeModel(), opener=picture_opener(Allowed())) as agent:
        run_json = public_answer(agent.ask("/etc/passwd", "What is written there?"))
    assert (run_json.outcome, run_json.code, run_json.answer, run_json.boxes) == ("refused", "path_not_allowed", "", ())
    assert run_json.reasons and "/etc" not in " ".join(run_json.reasons)


@pytest.mark.parametrize(
    ("source", "code"),
    [("/etc/passwd", "path_not_allowed"), ("picture.png", "path_not_allowed"), ("", "path_not_allowed"),
     ("http://127.0.0.1/x.png", "url_not_allowed"), ("https://example.com/x.png", "url_not_allowed"),
     ("file:///etc/passwd", "path_not_allowed"), (GREY, "bad_input"), (b"\x89PNG", "bad_input"), (7, "bad_input")],
)  # fmt: skip
def test_by_default_only_data_urls_are_opened(source: object, code: str) -> None:
    with pytest.raises(InputRefused) as refused:
        picture_opener(Allowed())(source)
    assert refused.value.code == code


def test_files_below_a_root_are_opened_and_no_others(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside, outside):
        folder.mkdir()
        GREY.resize((40, 10)).save(folder / "a.png")
    (inside / "link.png").symlink_to(outside / "a.png")
    opener = picture_opener(Allowed(roots=(str(inside),)))
    with opener(str(inside / "a.png")) as picture:
        assert picture.size.width == 40
    for path in (outside / "a.png", inside / ".." / "out" / "a.png", inside / "link.png"):
        with pytest.raises(InputRefused):
            opener(str(path))


def test_a_relative_path_is_one_below_a_root_and_never_leaves_them(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second, second / "deep"):
        folder.mkdir()
    GREY.resize((40, 10)).save(second / "deep" / "a.png")
    GREY.save(tmp_path / "outside.png")
    opener = picture_opener(Allowed(roots=(str(first), str(second))))
    with opener("deep/a.png") as picture:
        assert picture.size.width == 40
    for path in ("../outside.png", "deep/../../outside.png", "deep/b.png", "deep", "", "a" * 5000, "\ud800.png"):
        with pytest.raises(InputRefused) as refused:
            opener(path)
        assert str(tmp_path) not in refused.value.public


def test_a_program_may_name_its_own_pictures_and_no_client_can_name_others(tmp_path: Path) -> None:
    GREY.save(tmp_path / "a.png")
    opener = named_opener({"scan": GREY, "file": tmp_path / "a.png"})
    for name in ("scan", "file"):
        with opener(name) as picture:
            assert picture.size.width == GREY.width
    with pytest.raises(InputRefused):
        opener(str(tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("spec", "shown"),
    [("http://10.0.0.7:8000/v1#Qwen/Qwen3-VL-8B-Instruct", "Qwen/Qwen3-VL-8B-Instruct"), ("nano", "nano"),
     ("https://10.0.0.7/v1", "served"), ("hf:Qwen/Qwen3-VL-2B-Instruct", "hf:Qwen/Qwen3-VL-2B-Instruct"),
     ("/home/me/runs/mine", "mine")],
)  # fmt: skip
def test_clients_are_told_the_models_name_and_not_where_it_is(spec: str, shown: str) -> None:
    with ZoomAgent(spec, opener=picture_opener(Allowed())) as agent:
        assert public_answer(agent.ask("/etc/passwd", "What is written there?")).model == shown
    assert public_refusal(InputRefused("no", code="bad_input"), spec, "auto").model == shown


@pytest.mark.parametrize("spec", ["/srv/secret/mien", "secret/mien", "../secret/mien", "./secret/a/mien/"])
def test_a_mistyped_folder_is_told_by_its_last_part_wherever_it_shows(spec: str) -> None:
    with ZoomAgent(spec) as agent:
        answer = agent.ask(GREY, "What is written there?")
        with pytest.raises(RunError) as refused:
            asyncio.run(agent.awork(GREY, lambda bench: asyncio.sleep(0)))
    shown = public_answer(answer).model_dump_json() + answer.model_dump_json() + refused.value.public
    assert answer.outcome.code == "model_not_found" and "'mien'" in shown
    assert "secret" not in shown + json.dumps(run_json(answer, "run"))


def test_a_model_that_its_server_names_by_a_folder_is_told_by_the_last_part(caplog: pytest.LogCaptureFixture) -> None:
    server = FakeServer(guise=Guise(name="/srv/secret/qwen"))
    model = OpenAIModel("http://10.0.0.7/v1", "/srv/secret/other", transport=server.transport())
    with ZoomAgent(model) as agent:
        answer = agent.ask(GREY, "What is written there?")
    shown = public_answer(answer).model_dump_json() + json.dumps(run_json(answer, "run"))
    assert answer.outcome.code == "model_not_found" and "'qwen'" in shown and "'other'" in shown
    assert "secret" not in shown
    assert "/srv/secret/qwen" in caplog.text
