"""Other looks change how a scene looks, never what lies where; scenes of another hand say truly what they show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from zoomagent.data.world.questions import ask
from zoomagent.data.world.render import render
from zoomagent.data.world.scene import COLOURS, SMALL, Item, Scene, draw_scene
from zoomagent.data.world.varied import TILT, Variety, varied
from zoomagent.data.world.wordings import KEPT_BACK, PLAIN, TRAINED, every_wording, wording
from zoomagent.errors import SettingInvalid
from zoomagent.evaluation.sets.asked import World, tasks
from zoomagent.evaluation.sets.other_world import Materials, other_scene

FACES = Variety(Materials.packaged().fonts, Materials.packaged().photographs)


def test_another_look_leaves_questions_and_answers_as_they_are() -> None:
    for index in range(30):
        scene = draw_scene(SMALL, 4, index)
        other = varied(scene, FACES, np.random.default_rng(index))
        for kind in ("read", "count", "presence", "relation", "absent", "side"):
            a, b = (ask(kind, s, SMALL, np.random.default_rng(index)) for s in (scene, other))
            assert a == b
        assert all(abs(item.tilt) <= TILT for item in other.items)
        assert [(i.x, i.y, i.size, i.text, i.name) for i in scene.items] == [
            (i.x, i.y, i.size, i.text, i.name) for i in other.items
        ]


@pytest.mark.parametrize("ground", ["plain", "mottled", "photograph"])
@pytest.mark.parametrize("tilt", [0.0, -8.0, 8.0])
def test_a_thing_is_drawn_where_the_scene_says_in_every_look(ground: str, tilt: float) -> None:
    """Draw one, and find its colour again: in the middle of its box, and not outside it."""
    item = Item("square", "red", 0.4, 0.6, 0.2, "47", 0, 0, face=FACES.faces[0], tint=(5, -5, 0), tilt=tilt)
    scene = Scene(3, ground, "gray", (item,), backdrop=FACES.photographs[0] if ground == "photograph" else "")  # type: ignore[arg-type]
    picture = render(scene, 400, 400).astype(int)
    bare = render(replace(scene, items=()), 400, 400).astype(int)
    differs = np.abs(picture - bare).sum(-1) > 30
    rows, columns = np.nonzero(differs)
    slack = 14 if tilt else 3
    assert abs(columns.min() - 120) <= slack and abs(columns.max() - 200) <= slack
    assert abs(rows.min() - 200) <= slack and abs(rows.max() - 280) <= slack
    corner = picture[208:214, 130:190].reshape(-1, 3).mean(0)
    assert np.abs(corner - np.array(COLOURS["red"])).max() < 60 or tilt


def test_a_region_drawn_alone_is_the_same_region_of_the_whole() -> None:
    scene = varied(draw_scene(SMALL, 4, 2), FACES, np.random.default_rng(5))
    scene = replace(scene, ground="mottled", wear=0.0)
    whole = render(scene, 800, 800)[200:600, 200:600].astype(float)
    part = render(scene, 400, 400, (0.25, 0.25, 0.75, 0.75)).astype(float)
    assert np.abs(whole - part).mean() < 4


def test_wear_blurs_and_codes_but_keeps_the_size() -> None:
    scene = draw_scene(SMALL, 4, 3)
    sharp, worn = (render(replace(scene, wear=w), 128, 128).astype(float) for w in (0.0, 1.0))
    steepest = [float(np.abs(np.diff(view, axis=1)).max()) for view in (worn, sharp)]
    assert sharp.shape == worn.shape and steepest[0] < 0.9 * steepest[1]


def test_a_folder_without_fonts_or_pictures_is_refused_by_name(tmp_path: Path) -> None:
    for more in ({"fonts": tmp_path}, {"photographs": tmp_path}):
        with pytest.raises(SettingInvalid, match=tmp_path.name):
            Variety.of(**more)


# Wordings


def test_no_wording_that_is_kept_back_is_ever_trained() -> None:
    assert set(PLAIN) == set(TRAINED) == set(KEPT_BACK)
    trained = {*PLAIN.values(), *(text for texts in TRAINED.values() for text in texts)}
    kept = {text for texts in KEPT_BACK.values() for text in texts}
    assert not trained & kept and len(every_wording()) == len(trained) + len(kept)
    rng = np.random.default_rng(0)
    for kind in PLAIN:
        assert {wording(kind, "trained", rng) for _ in range(80)} <= trained
        assert {wording(kind, "kept back", rng) for _ in range(20)} <= kept


# Another hand


@pytest.mark.parametrize("index", range(4))
def test_scenes_of_another_hand_hold_what_they_say(index: int) -> None:
    other = other_scene(3, index, Materials.packaged())
    picture, scene = other.draw(), other.scene
    width, height = picture.size
    assert 0.45 <= width / height <= 3.1 and len(scene.items) >= 3
    pixels = np.asarray(picture).astype(int)
    for item in scene.items:
        half = item.size * width / 2
        x, y = item.x * width, item.y * height
        # Beside the text: a quarter below the middle, near the left; inside every shape.
        patch = pixels[int(y + 0.72 * half) : int(y + 0.84 * half), int(x - 0.1 * half) : int(x + 0.1 * half)]
        tone = np.median(patch.reshape(-1, 3), axis=0)
        nearest = min(SMALL.colours, key=lambda name: float(np.abs(tone - np.array(COLOURS[name])).sum()))
        if item.shape in ("circle", "square"):
            assert nearest == item.colour or {nearest, item.colour} <= {"orange", "yellow", "red", "purple", "blue"}


def test_a_scene_of_another_hand_is_always_the_same() -> None:
    one, two = (other_scene(3, 5, Materials.packaged()) for _ in range(2))
    assert one == two and one.draw().tobytes() == two.draw().tobytes()
    assert other_scene(3, 5, Materials.packaged(), "held-out") != one


@pytest.mark.parametrize("world", ["small", "deep", "fine", "varied", "other", "foreign"])
def test_every_world_gives_as_many_questions_as_are_asked_for(world: World) -> None:
    found = list(tasks(world, n=7, seed=2, split="test", style="kept back", macro_side=128, variety=FACES))
    assert len(found) == len({task.name for task in found}) == 7
    with found[0].open() as picture:
        assert picture.size.width >= 256
