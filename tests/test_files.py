"""Files are written and read where files are: devices, pipes and folders stay what they are, and nothing without an end
is read to its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoomagent.confidence.records import read_records
from zoomagent.errors import SettingInvalid
from zoomagent.files import read_text, write_together, write_whole
from zoomagent.journal import Journal
from zoomagent.training.calibration.scope import read_looks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and devices have other names there")


def odd_place(kind: str, folder: Path) -> Path:
    place = folder / kind
    match kind:
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case "link to a pipe":
            os.mkfifo(folder / "far")
            place.symlink_to("far")
        case "link to a device":
            place.symlink_to("/dev/zero")
        case "device":
            place = Path("/dev/zero")
    return place


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a pipe", "link to a device"])
def test_what_is_no_file_is_not_replaced_by_one(kind: str, tmp_path: Path) -> None:
    place = odd_place(kind, tmp_path)
    before = os.lstat(place)
    with pytest.raises(OSError, match="Not a regular file"):
        write_whole(place, b"content")
    with pytest.raises(OSError, match="Not a regular file"):
        write_together(tmp_path, {"beside": b"1", place.name: b"2"})
    after = os.lstat(place)
    assert (before.st_mode, before.st_ino) == (after.st_mode, after.st_ino)
    assert not (tmp_path / "beside").exists() and not list(tmp_path.glob(".*"))


def test_a_folder_that_names_itself_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".", "..", "/"):
        with pytest.raises(OSError, match="Not a regular file"):
            write_whole(Path(name), b"content")


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a pipe", "link to a device"])
def test_lines_are_kept_in_a_regular_file(kind: str, tmp_path: Path) -> None:
    place = odd_place(kind, tmp_path)
    with pytest.raises(SettingInvalid, match="no regular file"), Journal(place) as journal:
        list(journal.lines())


@pytest.mark.parametrize("read", [read_text, read_records, read_looks])
@pytest.mark.parametrize("kind", ["device", "link to a device"])
def test_what_has_no_end_is_not_read(kind: str, read: object, tmp_path: Path) -> None:
    # In a process with little memory: reading on would take all that there is.
    module, name = read.__module__, read.__name__  # type: ignore[attr-defined]
    code = (
        f"import resource; from pathlib import Path; from {module} import {name}\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
        f"try: {name}(Path({str(odd_place(kind, tmp_path))!r}))\n"
        "except Exception as error: print(type(error).__name__)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert said.stdout.strip() in ("OSError", "SettingInvalid"), said.stderr


def test_text_that_comes_through_a_pipe_is_read(tmp_path: Path) -> None:
    give, take = os.pipe()
    os.write(take, "Maß\n".encode())
    os.close(take)
    try:
        assert read_text(Path(f"/dev/fd/{give}")) == "Maß\n"
    finally:
        os.close(give)
