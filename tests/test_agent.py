"""ZoomAgent: what callers see. One way to end per run, steps as they happen, many questions at once."""

import asyncio
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_model import Call, FakeModel
from langgraph.checkpoint.memory import InMemorySaver
from PIL import Image, ImageDraw

from zoomagent import Answer, Budget, Step, ZoomAgent
from zoomagent.errors import InputRefused, ModelUnavailable
from zoomagent.graphs.context import Bench
from zoomagent.media import open_picture
from zoomagent.tools.verifying import sees

Agent = partial(ZoomAgent, strategy="dualfocus")
"""Two looks and a choice: the shortest run with everything in it."""

QUESTION = "What is written on the sign?"
BOX = "[500, 500, 600, 600]"


def respond(call: Call) -> str:
    """A model that reads more when it is shown a crop."""
    if call.text.count("[x1, y1, x2, y2]") and len(call.views) == 1:
        return BOX
    return "Exit 12" if len(call.views) == 2 else "Exit"


def scores(call: Call) -> list[float]:
    return [-3.0, -0.1]


@pytest.fixture
def image() -> Image.Image:
    picture = Image.new("RGB", (1600, 1200), "grey")
    ImageDraw.Draw(picture).rectangle((800, 600, 960, 720), fill="red")
    return picture


@pytest.fixture
def agent() -> Iterator[ZoomAgent]:
    with Agent(FakeModel(respond=respond, respond_score=scores)) as agent:
        yield agent


def test_an_answer_says_what_why_where_and_at_what_price(agent: ZoomAgent, image: Image.Image) -> None:
    answer = agent.ask(image, QUESTION)
    assert (answer.text, answer.perspective, answer.outcome.kind) == ("Exit 12", "micro", "answered")
    assert answer.confidence == pytest.approx(0.905, abs=0.001)
    assert answer.macro is not None and answer.macro.text == "Exit"
    assert answer.boxes == (answer.evidence[1].box,)
    assert answer.evidence[1].target == (800, 600, 960, 720)
    assert answer.cost.model_calls == 4 and answer.cost.visual_tokens > 0
    assert answer.compared_by == "shared"
    assert "log-likelihood" in answer.reasons[0]
    assert [step.name for step in answer.steps][-1] == "arbitrate"


def test_an_answer_survives_json(agent: ZoomAgent, image: Image.Image) -> None:
    answer = agent.ask(image, QUESTION)
    assert Answer.model_validate_json(answer.model_dump_json()) == answer


def test_steps_come_as_they_happen_then_the_answer(image: Image.Image) -> None:
    seen: list[int] = []
    model = FakeModel(respond=respond, respond_score=scores)
    with Agent(model) as agent:
        items = []
        for item in agent.stream(image, QUESTION):
            items.append(item)
            seen.append(len(model.history))
    assert all(isinstance(item, Step) for item in items[:-1]) and isinstance(items[-1], Answer)
    assert [item.name for item in items[:-1] if isinstance(item, Step)][:2] == ["look", "locate"]
    assert items[-1].steps == tuple(items[:-1])


def test_leaving_a_stream_early_cancels_the_run(image: Image.Image) -> None:
    entered, stopped = threading.Event(), threading.Event()

    class Endless(FakeModel):
        async def generate(self, messages: Any, **options: Any) -> Any:
            if self.history:
                entered.set()
                try:
                    await asyncio.sleep(60)
                finally:
                    stopped.set()
            return await super().generate(messages, **options)

    with Agent(Endless(respond=respond)) as agent:
        for _ in agent.stream(image, QUESTION):
            assert entered.wait(30)
            break
        assert stopped.wait(30), "the call went on after its reader left"


def test_it_works_where_an_event_loop_is_running(agent: ZoomAgent, image: Image.Image) -> None:
    async def notebook() -> tuple[Answer, Answer, list[Any]]:
        items = [item async for item in agent.astream(image, QUESTION)]
        return agent.ask(image, QUESTION), await agent.aask(image, QUESTION), items

    sync, awaited, items = asyncio.run(notebook())
    assert sync.text == awaited.text == items[-1].text == "Exit 12"


