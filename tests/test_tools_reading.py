"""Text in pictures is read at the picture's own size, where it stands, by looking closer only where that can help."""

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_model import FAKE_PROFILE
from PIL import Image, ImageDraw, ImageFont

from zoomagent.errors import SettingInvalid, ToolError
from zoomagent.geometry import Box, Size, coverage, intersect, whole
from zoomagent.media import Picture, open_picture
from zoomagent.media.picture import Request
from zoomagent.tools.cropping import crop
from zoomagent.tools.lines import Line, Reading, line_of
from zoomagent.tools.reader import Pixels, Quad, ReaderModels, rapid_reader
from zoomagent.tools.reading import PictureText, Progress, level, read, read_text
from zoomagent.tools.viewing import ViewStore

reads = pytest.mark.skipif(find_spec("rapidocr") is None, reason="needs the extra `ocr`")
SIGN, SMALL = Box(1195, 840, 1390, 895), Box(890, 280, 980, 310)


class BarReader:
    """Finds black bars of at least 6 pixels of a view, and spells one as its own width: a reader with known eyes."""

    def __init__(self) -> None:
        self.views: list[Size] = []

    def find(self, pixels: Pixels) -> list[Quad]:
        self.views.append(Size(pixels.shape[1], pixels.shape[0]))
        dark = (pixels.min(2) < 128).astype(np.uint8)
        closed = cv2.morphologyEx(dark, cv2.MORPH_CLOSE, np.ones((1, 9), np.uint8))
        contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        boxes = [cv2.boundingRect(contour) for contour in contours]
        return [
            np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float) for x, y, w, h in boxes if min(w, h) >= 6
        ]

    def spell(self, line: Pixels) -> tuple[str, float]:
        return f"{line.shape[1]}", 0.99


def hatched(size: Size, boxes: list[Box], stroke: int = 3) -> Image.Image:
    """White paper where each box is filled with thin strokes that lean both ways: as fine as small letters."""
    drawn = np.full((size.height, size.width, 3), 255, np.uint8)
    for box in boxes:
        part = drawn[box.top : box.bottom, box.left : box.right]
        y, x = np.mgrid[: box.height, : box.width]
        part[((x + y) % (2 * stroke) < stroke) | ((x - y) % (2 * stroke) < stroke)] = 0
    return Image.fromarray(drawn)


@pytest.fixture(scope="module")
def picture() -> Iterator[Picture]:
    """A grey picture with a sign and, elsewhere, words of 12 pixels."""
    drawn = np.full((1500, 2000, 3), 200, np.uint8)
    cv2.putText(drawn, "EXIT 1234", (1205, 880), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (20, 20, 20), 3)
    cv2.putText(drawn, "tiny words", (900, 300), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (10, 10, 10), 1)
    with open_picture(Image.fromarray(drawn)) as opened:
        yield opened


@pytest.fixture
def views(picture: Picture) -> ViewStore:
    return ViewStore(picture, FAKE_PROFILE)


@reads
def test_text_is_read_with_its_place_in_the_original(views: ViewStore) -> None:
    view = crop(views, views.whole()["id"], [560, 500, 740, 640]).views[0]["id"]
    [line] = asyncio.run(read(views, view))
    assert line.text == "EXIT 1234" and 0.9 < line.score <= 1
    assert coverage(line.box, SIGN) > 0.95 and coverage(SIGN, line.box) > 0.5


@reads
def test_text_is_read_at_the_pictures_size_and_not_at_the_models(picture: Picture) -> None:
    views = ViewStore(picture, FAKE_PROFILE, max_pixels=64 * 64)
    view = crop(views, views.whole()["id"], [420, 170, 520, 220]).views[0]
    assert view["size"][0] < 120, "the model is shown it too small to read"
    [line] = asyncio.run(read(views, view["id"]))
    assert line.text == "tiny words" and coverage(line.box, SMALL) > 0.9


