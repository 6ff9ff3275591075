"""A trajectory: one question about one picture, and the conversation that answers it. What is stored, and nothing else.

    for row in load_dataset("parquet", data_files="OUT/train/*.parquet", split="train"):
        trajectory = Trajectory.from_row(row)
        trajectory.messages[0].content          # (ImagePart(view="view-0"), TextPart(text="What is ..."))

Pixels never appear: a view names a box of the original picture. Boxes of rows are [x0, y0, x1, y1] in original pixels;
boxes inside tool-call arguments are 0 to 1000 of the view that they name, whatever model is to be trained.
Conversations are append-only and word for word those of a run (`telling.py`). Left out: making them, drawing them.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zoomagent.errors import SettingInvalid

FORMAT = 1
"""Version of the rows. Whoever reads another one must say so."""

WHOLE = "view-0"
"""The view of the whole picture; every conversation begins with it."""

Kind = Literal["one_zoom", "several", "zoom_of_zoom", "recovered", "no_zoom", "cannot_tell", "verify"]
KINDS: tuple[Kind, ...] = ("one_zoom", "several", "zoom_of_zoom", "recovered", "no_zoom", "cannot_tell", "verify")
Corners = tuple[int, int, int, int]
"""x0, y0, x1, y1 in original pixels, half-open."""


class Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TextPart(Value):
    type: Literal["text"] = "text"
    text: str


class ImagePart(Value):
    type: Literal["image"] = "image"
    view: str


class Function(Value):
    """A tool by its name, with arguments as the tool takes them; boxes in 0 to 1000 of the image named."""

    name: str
    arguments: dict[str, Any]


class CallPart(Value):
    type: Literal["function"] = "function"
    function: Function


class Turn(Value):
    """One message. `learn` is False for the assistant's turns that a model must not imitate."""

    role: Literal["system", "user", "assistant", "tool"]
    content: tuple[TextPart | ImagePart, ...] = ()
    tool_calls: tuple[CallPart, ...] = ()
    learn: bool = True

    def as_json(self) -> dict[str, Any]:
        """The message as chat templates take it: `tool_calls` where there are some, `learn` for the assistant."""
        message: dict[str, Any] = {"role": self.role, "content": [part.model_dump() for part in self.content]}
        if self.tool_calls:
            message["tool_calls"] = [call.model_dump() for call in self.tool_calls]
        if self.role == "assistant":
            message["learn"] = self.learn
        return message


class ViewBox(Value):
    """`box` of the original, rendered with at most `pixels` pixels (None: as the model's profile says). `source` is the
    view in which it was pointed at, "" for the whole."""

    id: str
    source: str
    box: Corners
    pixels: int | None = None


class Task(Value):
    """What a row asks. `targets` is what the question is about, `nested` are sufficient boxes from the smallest to the
    widest, each holding the one before (none where there is no single target). `tools` are the names that are
    offered."""

    id: str
    image: str
    image_id: int
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    kind: Kind
    question: str
    options: tuple[str, ...] = ()
    answer: str
    targets: tuple[Corners, ...] = ()
    nested: tuple[Corners, ...] = ()
    tools: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _inside(self) -> Self:
        self.check_boxes(*self.targets, *self.nested)
        return self

    def check_boxes(self, *boxes: Corners) -> None:
        for box in boxes:
            if not (0 <= box[0] < box[2] <= self.width and 0 <= box[1] < box[3] <= self.height):
                raise ValueError(f"{self.id}: box {box} does not lie in {self.width}x{self.height}")


class Trajectory(Task):
    """One row: what is asked, and the conversation that answers it."""

    views: tuple[ViewBox, ...]
    messages: tuple[Turn, ...]
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        known = {view.id for view in self.views}
        shown = {part.view for turn in self.messages for part in turn.content if isinstance(part, ImagePart)}
        if not self.views or self.views[0].id != WHOLE or not shown <= known:
            raise ValueError(
                f"{self.id}: views {sorted(shown - known)} are shown and not listed, or {WHOLE} is not first"
            )
        self.check_boxes(*(view.box for view in self.views))
        return self

    def to_row(self) -> dict[str, Any]:
        """The row as Arrow takes it (`schema`)."""
        row = self.model_dump(exclude={"messages", "provenance"})
        row["messages"] = orjson.dumps([turn.as_json() for turn in self.messages]).decode()
        row["provenance"] = orjson.dumps(self.provenance, option=orjson.OPT_SORT_KEYS).decode()
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Trajectory":
        """The trajectory of a row; raises pydantic's ValidationError for one that is none."""
        plain = {name: value for name, value in row.items() if name not in ("messages", "provenance")}
        texts = {name: orjson.loads(row[name]) for name in ("messages", "provenance")}
        return cls.model_validate({**plain, **texts})


def schema() -> Any:
    """The Arrow schema of the files (pyarrow.Schema)."""
    import pyarrow as pa

    box = pa.list_(pa.int32())
    view = pa.struct([("id", pa.string()), ("source", pa.string()), ("box", box), ("pixels", pa.int32())])
    fields = {
        "id": pa.string(), "image": pa.string(), "image_id": pa.int64(), "width": pa.int32(), "height": pa.int32(),
        "kind": pa.string(), "question": pa.string(), "options": pa.list_(pa.string()), "answer": pa.string(),
        "targets": pa.list_(box), "nested": pa.list_(box), "tools": pa.list_(pa.string()), "views": pa.list_(view),
        "messages": pa.string(), "provenance": pa.string(),
    }  # fmt: skip
    return pa.schema(list(fields.items()), metadata={"zoomagent_format": str(FORMAT)})


def write_parquet(trajectories: Iterable[Trajectory], file: Path) -> None:
    """Write a file of rows; equal trajectories give equal bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([one.to_row() for one in trajectories], schema=schema())
    pq.write_table(table, file, compression="zstd")


def read_parquet(file: Path) -> Iterator[Trajectory]:
    """The trajectories of a file, a few hundred rows in memory at a time. SettingInvalid where it is damaged."""
    with readable(file):
        for row in read_table_rows(file):
            yield Trajectory.from_row(row)


def read_table_rows(file: Path, without: Collection[str] = ()) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file as plain values, but for some columns, a few hundred in memory at a time."""
    import pyarrow.parquet as pq

    if not file.is_file():
        raise OSError("no regular file")  # a pipe would be waited for
    with pq.ParquetFile(file) as opened:
        columns = [name for name in opened.schema_arrow.names if name not in without]
        for batch in opened.iter_batches(256, columns=columns):
            yield from batch.to_pylist()


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """Whatever is wrong with a file of rows becomes a SettingInvalid that names it."""
    import pyarrow as pa

    try:
        yield
    except ValidationError as error:
        fault = error.errors(include_input=False)[0]
        where = ".".join(map(str, fault["loc"][:2])) or "row"
        text = f"A row of {file.name} is no trajectory ({where}: {fault['msg'][:200]}). Write the trajectories again."
        raise SettingInvalid(text) from error
    except (pa.ArrowException, ValueError, KeyError, TypeError, OSError) as error:
        text = f"The rows in {file.name} cannot be read ({type(error).__name__}). Write the trajectories again."
        raise SettingInvalid(text) from error