def test_a_batch_keeps_its_order_and_outlives_a_bad_item(agent: ZoomAgent, image: Image.Image) -> None:
    answers = agent.batch([(image, "one?"), (image, " "), (image, "two?", ["Exit", "Exit 12"])])
    assert [answer.question for answer in answers] == ["one?", " ", "two?"]
    assert [answer.outcome.kind for answer in answers] == ["answered", "refused", "answered"]


def test_a_bug_that_one_question_meets_loses_no_other_answer(
    image: Image.Image, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(call: Call) -> str | Exception:
        return TypeError("a bug") if "two" in call.text else "Exit"

    with ZoomAgent(FakeModel(respond=answer), strategy="macro") as agent:
        first, second, third = agent.batch([(image, "one?"), (image, "two?"), (image, "three?")])
    assert first.text == third.text == "Exit"
    assert (second.outcome.kind, second.outcome.code, second.question) == ("failed", "bug", "two?")
    assert "a bug" in caplog.text


def test_a_batch_runs_as_many_as_it_was_allowed_and_never_more(image: Image.Image) -> None:
    running, most, three = 0, 0, asyncio.Barrier(3)

    class Counting(FakeModel):
        async def generate(self, messages: Any, **options: Any) -> Any:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.wait_for(three.wait(), 30)
            running -= 1
            return await super().generate(messages, **options)

    with Agent(Counting(respond=respond), strategy="macro") as agent:
        agent.batch([(image, f"{i}?") for i in range(12)], concurrency=3)
    assert most == 3


def test_many_concurrent_runs_do_not_mix_their_pictures() -> None:
    """Each picture carries its number as its colour; 64 runs at once each read their own."""

    def read(call: Call) -> str:
        return str(call.views[0].image.getpixel((5, 5))[0])  # type: ignore[index]

    pictures = [Image.new("RGB", (96, 96), (i, i, i)) for i in range(64)]
    with Agent(FakeModel(respond=read), strategy="macro") as agent:
        answers = agent.batch([(picture, "which?") for picture in pictures], concurrency=64)
    assert [answer.text for answer in answers] == [str(i) for i in range(64)]


def test_an_open_picture_stays_open(agent: ZoomAgent, image: Image.Image) -> None:
    with open_picture(image) as picture:
        assert agent.ask(picture, "one?").answered
        assert agent.ask(picture, "two?").answered


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("", ()),
        ("   ", ()),
        ("a" * 9000, ()),
        ("ok?", ("",)),
        ("ok?", ("a" * 2001, "b")),
        ("ok?", ("a", "A.")),
        ("\ud800?", ()),
        (7, ()),
    ],
)
def test_what_can_not_be_asked_is_refused(agent: ZoomAgent, image: Image.Image, question: Any, options: Any) -> None:
    answer = agent.ask(image, question, options)
    assert (answer.outcome.kind, answer.outcome.code) == ("refused", "bad_question")
    assert answer.outcome.exit_status == 65
    assert not answer.answered and answer.text == ""


def test_a_picture_that_can_not_be_read_is_refused(agent: ZoomAgent) -> None:
    answer = agent.ask(b"no picture at all", QUESTION)
    assert answer.outcome.kind == "refused"


def test_a_server_that_is_down_fails_the_run(image: Image.Image) -> None:
    with Agent(FakeModel(respond=lambda call: ModelUnavailable("gone"))) as agent:
        answer = agent.ask(image, QUESTION)
    assert (answer.outcome.kind, answer.outcome.code) == ("failed", "model_unavailable")
    assert answer.outcome.exit_status == 75


def test_misuse_of_the_class_raises(image: Image.Image) -> None:
    with pytest.raises(ValueError, match="strategy"):
        Agent("nano", strategy="guess")  # type: ignore[arg-type]
    with Agent(FakeModel(respond=respond)) as agent, pytest.raises(ValueError, match="checkpointer"):
        agent.ask(image, QUESTION, thread_id="a")


# With a checkpointer


