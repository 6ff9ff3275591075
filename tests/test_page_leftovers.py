"""What a killed page server left: gone at the next start, and nothing else with it."""

import signal
from pathlib import Path

import httpx2
from mcp_world import picture
from serving_world import PATIENCE, started

from zoomagent.page.leftovers import cleared

ASKED, UNASKED = "a" * 64, "b" * 64


def folder_of(tmp_path: Path) -> Path:
    """Two pictures, a run about one of them, a draft, and files of the user's."""
    pictures = tmp_path / "runs" / "pictures"
    for name in (ASKED, UNASKED, f".{UNASKED}.123", "holiday.jpg", "c" * 63, f"{'d' * 64}.png"):
        pictures.mkdir(parents=True, exist_ok=True)
        (pictures / name).write_bytes(b"")
    run = tmp_path / "runs" / "20260101-120000-1f2e3d"
    run.mkdir()
    (run / "answer.json").write_text(f'{{"picture": {{"id": "{ASKED}"}}}}')
    (tmp_path / "runs" / UNASKED).write_bytes(b"")
    return tmp_path / "runs"


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "pictures").iterdir()}


def test_only_pictures_and_drafts_that_no_run_names_go(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    with cleared(folder):
        assert names(folder) == {ASKED, "holiday.jpg", "c" * 63, f"{'d' * 64}.png"}
    assert (folder / UNASKED).exists(), "it lies in another folder"


def test_nothing_goes_while_another_server_has_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    with cleared(folder):
        folder_of(tmp_path)
        with cleared(folder):
            assert UNASKED in names(folder)
    with cleared(folder):
        assert UNASKED not in names(folder)


def test_where_a_run_can_not_be_read_nothing_goes(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "20260101-120000-000000" / "answer.json").mkdir(parents=True)
    with cleared(folder):
        assert UNASKED in names(folder)


def test_a_folder_that_can_not_be_made_is_left_to_the_first_picture_to_tell(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with cleared(tmp_path / "runs"):
        pass


def test_a_picture_that_a_killed_server_took_is_gone_with_the_next_start(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    picture().save(file)
    with started(tmp_path, "page", "--runs", "runs") as (first, address):
        posted = httpx2.post(f"{address}api/pictures", content=file.read_bytes(), timeout=PATIENCE)
        name = posted.json()["name"]
        first.kill()
    assert names(tmp_path / "runs") == {name}
    with started(tmp_path, "page", "--runs", "runs") as (second, address):
        assert httpx2.get(f"{address}api/pictures/{name}", timeout=PATIENCE).status_code == 404
        second.send_signal(signal.SIGINT)
        assert second.wait(PATIENCE) == 0
    assert names(tmp_path / "runs") == set()
