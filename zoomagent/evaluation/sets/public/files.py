"""Files of published sets, row by row: tables, JSON lines, Parquet, pictures in base64 and in folders.

Every fault is InputRefused (data_missing, data_corrupt) with the file's name and its row. Names of pictures come from
outside, so they may lead nowhere but into the set's own folder. Left out: what the fields mean.
"""

import base64
import binascii
import contextlib
import csv
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import orjson

from zoomagent.data.grounding.annotation import MOST_SIDE
from zoomagent.data.grounding.annotation import number as in_range
from zoomagent.errors import InputRefused

MOST_CELL = 1 << 28
"""Bytes of one cell of a table (ours): an 8K picture as PNG in base64 has some 100 MB."""
MOST_VALUES = 1 << 24
"""Values of one column in a group of a Parquet file's rows (ours): repeated ones take no bytes in the file."""
_OPTION = re.compile(r"[(\[]?([A-Z])[)\].:]\s*(\S.*)")
_NAMED = re.compile(r"[(\[]?([A-Za-z])(?:[)\].:]+(?:\s.*)?)?", re.DOTALL)
_BEHIND = re.compile(r"\s\(([A-Z])\)\s")
_HINT = re.compile(
    r"\s*(options?:|the choices are listed below:|select from the following choices\.?|"
    r"(please )?answer (the question )?with the (option's letter|option letter|correct letter).*|"
    r"answer the option letter directly\.?|select the best answer .*|respond with only the letter .*|"
    r"the best answer is:)\s*",
    re.IGNORECASE,
)


def corrupt(path: Path, row: int | str, why: str) -> InputRefused:
    """The error of a row that cannot be what it should be."""
    text = f"{path.name}, row {str(row)[:80]}: {why}. Get the file again; it is not as its authors publish it."
    return InputRefused(text, code="data_corrupt")


def require_file(path: Path) -> Path:
    """The file, if it is there."""
    if not path.is_file():
        text = f"{path.name} is not in the folder. Give --data the folder that holds the set as it was downloaded."
        raise InputRefused(text, code="data_missing")
    return path


def find_files(folder: Path, *patterns: str) -> list[Path]:
    """The files of the first pattern that fits any, in order."""
    for pattern in patterns:
        if found := sorted(path for path in folder.glob(pattern) if path.is_file()):
            return found
    text = f"None of {', '.join(patterns)} is in the folder. Give --data the folder that holds the set."
    raise InputRefused(text, code="data_missing")


def read_table(path: Path, columns: Collection[str], tabs: bool = True) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with a head line, by number. Every row has the head's columns, and those that are named."""
    csv.field_size_limit(MOST_CELL)
    with require_file(path).open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, dialect="excel-tab" if tabs else "excel")
        try:
            if missing := [name for name in columns if name not in (rows.fieldnames or ())]:
                raise corrupt(path, 0, f"there is no column {missing[0]}")
            for number, row in enumerate(rows, 1):
                if None in row or None in row.values():
                    raise corrupt(path, number, "it has not as many cells as the head")
                yield number, row
        except (csv.Error, UnicodeDecodeError, OSError) as error:
            raise corrupt(path, "?", f"it is no table ({error})") from error


