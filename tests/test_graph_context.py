"""The graph as a server runs it: without an agent, from settings and a picture's name alone."""

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel
from langgraph.checkpoint.memory import InMemorySaver
from PIL import Image

import zoomagent.graphs.context as context_module
from zoomagent.graphs.context import Context
from zoomagent.graphs.macro_micro import graph
from zoomagent.graphs.zoom import builder
from zoomagent.graphs.zoom import graph as zoom
from zoomagent.tools.viewing import id_of


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of pictures that the server may open, and a model behind every name."""
    monkeypatch.setattr(context_module, "_benches", {})
    monkeypatch.setattr(context_module, "load_model", lambda spec: FakeModel(respond=lambda call: "Exit"))
    monkeypatch.setenv("ZOOMAGENT_IMAGES", str(tmp_path / "images"))
    (tmp_path / "images").mkdir()
    Image.new("RGB", (100, 80)).save(tmp_path / "images" / "in.png")
    Image.new("RGB", (100, 80)).save(tmp_path / "out.png")
    return tmp_path / "images"


def outcome(image: str, **settings: Any) -> Any:
    question = {"image": image, "question": "What?"}
    context = Context(strategy="macro", **settings)
    return asyncio.run(graph.ainvoke(question, context=context))["outcome"]  # type: ignore[call-overload]


def test_a_picture_below_the_folder_is_opened(opened: Path) -> None:
    assert outcome("in.png")["kind"] == "answered"
    assert outcome(str(opened / "in.png"))["kind"] == "answered"


@pytest.mark.parametrize("name", ["../out.png", "/etc/passwd", "a\0b", "link.png", "../images/../out.png"])
def test_no_other_file_is_opened(opened: Path, name: str) -> None:
    (opened / "link.png").symlink_to(opened.parent / "out.png")
    assert (outcome(name)["kind"], outcome(name)["code"]) == ("refused", "path_not_allowed")


@pytest.mark.parametrize("name", ["missing.png", "."])
def test_what_is_no_file_is_refused(opened: Path, name: str) -> None:
    assert outcome(name)["code"] == "not_a_file"


def test_a_data_url_is_opened(opened: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (100, 80)).save(buffer, "PNG")
    assert outcome(f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}")["kind"] == "answered"


def test_a_changed_file_is_opened_again(opened: Path) -> None:
    outcome("in.png")
    Image.new("RGB", (200, 80)).save(opened / "in.png")
    outcome("in.png")
    assert len(context_module._benches) == 2


def test_few_pictures_are_kept(opened: Path) -> None:
    for number in range(8):
        Image.new("RGB", (100 + number, 80)).save(opened / f"{number}.png")
        assert outcome(f"{number}.png")["kind"] == "answered"
    assert len(context_module._benches) <= 4


NAMED = "http://127.0.0.1:8000/v1#m"


@pytest.mark.parametrize(
    "model",
    [
        *("http://127.0.0.1:9000/v1#m", "hf:some/model", "/etc", ".", "", " ", f"nano,{NAMED}", f" {NAMED}", "nano "),
        *(NAMED.replace("#m", "#n"), NAMED.replace("v1", "v2"), NAMED.replace("//", "//a@"), NAMED.upper(), NAMED[:-2]),
    ],
)
def test_no_model_is_used_but_those_that_the_operator_named(
    opened: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOOMAGENT_MODELS", f"{NAMED}, runs/my model")
    assert outcome("in.png", model=NAMED)["kind"] == "answered"
    assert outcome("in.png", model="runs/my model")["kind"] == "answered"
    ended = outcome("in.png", model=model)
    assert (ended["kind"], ended["code"]) == ("failed", "setting_invalid")
    assert "ZOOMAGENT_MODELS" in ended["reasons"][0] and "127.0.0.1" not in str(ended)


def test_without_a_word_of_the_operator_there_is_the_packaged_model_alone(
    opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZOOMAGENT_MODELS", raising=False)
    assert outcome("in.png")["kind"] == "answered"
    assert outcome("in.png", model=NAMED)["code"] == "setting_invalid"


@pytest.mark.parametrize("arbiter", ["other.json", "/etc/passwd", "", "nano", "./a.json"])
def test_no_arbiter_is_read_but_those_that_the_operator_named(
    opened: Path, arbiter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOOMAGENT_ARBITERS", "a.json")
    assert outcome("in.png", arbiter=arbiter)["code"] == "setting_invalid"
    assert outcome("in.png", arbiter="a.json")["kind"] == "answered"


@pytest.mark.parametrize("given", [{"image": "a.png"}, {"image": "a.png", "question": " "}, {"question": "What?"}, {}])
def test_an_input_that_lacks_something_is_refused_not_a_bug(opened: Path, given: dict[str, Any]) -> None:
    asked: Any = given
    ended: Any = asyncio.run(graph.ainvoke(asked, context=Context(model="nano", strategy="macro")))
    missing = "image" if "image" not in given else "question"
    assert ended["outcome"]["code"] == "bad_question" and missing in ended["outcome"]["reasons"][0]


def test_a_graph_server_takes_no_profile_from_its_clients(opened: Path) -> None:
    context = Context(model="nano", strategy="macro", profile={"max_pixels": 1 << 28})
    asked: Any = {"image": "in.png", "question": "What?"}
    ended: Any = asyncio.run(graph.ainvoke(asked, context=context))
    assert ended["outcome"]["code"] == "setting_invalid"


def asked(given: dict[str, Any], on: Any = graph, **settings: Any) -> Any:
    return asyncio.run(on.ainvoke(given, context=Context(**{"strategy": "macro", **settings})))["outcome"]


IN = {"image": "in.png", "question": "What?"}
HALF = "\ud800"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"options": [1, 2]}, "bad_question"),
        ({"options": "red"}, "bad_question"),
        ({"options": {"a": 1}}, "bad_question"),
        ({"options": [None]}, "bad_question"),
        ({"options": ["a", "A"]}, "bad_question"),
        ({"options": [HALF]}, "bad_question"),
        ({"options": ["a"] * 200_000}, "bad_question"),
        ({"question": "a" * 100_000}, "bad_question"),
        ({"question": HALF}, "bad_question"),
        ({"image": "a" * 100_000}, "not_a_file"),
        ({"image": "a/" * 5000}, "not_a_file"),
        ({"image": HALF}, "bad_question"),
        ({"image": "circle/a.png"}, "not_a_file"),
        ({"image": "in.png/a.png"}, "not_a_file"),
        ({"image": f"data:image/png;base64,{HALF}"}, "bad_question"),
    ],
)
def test_an_input_that_can_not_be_is_refused_with_its_code(opened: Path, given: dict[str, Any], code: str) -> None:
    (opened / "circle").symlink_to("circle")
    ended = asked({**IN, **given})
    assert (ended["kind"], ended["code"]) == ("refused", code)


@pytest.mark.parametrize("strategy", ["macro", "micro", "dualfocus", "dualfocus-published"])
def test_a_strategy_of_the_other_graph_is_an_invalid_setting(opened: Path, strategy: str) -> None:
    assert asked(IN, zoom, strategy=strategy)["code"] == "setting_invalid"


@pytest.mark.parametrize("extra", [{"model": "dear"}, {"n": 128}, {"messages": []}, {"enable_thinking": True}])
def test_what_the_models_server_is_sent_besides_is_the_operators_alone(opened: Path, extra: dict[str, Any]) -> None:
    assert asked(IN, extra_body=extra)["code"] == "setting_invalid"


# States that a client of the server wrote


def whole_view(image: str) -> dict[str, Any]:
    kept = asyncio.run(graph.ainvoke({**IN, "image": image}, context=Context(strategy="macro")))  # type: ignore[call-overload]
    return dict(kept["views"][0])


def kept_thread(values: dict[str, Any], node: str = "look") -> Any:
    """The outcome of a thread whose state a client wrote before it ran on."""

    async def done() -> Any:
        runner = builder.compile(checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "t"}}
        await runner.aupdate_state(config, IN, as_node="__start__")
        await runner.aupdate_state(config, values, as_node=node)
        return await runner.ainvoke(None, config, context=Context(strategy="locate"))

    return asyncio.run(done())


def test_a_view_that_a_client_wrote_is_no_other_runs_view(opened: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (100, 80), "red").save(opened / "in.png")
    view = whole_view("in.png")
    for changed in ({"blank": True}, {"marks": [[0, 0, 90, 70]]}, {"box": [0, 0, 9, 9]}, {"depth": 7}):
        monkeypatch.setattr(context_module, "_benches", {})
        kept_thread(state_with({**view, **changed}))
        after = whole_view("in.png")
        bench = next(iter(context_module._benches.values()))
        assert after == view and not bench.views.emptied()._records


def state_with(*views: dict[str, Any]) -> dict[str, Any]:
    """What a run knows that has looked at the whole."""
    macro = {"text": "Exit", "reply": "Exit", "letter": None, "valid": True, "likelihood": None}
    picture = {"width": 100, "height": 80, "notes": [], "id": views[0]["picture"]}
    return {"picture": picture, "views": list(views), "macro": {**macro, "views": [views[0]["id"]]}}


def named(view: dict[str, Any]) -> dict[str, Any]:
    return {**view, "id": id_of(view)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda view: {"views": [{**view, "blank": True}]},
        lambda view: {"views": [{**view, "id": "view-a"}]},
        lambda view: {"views": [named({**view, "blank": True, "size": [20_000, 20_000]})]},
        lambda view: {"views": [named({**view, "size": [60_000, 60_000]})]},
        lambda view: {"views": [named({**view, "picture": "another"})]},
        lambda view: {"views": [named({**view, "box": [0, 0, 101, 80]})]},
        lambda view: {"views": [named({**view, "marks": [[1, 2]]})]},
        lambda view: {"views": [{"id": "a"}]},
        lambda view: {"macro": {"text": 1}},
        lambda view: {"calls": [{"id": "a"}]},
        lambda view: {"steps": [{"id": "a", "seconds": "x"}]},
        lambda view: {"targets": [target(box=[5, 5, 5, 5])]},
        lambda view: {"targets": [target(box=[1, 2])]},
        lambda view: {"targets": [target(seen=1e200)]},
        lambda view: {"tried": [0] * 200_000},
    ],
)
def test_a_state_that_no_run_leaves_is_refused(opened: Path, wrong: Any) -> None:
    view = whole_view("in.png")
    ended = kept_thread({**state_with(view), **wrong(view)})["outcome"]
    assert (ended["kind"], ended["code"]) == ("refused", "bad_state")


NO_ENTRIES: list[Any] = [
    [{"a": 1}],
    [{"id": [1]}],
    [{"id": {}}],
    [None],
    [[]],
    ["a"],
    5,
    "ab",
    {"id": "a"},
    True,
    [1.5, {}],
]


@pytest.mark.parametrize("field", ["views", "messages", "targets", "checks", "steps", "calls", "tags"])
@pytest.mark.parametrize("written", NO_ENTRIES, ids=str)
def test_what_is_no_entry_is_refused_and_ends_no_later_run_untyped(opened: Path, field: str, written: Any) -> None:
    view = whole_view("in.png")
    ended = kept_thread({**state_with(view), field: written})["outcome"]
    assert (ended["kind"], ended["code"]) == ("refused", "bad_state")


def test_a_state_that_a_run_left_is_gone_on_with(opened: Path) -> None:
    view = whole_view("in.png")
    kept = state_with(view, named({**view, "blank": True}))
    assert kept_thread(kept)["outcome"]["kind"].startswith("answered")


# States of the right shape whose parts do not fit together


def target(**other: Any) -> dict[str, Any]:
    known = {"id": "t", "phrase": "sign", "fate": "located", "source": "", "depth": 0, "box": [9, 9, 30, 30]}
    return {**known, "crop": "", "seen": None, "policy": "locate", **other}


@pytest.mark.parametrize("node", ["look", "name", "ground", "confirm", "check", "conclude", "prove", "weigh"])
@pytest.mark.parametrize(
    "written",
    [
        lambda kept: {},
        lambda kept: {"views": [], "macro": {**kept["macro"], "views": []}},
        lambda kept: {**kept, "macro": {**kept["macro"], "views": []}, "micro": kept["macro"]},
        lambda kept: {"picture": kept["picture"], "micro": {**kept["macro"], "views": []}},
        lambda kept: {**kept, "targets": [target(box=[])]},
        lambda kept: {**kept, "targets": [target(box=[500, 500, 900, 900])], "phrases": ["sign"]},
        lambda kept: {**kept, "targets": [target(fate="counted", policy="count")], "policy": "count"},
        lambda kept: {**kept, "targets": [target(fate="wanted", box=None)], "tried": []},
        lambda kept: {**kept, "picture": {**kept["picture"], "width": 0, "height": 0}, "views": []},
    ],
)
def test_a_state_whose_parts_do_not_fit_ends_with_an_outcome(opened: Path, node: str, written: Any) -> None:
    ended = kept_thread(written(state_with(whole_view("in.png"))), node)["outcome"]
    assert ended["kind"].startswith("answered") or ended["code"] in ("bad_state", "no_answer"), ended
