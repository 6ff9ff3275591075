"""verl's adapter runs the same episodes and gives the same rewards as ZoomEnv; verl itself is stood in for."""

import asyncio
import importlib
import io
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from PIL import Image
from rl_world import pointing, row, write_scene
from zoom_world import NEAR, PROFILE

from zoomagent.errors import SettingInvalid
from zoomagent.models.profiles import profile_for
from zoomagent.tools.definitions import ZOOM_IN, ZOOM_OUT, definitions
from zoomagent.training.rl.environment import EnvConfig, ZoomEnv
from zoomagent.training.rl.rewards import BOX
from zoomagent.training.rl.verl_core import SOURCE, Sessions, compute_score, config_from, last_words, to_verl

EXAMPLE = Path(__file__).parent.parent / "examples" / "verl"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> EnvConfig:
    return EnvConfig(PROFILE, write_scene(tmp_path_factory.mktemp("scene")), (ZOOM_IN, ZOOM_OUT))


class Trajectory:
    """As verl's AgentData: an object with extra fields, hashable by identity."""

    def __init__(self) -> None:
        self.extra_fields: dict[str, Any] = {}


def test_calls_and_reward_are_those_of_the_environment(config: EnvConfig) -> None:
    env, sessions, trajectory = ZoomEnv(config), Sessions(config), Trajectory()
    env.reset(row(NEAR))
    for arguments in (pointing(NEAR), pointing(NEAR), pointing(NEAR, img_idx=9)):
        one, other = env.call(ZOOM_IN, arguments), sessions.call(trajectory, row(NEAR), ZOOM_IN, arguments)
        assert one.text == other.text and [i.tobytes() for i in one.images] == [i.tobytes() for i in other.images]
    env.finish(NEAR.text)
    response = "user\n<tool_response>\nimg_idx 1\n</tool_response>\nuser\n\nassistant\n47"
    extra = {"row": json.dumps(row(NEAR)), **trajectory.extra_fields}
    parts = compute_score(SOURCE, response, NEAR.text, extra)
    assert parts["score"] == pytest.approx(env.reward().total) and parts["tool"] == 1 and parts["format"] == 0
    boxed = compute_score(SOURCE, response, NEAR.text, extra, stage="box")
    assert boxed["score"] == pytest.approx(parts["score"] + BOX.geometry * parts["geometry"])


def test_trajectories_do_not_see_each_other_and_do_not_stay(config: EnvConfig) -> None:
    sessions, first, second = Sessions(config), Trajectory(), Trajectory()
    for trajectory in (first, second):
        assert sessions.call(trajectory, row(NEAR), ZOOM_IN, pointing(NEAR)).ok
    assert len(sessions._sessions) == 2
    del first, trajectory
    assert len(sessions._sessions) == 1


@pytest.mark.parametrize(
    ("response", "words"),
    [
        ("47", "47"),
        ("x\n<tool_response>\na\n</tool_response>\nuser\n\nassistant\nred", "red"),
        ("assistant\n", "assistant"),
    ],
)
def test_the_answer_is_the_last_turn(response: str, words: str) -> None:
    assert last_words(response) == words


def test_an_answer_without_a_call_is_rewarded_without_the_tool() -> None:
    parts = compute_score(SOURCE, "47", "47", {"row": json.dumps(row(NEAR))})
    assert parts["score"] == pytest.approx(1.0)
    with pytest.raises(SettingInvalid, match="not of 'other'"):
        compute_score("other", "47", "47", {})


def test_rows_carry_the_picture_as_first_shown_and_all_the_tool_needs(config: EnvConfig) -> None:
    made = to_verl(row(NEAR, resolution=48 * 48), config)
    assert Image.open(io.BytesIO(made["images"][0]["bytes"])).size == (48, 48)
    assert made["prompt"][0]["content"].startswith("<image>What is written")
    kept = json.loads(made["extra_info"]["tools_kwargs"][ZOOM_IN]["create_kwargs"]["row"])
    assert Sessions(config).call(Trajectory(), kept, ZOOM_IN, pointing(NEAR)).ok