def read_lines(path: Path, fields: Collection[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines, by number; each has the named fields."""
    with require_file(path).open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise corrupt(path, number, f"it is not JSON ({error})") from error
                yield number, require_fields(path, number, row, fields)


def require_fields(path: Path, number: int | str, row: Any, fields: Collection[str]) -> dict[str, Any]:
    """The object, if it is one and has these fields."""
    if not isinstance(row, dict):
        raise corrupt(path, number, "it is no object")
    if missing := [name for name in fields if row.get(name) is None]:
        raise corrupt(path, number, f"there is no {missing[0]}")
    return row


def read_parquet(paths: list[Path], columns: Collection[str]) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    """The rows of Parquet files, one at a time: a few bytes of a file can say the same value in every row. `columns`
    must be there, all are given."""
    from pyarrow import ArrowException, parquet

    number = 0
    for path in paths:
        try:
            with parquet.ParquetFile(require_file(path)) as file:
                if missing := [name for name in columns if name not in file.schema_arrow.names]:
                    raise corrupt(path, 0, f"there is no column {missing[0]}")
                groups = map(file.metadata.row_group, range(file.num_row_groups))
                if any(group.column(i).num_values > MOST_VALUES for group in groups for i in range(group.num_columns)):
                    raise corrupt(path, "?", f"a column has more than {MOST_VALUES} values in one group of rows")
                for batch in file.iter_batches(batch_size=1):
                    number += 1
                    if batch.nbytes > MOST_CELL:
                        raise corrupt(path, number, f"it has more than {MOST_CELL} bytes")
                    yield path, number, batch.to_pylist()[0]
        # Damaged pages are said by the reader of files, damaged text, times and zones by Python's own errors.
        except (ArrowException, OSError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            why = " ".join(str(error).split())[:200]
            raise corrupt(path, number + 1, f"it is no Parquet, or a page of it is damaged ({why})") from error


def text_of(path: Path, number: int | str, cell: Any) -> str:
    """The words of a cell, or its whole number. What else a file may hold there has no words, and may be as deep as it
    likes."""
    if isinstance(cell, bool) or not isinstance(cell, str | int):
        raise corrupt(path, number, "it holds something else in the place of a text")
    return str(cell)


def texts_of(path: Path, number: int | str, cell: Any) -> tuple[str, ...]:
    """The words of each cell of a list."""
    if not isinstance(cell, list):
        raise corrupt(path, number, "it holds something else in the place of a list")
    return tuple(text_of(path, number, one) for one in cell)


def numbers_of(path: Path, number: int | str, box: Any) -> tuple[int, int, int, int]:
    """The four numbers of a box, in whole pixels."""
    try:
        one, two, three, four = (round(in_range(float(side), -MOST_SIDE, MOST_SIDE)) for side in box)
    except (TypeError, ValueError, OverflowError) as error:
        raise corrupt(path, number, "a box of it is not four numbers of pixels") from error
    return one, two, three, four


def decode_picture(path: Path, number: int, text: Any) -> bytes:
    """The bytes of a picture in base64."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise corrupt(path, number, "its picture is no base64") from error
    if len(content) < 16:
        raise corrupt(path, number, "its picture is empty")
    return content


def picture_in_cell(path: Path, number: int, cell: Any) -> bytes:
    """The bytes of a picture in a Parquet cell, as `datasets` writes it: {"bytes", "path"}."""
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes) or len(content) < 16:
        raise corrupt(path, number, "it holds no picture")
    return content


def picture_at(path: Path, number: int | str, folder: Path, name: Any) -> Path:
    """The picture of this name in the set's folder."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise corrupt(path, number, "its picture has no name")
    found, is_there = folder / name, False
    try:
        is_inside = found.resolve().is_relative_to(folder.resolve())
        # Not `is_file`, which from Python 3.13 on says no to a link that leads to itself.
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            is_there = stat.S_ISREG(found.stat().st_mode)
    except (OSError, ValueError, RuntimeError) as error:
        # Longer than a name can be, in letters that no file has, or a link that leads to itself.
        raise corrupt(path, number, "its picture's name is none that a file can have") from error
    if not is_inside:
        raise corrupt(path, number, "its picture lies outside of the folder")
    if not is_there:
        text = f"The picture {name[:200]} of {path.name}, row {number}, is not there. Unpack the set's pictures too."
        raise InputRefused(text, code="data_missing")
    return found


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """A question whose options stand below it, a line each, or behind it, each with its letter in parentheses: without
    them and without the words that ask for a letter; and the options without their letters."""
    options: list[str] = []
    rest: list[str] = []
    for line in text.strip().splitlines():
        match = _OPTION.fullmatch(line.strip())
        if match and ord(match[1]) - ord("A") == len(options):
            options.append(match[2])
        elif not _HINT.fullmatch(line):
            rest.append(line.rstrip())
    question = "\n".join(rest).strip()
    if not options and len(parts := _BEHIND.split(question)) > 4:
        letters, said = parts[1::2], tuple(part.strip() for part in parts[2::2])
        if letters == [chr(ord("A") + i) for i in range(len(letters))] and all(said):
            return parts[0].strip(), said
    return question, tuple(options)


def find_option(path: Path, number: int | str, answer: Any, options: tuple[str, ...]) -> str:
    """The option that an answer names: "B", "(b)", "B. red", or the option's own words."""
    said = text_of(path, number, answer)
    if found := match_option(said, options):
        return found
    raise corrupt(path, number, f"its answer {said[:20]!r} names none of its {len(options)} options")


def match_option(answer: str, options: tuple[str, ...]) -> str:
    """The same; "" where it names none."""
    said = answer.strip()
    match = _NAMED.fullmatch(said)
    index = ord(match[1].upper()) - ord("A") if match else len(options)
    return options[index] if index < len(options) else said if said in options else ""


def strip_letters(options: Iterable[str]) -> tuple[str, ...]:
    """Options without the letters that stand before them: "(A) red", "B. blue"."""
    said = [option.strip() for option in options]
    matches = [_OPTION.fullmatch(option) for option in said]
    return tuple(match[2] if match else option for option, match in zip(said, matches, strict=True))


def full_cells(row: Mapping[str, str], names: Iterable[str]) -> tuple[str, ...]:
    """The cells of a table's row up to the first empty one; pandas writes what is missing as empty."""
    return tuple(takewhile(bool, ((row.get(name) or "").strip() for name in names)))


# Writing drawn sets


def letter(option: int) -> str:
    return chr(ord("A") + option)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], tabs: bool = True) -> None:
    """A table with a head line, as pandas writes it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]), dialect="excel-tab" if tabs else "excel", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A Parquet file, as `datasets` writes it."""
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), path)


def to_base64(picture: bytes) -> str:
    return base64.b64encode(picture).decode()
