"""Paths and data: URLs: only regular files where allowed, only RFC 2397; nothing blocks, nothing leaks (I7, U11)."""

import base64
import os
import threading
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from zoo import jpeg, png

from zoomagent.errors import InputRefused
from zoomagent.media import Limits, open_picture

BASE64 = base64.b64encode(png()).decode()


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{BASE64}",
        f"data:;base64,{BASE64}",
        f"DATA:image/png;BASE64,{BASE64}",
        f"data:image/png;charset=utf-8;name=x.png;base64,{BASE64}",
        f"data:text/html;base64,{BASE64}",
        f"data:image/png;base64,{BASE64[:40]} {BASE64[40:]}",
        f"data:image/png;base64,{base64.encodebytes(png()).decode()}",
        f"data:image/png;base64,\r\n{BASE64[:76]}\r\n\t{BASE64[76:]}\r\n",
        f"data:image/png;base64,{BASE64[:76]}%0A{BASE64[76:]}%0d%0a",
        "data:image/png," + "".join(f"%{byte:02X}" for byte in png()),
        f"data:image/png;base64,{BASE64.replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}",
    ],
)
def test_rfc_2397_forms_open(url: str) -> None:
    assert open_picture(url).id == open_picture(png()).id


@pytest.mark.parametrize(
    "url",
    [
        f"data:image/png;base64,{BASE64[:-3]}",
        f"data:image/png;base64,{BASE64}====",
        f"data:image/png;base64{BASE64}",
        "data:",
        "data:image/png;base64,data:image/png;base64,AAAA",
        "data:image/png,%zz",
        "data:image/png,\x89PNG",
        "data:" + "x" * 5000 + ",",
        "data:image/png;base64,ÄÖ==",
    ],
    ids=range(9),
)
def test_other_data_urls_are_refused(url: str) -> None:
    with pytest.raises(InputRefused) as refusal:
        open_picture(url)
    assert refusal.value.code == "bad_data_url"