@reads
@pytest.mark.parametrize(
    ("pixels", "apart", "at"), [(9, 40, (3000, 2500)), (12, 40, (500, 300)), (9, 30, (1900, 1200))]
)
@pytest.mark.parametrize("count", [2, 3, 5])
def test_lines_that_look_like_one_sign_from_afar_are_read(
    pixels: int, apart: int, at: tuple[int, int], count: int
) -> None:
    """Three lines of small letters are a sure `三` at a quarter of their size."""
    texts = ["call Anna 4711", "room 27 floor 3", "ticket A-1934", "open till nine", "no dogs please"][:count]
    drawn = Image.new("RGB", (4000, 3000), "white")
    pen = ImageDraw.Draw(drawn)
    for number, text in enumerate(texts):
        pen.text((at[0], at[1] + number * apart), text, fill="black", font=ImageFont.load_default(size=pixels))
    with open_picture(drawn) as picture:
        lines = read_text(picture, models=ReaderModels(threads=1)).lines
    assert len(lines) == count
    for number, line in enumerate(lines):
        assert at[1] + number * apart <= (line.box.top + line.box.bottom) / 2 <= at[1] + number * apart + 1.5 * pixels
        assert len(set(texts[number].split()) & set(line.text.split())) >= 1


@reads
def test_a_large_sign_is_read_from_afar_alone() -> None:
    drawn = Image.new("RGB", (4000, 3000), "white")
    ImageDraw.Draw(drawn).text((1500, 1200), "EXIT 27", fill="black", font=ImageFont.load_default(size=200))
    with open_picture(drawn) as picture:
        text = read_text(picture, models=ReaderModels(threads=1))
    assert [line.text for line in text.lines] == ["EXIT 27"] and text.views == 1


@reads
def test_where_nothing_is_written_nothing_is_read(views: ViewStore) -> None:
    assert asyncio.run(read(views, crop(views, views.whole()["id"], [0, 0, 200, 100]).views[0]["id"])) == []


@reads
def test_a_blanked_view_holds_no_text(views: ViewStore) -> None:
    view = crop(views, views.whole()["id"], [560, 500, 740, 640]).views[0]["id"]
    assert asyncio.run(read(views, views.blank(view)["id"])) == []


@reads
def test_large_and_small_straight_and_turned_lines_are_read_in_one_go_and_where_they_stand() -> None:
    drawn = np.full((2600, 3400, 3), 240, np.uint8)
    cv2.putText(drawn, "MUSEUM", (300, 500), cv2.FONT_HERSHEY_SIMPLEX, 8, (20, 20, 20), 20)
    cv2.putText(drawn, "open until 18:45", (2500, 1800), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (10, 10, 10), 1)
    side = np.full((60, 400, 3), 240, np.uint8)
    cv2.putText(side, "PLATFORM 7", (10, 45), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (20, 20, 20), 3)
    drawn[1600:2000, 400:460] = np.rot90(side)
    with open_picture(Image.fromarray(drawn)) as picture:
        text = read_text(picture)
    found = {line.text.replace(" ", ""): line for line in text.lines}
    assert set(found) == {"MUSEUM", "openuntil18:45", "PLATFORM7"} and text.complete
    assert coverage(found["openuntil18:45"].box, Box(2480, 1770, 2680, 1820)) > 0.9
    assert coverage(found["PLATFORM7"].box, Box(390, 1590, 470, 2010)) > 0.9
    looked = sum(box.area / shrink**2 for shrink, box in text.looked)
    assert looked < 0.3 * 2600 * 3400, "no place is looked at closer than it needs"


def test_what_is_too_fine_for_the_overview_is_looked_at_closer_and_nothing_else() -> None:
    size, fine = Size(6400, 4800), [Box(400, 600, 700, 620), Box(5000, 4000, 5400, 4020)]
    reader = BarReader()
    with open_picture(hatched(size, fine)) as picture:
        text = read_text(picture, reader=reader)
    assert len(text.lines) == 2 and text.complete
    for line, box in zip(text.lines, fine, strict=True):
        assert coverage(box, line.box) > 0.95 and coverage(line.box, box) > 0.7
    assert {shrink for shrink, _ in text.looked} > {4}
    closer = sum(view.pixels for view in reader.views[1:])
    assert closer < 0.02 * size.pixels, "the rest of the page is blank"