def test_a_finished_run_is_not_run_again(image: Image.Image, tmp_path: Path) -> None:
    model = FakeModel(respond=respond, respond_score=scores)
    with Agent(model, checkpointer=tmp_path / "runs.sqlite") as agent:
        first = agent.ask(image, QUESTION, thread_id="one")
        calls = len(model.history)
        again = agent.ask(image, QUESTION, thread_id="one")
    assert len(model.history) == calls
    assert (again.text, again.steps) == (first.text, first.steps)


def test_a_run_without_a_name_gets_one(image: Image.Image) -> None:
    with Agent(FakeModel(respond=respond, respond_score=scores), checkpointer=InMemorySaver()) as agent:
        first, second = agent.batch([(image, QUESTION), (image, QUESTION)])
        assert first.thread_id and second.thread_id and first.thread_id != second.thread_id
        assert agent.ask(image, QUESTION, thread_id=first.thread_id).steps == first.steps


def test_a_failed_call_of_a_bug_is_resumed_where_it_was(image: Image.Image) -> None:
    broken = True

    def flaky(call: Call) -> Any:
        return KeyError("bug") if broken and len(call.views) == 2 else respond(call)

    model = FakeModel(respond=flaky, respond_score=scores)
    with Agent(model, checkpointer=InMemorySaver()) as agent:
        with pytest.raises(KeyError):
            agent.ask(image, QUESTION, thread_id="one")
        broken = False
        calls = len(model.history)
        assert agent.ask(image, QUESTION, thread_id="one").text == "Exit 12"
        assert len(model.history) == calls + 2, "only the failed answer and the weighing are asked"


def test_a_thread_belongs_to_one_question_and_one_set_of_settings(image: Image.Image) -> None:
    saver = InMemorySaver()
    with Agent(FakeModel(respond=respond, respond_score=scores), checkpointer=saver) as agent:
        agent.ask(image, QUESTION, thread_id="one")
        other = agent.ask(image, "Another?", thread_id="one")
    assert (other.outcome.kind, other.outcome.code) == ("failed", "run_mismatch")
    assert "question" in other.reasons[0]
    with Agent(FakeModel(respond=respond), strategy="macro", checkpointer=saver) as agent:
        assert agent.ask(image, QUESTION, thread_id="one").outcome.code == "run_mismatch"


def test_the_same_thread_twice_at_once_is_refused(image: Image.Image) -> None:
    class Patient(FakeModel):
        async def generate(self, messages: Any, **options: Any) -> Any:
            await asyncio.sleep(0.05)
            return await super().generate(messages, **options)

    async def both(agent: ZoomAgent) -> list[Answer]:
        asks = [agent.aask(image, QUESTION, thread_id="one") for _ in range(2)]
        return list(await asyncio.gather(*asks))

    with Agent(Patient(respond=respond, respond_score=scores), checkpointer=InMemorySaver()) as agent:
        answers = asyncio.run(both(agent))
    assert sorted(str(answer.outcome.code) for answer in answers) == ["None", "run_already_active"]


def test_two_agents_on_one_file_do_not_write_at_once(image: Image.Image, tmp_path: Path) -> None:
    """The kernel lock holds between open file descriptions, so a second agent stands for a second process."""
    entered, leave = threading.Event(), threading.Event()

    class Waiting(FakeModel):
        async def generate(self, messages: Any, **options: Any) -> Any:
            entered.set()
            await asyncio.to_thread(leave.wait)
            return await super().generate(messages, **options)

    path = tmp_path / "runs.sqlite"
    with (
        Agent(Waiting(respond=respond, respond_score=scores), checkpointer=path) as first,
        Agent(FakeModel(respond=respond, respond_score=scores), checkpointer=path) as second,
    ):
        thread = threading.Thread(target=first.ask, args=(image, QUESTION), kwargs={"thread_id": "a"})
        thread.start()
        assert entered.wait(30)
        refused = second.ask(image, QUESTION, thread_id="b")
        leave.set()
        thread.join()
        assert refused.outcome.code == "run_already_active" and refused.outcome.exit_status == 75
        assert second.ask(image, QUESTION, thread_id="b").answered


