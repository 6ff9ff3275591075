"""A published set asked of several servers of one model: pictures stay with one, and one that dies loses nothing."""

from collections import Counter
from pathlib import Path

import pytest
from fake_server import Action, FakeServer, Fault, images_of

from zoomagent.answer import Answer
from zoomagent.errors import ModelUnavailable, SettingInvalid
from zoomagent.evaluation.answerers import shared_name
from zoomagent.evaluation.contestants import outcome_of
from zoomagent.evaluation.public import Plan, measure
from zoomagent.evaluation.results import ResultFile, load
from zoomagent.evaluation.sets.public.catalogue import SETS, check
from zoomagent.evaluation.sets.public.drawing import draw_set
from zoomagent.models.base import Model
from zoomagent.models.server.openai_server import OpenAIModel
from zoomagent.models.server.retrying import RetryPolicy
from zoomagent.run_record import Outcome

N = 10


class Mortal(FakeServer):
    """A server that answers so many requests and then is gone; it counts questions by picture."""

    def __init__(self, lives: int = 10**6) -> None:
        super().__init__(brain=lambda seen: "A")
        self.lives = lives

    def decide(self, path: str, body: bytes) -> Action:
        if path.endswith("completions"):
            self.lives -= 1
        return Fault("refuse") if self.lives < 0 else super().decide(path, body)

    def model(self, pixels: int) -> tuple[str, Model]:
        once = RetryPolicy(attempts=1)
        return "one", OpenAIModel("http://fake/v1", "qwen3-vl", transport=self.transport(), retries=once)

    @property
    def pictures(self) -> set[bytes]:
        """The whole pictures it was shown."""
        return {images_of(request)[0].tobytes() for request in self.requests if request.get("messages")}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("vstar") / "set"
    draw_set(SETS["vstar"], folder, N, 320)
    contents = check(SETS["vstar"], folder, part=True)
    return Plan(SETS["vstar"], folder, contents, ("auto", "p2r"), (0,), at_once=3)


def ask(plan: Plan, servers: list[Mortal], kept: ResultFile | None = None) -> list[tuple[str, str, str]]:
    loads = [server.model for server in servers]
    found = measure(plan, loads[0], kept, others=loads[1:])
    return [(r.key.strategy, r.key.question, r.given) for r in found]


def test_every_picture_stays_with_one_server(plan: Plan) -> None:
    servers = [Mortal(), Mortal(), Mortal()]
    assert sorted(ask(plan, servers)) == sorted(ask(plan, [Mortal()]))
    shown = Counter(picture for server in servers for picture in server.pictures)
    assert len(shown) > 1 and set(shown.values()) == {1} and sum(bool(server.pictures) for server in servers) > 1


@pytest.mark.parametrize("lives", [0, 1, 7, 20])
def test_a_server_that_dies_loses_nothing(plan: Plan, lives: int) -> None:
    assert sorted(ask(plan, [Mortal(), Mortal(lives)])) == sorted(ask(plan, [Mortal()]))


def test_when_all_servers_are_gone_the_run_stops_and_goes_on_later(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    with pytest.raises(ModelUnavailable, match="go on"):
        ask(plan, [Mortal(20), Mortal(15)], ResultFile(file))
    before = load(file)
    assert 0 < len(before) < 3 * N and all(r.outcome == "answered" for r in before)
    assert len(ask(plan, [Mortal()], ResultFile(file))) == len(load(file)) == 3 * N


def test_an_answer_that_could_not_look_closer_because_its_server_went_is_none() -> None:
    answer = Answer(question="?", outcome=Outcome(kind="answered_degraded", codes=("model_unavailable",)))
    assert outcome_of(answer) == "failed: model_unavailable"
    answer = Answer(question="?", outcome=Outcome(kind="answered_degraded", codes=("budget_calls",)))
    assert outcome_of(answer) == "answered_degraded"


def test_servers_are_one_model_known_by_its_name() -> None:
    one, two, other = "http://a/v1#Qwen", "http://b/v1#Qwen", "http://b/v1#Other"
    assert shared_name([one], {}) == shared_name([two], {}) == shared_name([one, two], {}) == "#Qwen"
    assert shared_name([one], {"max_pixels": 9}) != "#Qwen" and shared_name(["http://a/v1"], {}) == "http://a/v1"
    assert shared_name(["http://a/v1#nano"], {}) == "#nano" and shared_name(["nano"], {}).startswith("nano ")
    for some in ([one, other], [one, "http://b/v1"], ["http://a/v1", "http://b/v1"], ["nano", one]):
        with pytest.raises(SettingInvalid, match="same name"):
            shared_name(some, {})
