"""Questions that come through a pipe are asked; what is no file and no pipe is refused, and never waited for."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoomagent.batch import piped
from zoomagent.batch.answers import AnswerFile
from zoomagent.batch.piped import as_file, is_pipe
from zoomagent.errors import InputRefused, SettingInvalid, StoreError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes with names")
LINES = b"".join(json.dumps({"image": "none.png", "question": f"{i}?"}).encode() + b"\n" for i in range(3))


@pytest.fixture
def pipe() -> Iterator[tuple[Path, int]]:
    """A pipe as a shell hands it over: its name, and the end to write into."""
    reading, writing = os.pipe()
    yield Path(f"/dev/fd/{reading}"), writing
    os.close(reading)


def test_what_comes_through_a_pipe_is_read_to_its_end(pipe: tuple[Path, int]) -> None:
    path, writing = pipe
    many = LINES * 20_000

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(many)

    writer = threading.Thread(target=write)
    writer.start()
    assert is_pipe(path)
    with as_file(path) as file:
        writer.join()
        assert file.read_bytes() == many and file.is_file()
    assert not file.exists()


def test_a_pipe_that_is_closed_without_a_word_is_empty(pipe: tuple[Path, int]) -> None:
    path, writing = pipe
    os.close(writing)
    with as_file(path) as file:
        assert file.read_bytes() == b""


def test_a_pipe_with_a_name_is_read_too(tmp_path: Path) -> None:
    fifo = tmp_path / "questions"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(LINES,))
    writer.start()
    with as_file(fifo) as file:
        assert file.read_bytes() == LINES
    writer.join()


def test_a_pipe_into_which_nobody_writes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piped, "WRITER_SECONDS", 0.05)
    os.mkfifo(tmp_path / "questions")
    with pytest.raises(InputRefused, match="nobody writes") as refusal, as_file(tmp_path / "questions"):
        pass
    assert refusal.value.code == "not_a_file"


def test_what_never_ends_is_refused(pipe: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    path, writing = pipe
    monkeypatch.setattr(piped, "MAX_BYTES", 1000)
    os.write(writing, bytes(1001))
    with pytest.raises(InputRefused) as refusal, as_file(path):
        pass
    assert refusal.value.code == "too_many_bytes"
    os.close(writing)


def test_what_is_neither_file_nor_pipe_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        names = ["/dev/zero", "/dev/full", "/dev/null", "/", str(tmp_path / "none"), str(tmp_path / "socket"), "a\0b"]
        for name in names:
            with pytest.raises(InputRefused) as refusal, as_file(Path(name)):
                pass
            assert refusal.value.code == "not_a_file", name


def test_a_file_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_bytes(LINES)
    (tmp_path / "link").symlink_to(tmp_path / "q.jsonl")
    for path in (tmp_path / "q.jsonl", tmp_path / "link"):
        with as_file(path) as file:
            assert file == path


@pytest.mark.parametrize("name", ["/dev/full", "/dev/null", "/dev/zero", "fifo"])
def test_answers_go_to_a_regular_file_only(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    out = tmp_path / name
    with pytest.raises(SettingInvalid, match="regular file"), AnswerFile(out, {}):
        pass
    assert not Path(f"{out}.run.json").exists()


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "[]", "null", "1", '"x"', "{", "", "\ud800".encode("utf-8", "surrogatepass")]
)
def test_settings_that_are_none_are_told(text: str | bytes, tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    out.write_bytes(b'{"id": "a"}\n')
    Path(f"{out}.run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StoreError) as caught, AnswerFile(out, {}):
        pass
    assert caught.value.code == "run_mismatch"


def test_the_command_answers_questions_that_are_piped_into_it(tmp_path: Path) -> None:
    """`cat questions.jsonl | zoomagent batch /dev/stdin`: paths of pictures begin in the working folder."""
    out = tmp_path / "a.jsonl"
    called = [sys.executable, "-m", "zoomagent.cli", "batch", "/dev/stdin", "--out", str(out), "--json"]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(called, input=LINES, capture_output=True, timeout=300, cwd=tmp_path, env=here)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["rows"] == 3
    assert [json.loads(line)["code"] for line in out.read_text().splitlines()] == ["not_a_file"] * 3