def test_rules_and_frames_are_no_reason_to_look_closer() -> None:
    drawn = np.full((4800, 6400, 3), 255, np.uint8)
    cv2.rectangle(drawn, (300, 300), (6000, 4400), (0, 0, 0), 2)
    cv2.line(drawn, (500, 900), (5800, 3100), (0, 0, 0), 2)

    class Blind(BarReader):
        def find(self, pixels: Pixels) -> list[Quad]:
            super().find(pixels)
            return []

    reader = Blind()
    with open_picture(Image.fromarray(drawn)) as picture:
        read_text(picture, reader=reader)
    assert sum(view.pixels for view in reader.views[1:]) < 0.025 * 6400 * 4800, "no more than where two of them meet"


def test_a_line_longer_than_a_view_is_one_line() -> None:
    long = Box(100, 700, 4700, 716)
    with open_picture(hatched(Size(4800, 1400), [long])) as picture:
        text = read_text(picture, reader=BarReader())
    [line] = text.lines
    assert coverage(long, line.box) > 0.98 and coverage(line.box, long) > 0.7


@pytest.mark.parametrize("size", [Size(1, 1), Size(5, 700), Size(900, 900)])
def test_a_picture_without_text_has_none(size: Size) -> None:
    told: list[Progress] = []
    with open_picture(Image.new("RGB", (size.width, size.height), (250, 250, 250))) as picture:
        text = read_text(picture, reader=BarReader(), progress=told.append)
    assert text.lines == () and text.complete and text.views == 1 and told


