"""The health check tells a model that looks at its crops from one that does not."""

from pathlib import Path
from typing import Any

import pytest
from fake_model import Call, FakeModel
from rl_world import pointing, row, write_scene
from zoom_world import ALSO, FAR, NEAR, PROFILE

from zoomagent.data.world.scene import Item
from zoomagent.models.base import Pixels, Reply, ToolCall
from zoomagent.tools.definitions import ZOOM_IN
from zoomagent.training.rl.environment import EnvConfig
from zoomagent.training.rl.probe import ProbeResult, as_json, figures, probe, table

ROWS = [row(NEAR, 0), row(FAR, 1), row(ALSO, 2)]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EnvConfig:
    return EnvConfig(PROFILE, write_scene(tmp_path_factory.mktemp("scene")), (ZOOM_IN,))


def crops_of(call: Call) -> list[Any]:
    return [part.image for m in call.messages[1:] for part in m.parts if isinstance(part, Pixels)]


def colour_in(image: Any, item: Item) -> bool:
    """Whether a crop shows the item's colour where a zoom on it would."""
    red, green, blue = image.getpixel((image.width // 2, image.height // 4 + image.height // 8))
    return bool({"red": red > 150 > green, "green": green > 100 > red, "blue": blue > 150 > red}[item.colour])


def looker(points_at: Item, looks: bool) -> FakeModel:
    """Zooms in on `points_at` whatever is asked; then reads its crop, or says what it knew before."""

    def respond(call: Call) -> str | Reply:
        asked = next(item for item in (NEAR, FAR, ALSO) if item.name in call.text)
        crops = crops_of(call)
        if not crops:
            arguments = str(pointing(points_at if looks else asked)).replace("'", '"')
            return Reply("", "tool_calls", tool_calls=(ToolCall("a", ZOOM_IN, arguments),))
        return asked.text if not looks or colour_in(crops[0], asked) else "Cannot tell"

    return FakeModel(profile=PROFILE, respond=respond)


def test_a_model_that_looks_gains_by_the_true_place_and_loses_by_noise(config: EnvConfig) -> None:
    probed = probe(looker(NEAR, looks=True), config, ROWS)
    assert [one.own for one in probed] == [True, False, False]
    assert [one.true for one in probed] == [True, True, True]
    assert [one.noise for one in probed] == [False, False, False]
    assert figures(probed)["change"] == {"true": pytest.approx(0.6667), "noise": pytest.approx(-0.3333)}


def test_a_model_that_answers_first_does_not_notice(config: EnvConfig) -> None:
    told = figures(probe(looker(NEAR, looks=False), config, ROWS))
    assert told["change"] == {"true": 0.0, "noise": 0.0} and told["with_crops"] == 3
    assert told["mean_iou"] > 0.9


def test_without_crops_there_is_nothing_to_replace(config: EnvConfig) -> None:
    model = FakeModel(profile=PROFILE, respond=lambda call: NEAR.text)
    told = as_json(probe(model, config, ROWS))
    assert told["with_crops"] == 0 and "change" not in told and told["all"]["own"]["share"] == pytest.approx(1 / 3)
    assert len(model.history) == 3 and len(told["each"]) == 3
    assert "asked for a crop in 0" in table(told)


def test_rows_without_a_target_are_not_asked(config: EnvConfig) -> None:
    model = FakeModel(profile=PROFILE)
    assert probe(model, config, [row(NEAR, 0, targets=[])]) == []


def test_the_table_holds_the_shares_and_their_intervals() -> None:
    told = figures([ProbeResult("a", True, True, False, 1, 0.5), ProbeResult("b", False, True, False, 1, None)])
    text = table(told)
    assert "| the model's own | 50.0% (9.5% to 90.5%)" in text
    assert "true place +50.0%, noise -50.0%" in text


def test_the_same_question_gives_the_same_figures(config: EnvConfig, tmp_path: Path) -> None:
    runs = [as_json(probe(looker(ALSO, looks=True), config, ROWS)) for _ in range(2)]
    assert runs[0] == runs[1]