@pytest.mark.parametrize("content", [b"not a database at all" * 300, b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_damaged_checkpoint_file_is_named(image: Image.Image, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "runs.sqlite"
    path.write_bytes(content)
    with Agent(FakeModel(respond=respond), checkpointer=path) as agent:
        answer = agent.ask(image, QUESTION, thread_id="one")
    assert (answer.outcome.kind, answer.outcome.code) == ("failed", "checkpoint_corrupt")
    assert path.read_bytes() == content, "the file is kept as it was"


def test_a_folder_that_is_not_there_is_named(image: Image.Image, tmp_path: Path) -> None:
    with Agent(FakeModel(respond=respond), checkpointer=tmp_path / "no" / "runs.sqlite") as agent:
        assert agent.ask(image, QUESTION, thread_id="one").outcome.code == "store_read_only"


@pytest.mark.parametrize("thread", ["", "a b", "'; drop table", "../x", "x" * 129])
def test_thread_ids_are_plain_names(image: Image.Image, thread: str) -> None:
    with Agent(FakeModel(respond=respond), checkpointer=InMemorySaver()) as agent, pytest.raises(ValueError):
        agent.ask(image, QUESTION, thread_id=thread)


def test_a_checkpoint_of_a_ten_step_run_with_a_large_picture_stays_small(tmp_path: Path) -> None:
    """12 megapixels, with one repair turn: ten checkpoints. Limit 0.5 MB."""
    replies = ["Exit", "[1, 2]", BOX, "Exit 12"]
    model = FakeModel()
    model.enqueue(replies)
    model.enqueue_scores([[-3.0, -0.1]])
    path = tmp_path / "runs.sqlite"
    with Agent(model, checkpointer=path) as agent:
        answer = agent.ask(Image.new("RGB", (4000, 3000), "grey"), QUESTION, thread_id="one")
    size = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert len(answer.steps) == 8, "ten checkpoints: input, start and eight steps"
    assert size < 500_000, f"{size} bytes"


def test_budgets_are_arguments(image: Image.Image) -> None:
    with Agent(FakeModel(respond=respond), budget=Budget(calls=1)) as agent:
        answer = agent.ask(image, QUESTION)
    assert answer.outcome.kind == "answered_degraded" and answer.text == "Exit"


def test_opening_counts_as_time_of_the_run(image: Image.Image) -> None:
    def slowly(source: Any) -> Any:
        time.sleep(0.2)
        return open_picture(source)

    with Agent(FakeModel(respond=respond), opener=slowly, budget=Budget(seconds=0.1)) as agent:
        assert agent.ask(image, QUESTION).outcome.code == "budget_seconds"


def test_an_opener_of_ones_own_is_used(image: Image.Image) -> None:
    def refuse(source: Any) -> Any:
        raise InputRefused("Not this one.", code="path_not_allowed")

    with Agent(FakeModel(respond=respond), opener=refuse) as agent:
        assert agent.ask(image, QUESTION).outcome.code == "path_not_allowed"


def test_other_settings_share_the_model_and_the_loop() -> None:
    with ZoomAgent("nano") as agent:
        other = agent.using(strategy="macro", target_error=0.2)
        assert (other.context.strategy, agent.context.strategy) == ("macro", "auto")
        asyncio.run(other.aload())
        assert agent.using()._held.model is other._held.model is not None
    assert other._held.model is None
    with pytest.raises(ValueError, match="strategy"):
        agent.using(strategy="guess")


def test_single_tools_work_on_the_open_picture_with_the_model_of_the_runs() -> None:
    model = FakeModel()
    model.enqueue_scores([[-0.1, -3.0]])

    async def seen(bench: Bench) -> float | None:
        return await sees(bench.model, bench.views, bench.views.whole()["id"], "a red car")

    with ZoomAgent(model) as agent:
        assert asyncio.run(agent.awork(Image.new("RGB", (64, 64)), seen)) > 0.9  # type: ignore[operator]
        with pytest.raises(InputRefused):
            asyncio.run(agent.awork("nowhere.png", seen))
