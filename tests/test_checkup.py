"""`doctor --thorough`: what it says of a server is what the server did."""

import asyncio
import json
from typing import Any, get_args

import pytest
from fake_server import Action, Body, FakeServer, Fault, Seen, Status, serve
from test_models_doctor import seeing

from zoomagent import checkup
from zoomagent.checkup import CLIENTS, NUMBER, thorough_checks
from zoomagent.models.doctor import Check
from zoomagent.models.loading import load_model
from zoomagent.strategy import Strategy

STRATEGIES = [f"strategy {name}" for name in get_args(Strategy)]


def reads(number: str) -> Any:
    """A brain that points at a place and says this number wherever it looks."""

    def brain(seen: Seen) -> str:
        if "bounding box" in "".join(seen.text.splitlines()[-2:]):
            return "[600, 400, 800, 700]"
        return "Yes" if "Yes or No" in seen.text else number

    return brain


async def tried(server: FakeServer, *names: str) -> dict[str, Check]:
    """The named checks of the model behind the server."""
    async with serve(server) as address:
        spec = f"{address}#qwen3-vl"
        model = load_model(spec)
        checks = thorough_checks(spec)
        try:
            return {name: await checks[name](model) for name in names}
        finally:
            await model.aclose()


def test_a_strategy_is_tried_and_what_it_answered_is_said() -> None:
    names = ("strategy macro", "strategy dualfocus")
    right = asyncio.run(tried(FakeServer(reads(NUMBER)), *names))
    assert {name: check.works for name, check in right.items()} == dict.fromkeys(names, "yes")
    wrong = asyncio.run(tried(FakeServer(reads("12")), "strategy macro"))["strategy macro"]
    assert wrong.works == "unclear" and "'12', 1 calls" in wrong.found


def test_a_strategy_that_ends_without_an_answer_is_told_with_its_code() -> None:
    class Broken(FakeServer):
        def decide(self, path: str, body: bytes) -> Action:
            return Status(400, body={"error": {"message": "no"}})

    check = asyncio.run(tried(Broken(), "strategy macro"))["strategy macro"]
    assert check.works == "no" and "bad_request" in check.found


class Locked(FakeServer):
    """Wants a key, or takes any."""

    def __init__(self, locked: bool) -> None:
        super().__init__()
        self._locked = locked

    def decide(self, path: str, body: bytes) -> Action:
        return Status(401, body={"error": {"message": "no"}}) if self._locked else super().decide(path, body)


@pytest.mark.parametrize(("locked", "works"), [(True, "yes"), (False, "unclear")])
def test_a_server_that_takes_any_key_is_told(locked: bool, works: str) -> None:
    assert asyncio.run(tried(Locked(locked), "a wrong key"))["a wrong key"].works == works


def test_as_many_clients_as_were_promised_are_there_and_who_is_turned_away_is_counted() -> None:
    class Busy(FakeServer):
        served = 0

        def decide(self, path: str, body: bytes) -> Action:
            self.served += 1
            return super().decide(path, body) if self.served <= CLIENTS - 2 else Status(400, body={})

    name = f"{CLIENTS} clients at once"
    good = FakeServer(seeing("thousand"))
    assert asyncio.run(tried(good, name))[name].works == "yes" and len(good.requests) == CLIENTS
    check = asyncio.run(tried(Busy(seeing("thousand")), name))[name]
    assert check.works == "no" and f"{CLIENTS - 2} answered" in check.found


class Counting(FakeServer):
    """Never ends a reply, and says how many it works on: none any more once it was seen, or one for ever."""

    def __init__(self, stubborn: bool) -> None:
        super().__init__()
        self._stubborn, self._asked, self._seen = stubborn, False, False

    def decide(self, path: str, body: bytes) -> Action:
        if path.endswith("/metrics"):
            running = self._asked and (self._stubborn or not self._seen)
            self._seen = self._asked
            return Body(f'# HELP x\nvllm:num_requests_running{{engine="0"}} {float(running)}\n'.encode())
        self._asked = True
        assert json.loads(body)["ignore_eos"] is True
        return Fault("stall")


@pytest.mark.parametrize(("stubborn", "works"), [(False, "yes"), (True, "no")])
def test_a_request_that_goes_on_after_it_was_cancelled_is_told(
    monkeypatch: pytest.MonkeyPatch, stubborn: bool, works: str
) -> None:
    monkeypatch.setattr(checkup, "POLLS", 10)
    name = "cancelling ends the request"
    assert asyncio.run(tried(Counting(stubborn), name))[name].works == works
    none = asyncio.run(tried(FakeServer(), name))[name]
    assert none.works == "unclear" and "no count" in none.found


def test_scripts_and_dialects_and_repeated_answers_are_tried() -> None:
    found = asyncio.run(
        tried(
            FakeServer(seeing("thousand")),
            "says the same again",
            "likelihood of any script",
            "calls as text and as fields",
        )
    )
    assert {check.works for check in found.values()} == {"yes"}
    assert "openai, hermes" in found["calls as text and as fields"].found


def test_a_model_in_this_process_has_no_server_to_be_tried() -> None:
    assert set(STRATEGIES) < set(thorough_checks("nano")) and "a wrong key" not in thorough_checks("nano")