@pytest.mark.parametrize("form", ["{}", "file://{}", "file:{}", "FILE://localhost{}", "~/a b.png", "file://{quoted}"])
def test_files_open_by_every_name_that_people_type(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "a b.png"
    file.write_bytes(png())
    name = form.format(file, quoted=quote(str(file)))
    assert open_picture(name).id == open_picture(png()).id
    assert open_picture(name, limits=Limits(roots=(str(tmp_path),))).id == open_picture(png()).id
    assert code_of(name, Limits(roots=(str(tmp_path / "other"),))) == "path_not_allowed"


def test_a_path_object_of_the_home_folder_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(png())
    assert open_picture(Path("~/a.png")).id == open_picture(png()).id


@pytest.mark.parametrize("name", ["file://host/a.png", "file://host", "file://127.0.0.1/etc/passwd"])
def test_files_of_other_machines_are_refused(name: str) -> None:
    assert code_of(name) == "url_not_allowed"


@pytest.mark.parametrize(
    "name", ["file:///etc/passwd", "file:/../etc/passwd", "file:///pics/%2e%2e/%2e%2e/etc/passwd", "~/.ssh/id"]
)
def test_no_name_leads_out_of_the_allowed_folders(name: str, tmp_path: Path) -> None:
    assert code_of(name, Limits(roots=(str(tmp_path),))) == "path_not_allowed"
    assert code_of(name, Limits(roots=())) == "path_not_allowed"


def code_of(source: object, limits: Limits | None = None) -> str:
    start = time.perf_counter()
    with pytest.raises(InputRefused) as refusal:
        open_picture(source, limits=limits)  # type: ignore[arg-type]
    assert time.perf_counter() - start < 10
    assert "tmp" not in str(refusal.value) and "passwd" not in str(refusal.value)
    return refusal.value.code


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    """U11: a pipe without a writer, devices, folders, missing and unreadable names."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    names = ["fifo", "dangling", "loop", "missing", ".", "a\0b", "x" * 300, "y/" * 3000]
    sources = [tmp_path / name for name in names] + ["/dev/zero", "/dev/stdin", "/", "", "\ud800"]
    for source in sources:
        assert code_of(source) == "not_a_file", source
        assert code_of(str(source)) == "not_a_file", source


def test_proc_files_are_no_pictures() -> None:
    assert code_of("/proc/self/environ") in ("unsupported_image", "not_a_file")


def test_roots_keep_paths_inside(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "in-side"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "p.jpg").write_bytes(jpeg())
    (inside / "out.jpg").symlink_to(outside / "p.jpg")
    (inside / "folder").symlink_to(outside)
    (inside / "again.jpg").symlink_to(inside / "p.jpg")
    limits = Limits(roots=(str(inside),))
    for good in ("p.jpg", "again.jpg", "../in/p.jpg", "./p.jpg"):
        assert open_picture(inside / good, limits=limits).size.width == 160
    for bad in ("out.jpg", "folder/p.jpg", "../in-side/p.jpg", "../../../../../../etc/passwd", "/etc/passwd"):
        assert code_of(inside / bad, limits) == "path_not_allowed"
    assert code_of(inside / "nothing", limits) == "not_a_file"
    assert code_of("/proc/self/environ", limits) == "path_not_allowed"


def test_a_path_outside_is_told_how_to_be_allowed_from_the_command_and_from_python(tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match=r"--root.*Limits\.roots") as refused:
        open_picture("/etc/passwd", limits=Limits(roots=(str(tmp_path),)))
    assert refused.value.code == "path_not_allowed" and str(tmp_path) not in str(refused.value)


def test_a_link_swapped_while_opening_never_shows_what_lies_outside(tmp_path: Path) -> None:
    """U11: the folder is swapped for a link to the outside, back and forth."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "a").mkdir(parents=True)
    outside.mkdir()
    (inside / "a" / "p.png").write_bytes(png())
    (outside / "p.png").write_bytes(jpeg())
    (tmp_path / "link").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(inside / "a", tmp_path / "kept")
            os.rename(tmp_path / "link", inside / "a")
            os.rename(inside / "a", tmp_path / "link")
            os.rename(tmp_path / "kept", inside / "a")

    swapping = threading.Thread(target=swap)
    swapping.start()
    good, seen = open_picture(png()).id, set()
    try:
        for _ in range(60):
            try:
                seen.add(open_picture(inside / "a" / "p.png", limits=Limits(roots=(str(inside),))).id)
            except InputRefused as refusal:
                assert refusal.code in ("not_a_file", "path_not_allowed")
    finally:
        stop.set()
        swapping.join()
    assert seen <= {good}


def test_text_streams_and_broken_streams_are_refused() -> None:
    class Text:
        def read(self, count: int, /) -> str:
            return "text"

    assert code_of(Text()) == "not_a_file"


HUGE = 24_900_000


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("data:," + "A" * HUGE, "too_many_bytes"),
        ("data:," + "%41" * HUGE, "too_many_bytes"),
        ("data:," + "%41" * 90_000 + "%4", "bad_data_url"),
        ("data:," + "A" * 290_000 + '"', "bad_data_url"),
        ("data:;base64," + "%2B" * 5_000_000, "unsupported_image"),
        ("data:;base64," + "%2B" * 8_000_000, "too_many_bytes"),
        ("data:;base64," + "é" * HUGE, "bad_data_url"),
        ("data:;base64," + "AAAA" * 8_000_000 + "A===", "bad_data_url"),
        ("data:;base64," + "AA==" * 8_000_000, "bad_data_url"),
        ("data:" + "x" * 30_000_000, "bad_data_url"),
    ],
    ids=range(10),
)
def test_a_data_url_of_any_size_is_quickly_read_or_refused(url: str, code: str) -> None:
    began = time.process_time()
    assert code_of(url) == code
    assert time.process_time() - began < 0.5