class EndlessScan:
    """Pixels of a page full of small letters, drawn when they are asked for."""

    def __init__(self) -> None:
        self.largest = 0
        self._tile = np.full((64, 64), 255, np.uint8)
        cv2.putText(self._tile, "ab", (6, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 0, 1)

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        for box, size in requests:
            self.largest = max(self.largest, size.pixels)
            side = max(1, round(64 * size.width / box.width))
            tile = cv2.resize(self._tile, (side, side), interpolation=cv2.INTER_AREA)
            rows, columns = -(-size.height // side), -(-size.width // side)
            yield Image.fromarray(np.tile(tile, (rows, columns))[: size.height, : size.width]).convert("RGB")

    def prepare(self) -> None:
        """All is ready."""

    def close(self) -> None:
        """Nothing to give back."""


def test_a_hundred_megapixels_of_fine_strokes_cost_a_bounded_number_of_bounded_views() -> None:
    reader, scan, most = BarReader(), EndlessScan(), 12
    with Picture("scan", Size(12_000, 8_400), (), scan) as picture:
        text = read_text(picture, reader=reader, max_views=most)
    assert len(reader.views) == text.views == most and not text.complete
    assert max(view.pixels for view in reader.views) <= 1600 * 1600 and scan.largest < 13_000_000
    with Picture("scan", Size(12_000, 8_400), (), scan) as picture:
        assert read_text(picture, Box(500, 500, 1500, 1300), reader=reader).complete


class Banner:
    """A white page of any size with fine strokes in one box, drawn when it is asked for."""

    def __init__(self, strokes: Box) -> None:
        self.strokes = strokes
        self._drawn = hatched(Size(strokes.width, strokes.height), [Box(0, 0, strokes.width, strokes.height)])

    def regions(self, requests: Sequence[Request]) -> Iterator[Image.Image]:
        for box, size in requests:
            view = Image.new("RGB", (size.width, size.height), "white")
            part = intersect(box, self.strokes)
            if part.area:
                x, y = size.width / box.width, size.height / box.height
                left, top = part.left - self.strokes.left, part.top - self.strokes.top
                own = self._drawn.crop((left, top, left + part.width, top + part.height))
                shrunk = own.resize(
                    (max(1, round(part.width * x)), max(1, round(part.height * y))), Image.Resampling.BOX
                )
                view.paste(shrunk, (round((part.left - box.left) * x), round((part.top - box.top) * y)))
            yield view

    def prepare(self) -> None:
        """All is ready."""

    def close(self) -> None:
        """Nothing to give back."""


def test_a_picture_of_any_width_is_read_to_its_far_end() -> None:
    size, strokes = Size(70_000, 1100), Box(68_000, 700, 68_300, 716)
    with Picture("banner", size, (), Banner(strokes)) as picture:
        text = read_text(picture, reader=BarReader())
        beside = read_text(picture, Box(30_001, 133, 68_200, 900), reader=BarReader())
    for read_of, expected in ((text, strokes), (beside, Box(68_000, 700, 68_200, 716))):
        [line] = read_of.lines
        assert coverage(expected, line.box) > 0.9 and coverage(line.box, expected) > 0.7


@pytest.mark.parametrize(("width", "height"), [(12_000, 12_000), (40_000, 600), (600, 40_000), (50_000, 20_000)])
def test_a_line_of_any_length_and_direction_can_be_cut_out(width: int, height: int) -> None:
    corner, far = np.array([60.0, 60.0]), np.array([width - 60.0, height - 60.0])
    along = (far - corner) / np.linalg.norm(far - corner)
    down = np.array([-along[1], along[0]]) * 16
    quad = np.array([corner - down, far - down, far + down, corner + down])
    with Picture("line", Size(width, height), (), Banner(Box(0, 0, 8, 8))) as picture:
        rows, columns = level(picture, quad).shape[:2]
    assert min(rows, columns) >= 8 and max(rows, columns) > 20 * min(rows, columns)


def test_a_sure_line_is_not_looked_at_again_and_an_unsure_one_is() -> None:
    class Doubter(BarReader):
        def spell(self, line: Pixels) -> tuple[str, float]:
            return "word", 0.6 if len(self.views) == 1 else 0.95

    box = Box(500, 500, 900, 580)
    with open_picture(hatched(Size(3000, 2000), [box], stroke=16)) as picture:
        [sure] = read_text(picture, reader=BarReader()).lines
        [unsure] = read_text(picture, reader=Doubter()).lines
    assert [one.score for one in sure.readings] == [0.99]
    assert unsure.score == 0.95 and [one.score for one in unsure.readings] == [0.95, 0.6], "both are kept"


@pytest.mark.parametrize(("left", "top"), [(0, 0), (2000, 2000), (3400, 0), (0, 2400), (3400, 2400)])
def test_small_unsure_lines_are_magnified_wherever_the_region_lies(left: int, top: int) -> None:
    class Doubter(BarReader):
        def spell(self, line: Pixels) -> tuple[str, float]:
            return "word", 0.7

    region = Box(left, top, left + 600, top + 600)
    bars = [Box(left + 200, top + 300, left + 320, top + 316), Box(left + 470, top + 580, left + 600, top + 600)]
    drawn = Image.new("RGB", (4000, 3000), "white")
    for bar in bars:
        drawn.paste((0, 0, 0), (bar.left, bar.top, bar.right, bar.bottom))
    with open_picture(drawn) as picture:
        text = read_text(picture, region, reader=Doubter())
    magnified = [box for shrink, box in text.looked if shrink < 1]
    assert len(text.lines) == 2 and all(
        coverage(bar, line.box) > 0.9 for bar, line in zip(bars, text.lines, strict=True)
    )
    assert all(any(coverage(bar, box) == 1 for box in magnified) for bar in bars)
    assert all(coverage(box, region) == 1 for box in magnified)


def text_of(*texts: str) -> PictureText:
    size = Size(100, 100)
    quad = np.array([[0, 0], [10, 0], [10, 5], [0, 5]], float)
    lines: tuple[Line, ...] = tuple(line_of(Reading(text, 0.9, 1), quad, size) for text in texts)
    return PictureText(lines, size, whole(size), 1, True)


def test_lines_are_found_by_their_text_or_by_a_pattern() -> None:
    text = text_of("Tel. 06221 4711", "C++ (v2)", "Invoice No 12")
    assert [line.text for line in text.find("tel.06221")] == ["Tel. 06221 4711"]
    assert [line.text for line in text.find("c++ (V2)")] == ["C++ (v2)"]
    for pattern in ("/[[c]/", "/[a||c]/", "/[a&&c]/"):
        assert text.find(pattern) is not None  # Python warns of these, and warnings are errors here
    assert [line.text for line in text.find(r"/\bno \d+$/")] == ["Invoice No 12"]
    assert text.find("nowhere") == ()


@pytest.mark.parametrize("wrong", ["/[/", "/(?P<a/", "/a{99999999999999}/", "", "  "])
def test_what_cannot_be_looked_for_is_a_setting_that_cannot_be(wrong: str) -> None:
    with pytest.raises(SettingInvalid, match="regular expression"):
        text_of("word").find(wrong)


@pytest.mark.parametrize("missing", ["rapidocr", "onnxruntime"])
def test_without_the_extra_the_model_and_the_user_are_told(
    views: ViewStore, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    rapid_reader.cache_clear()
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ToolError, match=r"pip install .zoomagent\[ocr\].*another tool") as told:
        asyncio.run(read(views, views.whole()["id"]))
    assert told.value.code == "ocr_missing"


def test_a_model_of_the_readers_that_is_no_file_is_told_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match=r"recognition model.*arabic\.onnx"):
        ReaderModels(recognition=tmp_path / "arabic.onnx")


def packaged(part: str) -> bytes:
    """One of the models in rapidocr's wheel."""
    import rapidocr

    return next((Path(rapidocr.__file__).parent / "models").glob(f"*_{part}_*.onnx")).read_bytes()


@reads
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("detection", b"no model at all"),
        ("detection", b""),
        ("recognition", b"\x08\x08\x12\x00" * 9),
        ("detection", lambda: packaged("det")[:90_000]),
        ("detection", lambda: packaged("rec")),
        ("detection", lambda: packaged("cls")),
        ("recognition", lambda: packaged("det")),
        ("recognition", lambda: packaged("cls")),
    ],
)
def test_a_model_that_cannot_be_used_is_told_before_anything_is_read(
    name: str, content: bytes | Callable[[], bytes], tmp_path: Path
) -> None:
    file = tmp_path / "mine.onnx"
    file.write_bytes(content if isinstance(content, bytes) else content())
    with pytest.raises(SettingInvalid, match=r"'mine\.onnx' is no .*\. Give ") as told:
        rapid_reader(ReaderModels(detection=file) if name == "detection" else ReaderModels(recognition=file))
    assert str(tmp_path) not in str(told.value)


@reads
def test_a_model_without_letters_needs_those_that_it_was_trained_with(tmp_path: Path, picture: Picture) -> None:
    model, letters = tmp_path / "mine.onnx", tmp_path / "mine.txt"
    model.write_bytes(packaged("rec").replace(b"\x09character", b"\x09no-letter"))
    with pytest.raises(SettingInvalid, match="--letters"):
        rapid_reader(ReaderModels(recognition=model))
    for wrong in (b"a\nb\n", b"", b"\xff\xfe\n" * 18_708):
        letters.write_bytes(wrong)
        with pytest.raises(SettingInvalid, match=r"mine\.txt.* Give "):
            rapid_reader(ReaderModels(recognition=model, letters=letters))
    import onnxruntime

    whole_model = onnxruntime.InferenceSession(packaged("rec"), providers=["CPUExecutionProvider"])
    letters.write_text(whole_model.get_modelmeta().custom_metadata_map["character"], encoding="utf-8")
    reader = rapid_reader(ReaderModels(recognition=model, letters=letters))
    assert [line.text for line in read_text(picture, Box(1100, 780, 1500, 960), reader=reader).lines] == ["EXIT 1234"]