def test_the_yaml_offers_our_own_definitions() -> None:
    for tool in yaml.safe_load((EXAMPLE / "tools.yaml").read_text())["tools"]:
        profile = profile_for(tool["config"]["model"], {})
        [ours] = definitions([tool["tool_schema"]["function"]["name"]], profile.space)
        theirs, wanted = tool["tool_schema"]["function"], ours["function"]
        assert (theirs["name"], theirs["description"]) == (wanted["name"], wanted["description"])
        assert theirs["parameters"]["required"] == wanted["parameters"]["required"]
        for name, given in theirs["parameters"]["properties"].items():
            full = wanted["parameters"]["properties"][name]
            assert given == {"type": full["type"], "description": full["description"]}


def test_the_tool_class_speaks_verls_interface(config: EnvConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in with the signatures of verl 0.9.1: `BaseTool(config, schema)`, create, execute, release."""
    for name, content in (("verl", {}), ("verl.tools", {}), ("verl.tools.base_tool", {"BaseTool": Base}),
                          ("verl.tools.schemas", {"ToolResponse": SimpleNamespace})):  # fmt: skip
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "zoomagent.training.rl.verl_tool", raising=False)
    tool_class = importlib.import_module("zoomagent.training.rl.verl_tool").ZoomTool
    settings = {"model": "qwen3-vl", "images": str(config.images), "tools": [ZOOM_IN, ZOOM_OUT]}
    tool = tool_class(settings, SimpleNamespace(function=SimpleNamespace(name=ZOOM_IN)))

    async def one() -> Any:
        name, _ = await tool.create(create_kwargs={"row": json.dumps(row(NEAR))})
        done = await tool.execute(name, pointing(NEAR), agent_data=Trajectory())
        await tool.release(name)
        return done

    response, reward, noted = asyncio.run(one())
    assert response.text.startswith("img_idx 1 shows") and len(response.image) == 1
    assert (reward, noted) == (0.0, {"zoom_refused": 0.0}) and not tool._rows


# Of verl and hydra; nothing of ours is involved.
@pytest.mark.filterwarnings("ignore")
def test_the_package_itself_takes_the_examples(config: EnvConfig, tmp_path: Path) -> None:
    """Where verl is installed (0.9.1 was): its registry loads tools.yaml, a call is answered, run.sh is a config."""
    registry = pytest.importorskip("verl.tools.tool_registry", reason="needs verl, in an environment of its own")
    import verl

    hydra = pytest.importorskip("hydra")
    tools = yaml.safe_load((EXAMPLE / "tools.yaml").read_text())
    for tool in tools["tools"]:
        tool["config"] |= {"model": "qwen3-vl", "images": str(config.images)}
    (tmp_path / "tools.yaml").write_text(yaml.safe_dump(tools))
    zoom, out = registry.initialize_tools_from_config(str(tmp_path / "tools.yaml"))
    assert (zoom.name, out.name) == (ZOOM_IN, ZOOM_OUT)

    async def one() -> Any:
        name, _ = await zoom.create(create_kwargs={"row": json.dumps(row(NEAR))})
        return await zoom.execute(name, pointing(NEAR), agent_data=Trajectory())

    response, _, _ = asyncio.run(one())
    assert response.text.startswith("img_idx 1 shows") and len(response.image) == 1
    line = (EXAMPLE / "run.sh").read_text().replace("\\\n", " ").split("main_ppo", 1)[1]
    given = [one.replace('"', "").replace("${2:-", "").replace("}", "") for one in line.split()]
    with hydra.initialize_config_dir(str(Path(verl.__file__).parent / "trainer" / "config"), version_base=None):
        made = hydra.compose(
            "ppo_trainer", overrides=[one.replace("$1", "/data").replace("$HERE", "/h") for one in given]
        )
    assert made.actor_rollout_ref.rollout.multi_turn.format == "hermes" and made.data.image_key == "images"
    assert made.reward.custom_reward_function.path == "/h/reward.py"


class Base:
    def __init__(self, config: dict[str, Any], tool_schema: Any) -> None:
        self.config, self.tool_schema, self.name = config, tool_schema, tool_schema.function.name


def test_a_config_that_lacks_something_says_what() -> None:
    with pytest.raises(SettingInvalid, match="images, tools"):
        config_from({"model": "qwen3-vl"})
