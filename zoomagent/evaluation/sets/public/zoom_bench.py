"""ZoomBench (Wei et al. 2026): 845 questions about small things; 621 with options, the others open.

    data/test.parquet     id, query, response, image, crop_image: options stand in the query, a line each

Source of the format: huggingface.co/datasets/inclusionAI/ZoomBench (its card names query and response also prompt and
answer); the authors' mm-eval in github.com/inclusionAI/Zooming-without-Zooming lets a model judge. Here there is no
judge: an open answer is right where its words, or its number, are the published ones, so figures are lower bounds of
theirs. `crop_image` shows where to look and is not used.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from zoomagent.evaluation.sets.public.files import (
    corrupt,
    find_files,
    find_option,
    letter,
    match_option,
    picture_in_cell,
    read_parquet,
    split_options,
    text_of,
    write_parquet,
)
from zoomagent.evaluation.sets.public.question import DrawnQuestion, SetQuestion


def read_zoom_bench(folder: Path) -> Iterator[SetQuestion]:
    """Every question about the full picture."""
    for path, number, row in read_parquet(find_files(folder, "data/test*.parquet", "test*.parquet"), ("image",)):
        query, response = row.get("query") or row.get("prompt"), row.get("response") or row.get("answer")
        if not query or not response:
            raise corrupt(path, number, "it has no query or no response")
        query, response = text_of(path, number, query).replace("<image>", ""), text_of(path, number, response)
        text, options = split_options(query)
        if options and not match_option(response, options):
            # An open question that only looks as if it had options.
            text, options = query.strip(), ()
        answer = find_option(path, number, response, options) if options else response.strip()
        picture = picture_in_cell(path, number, row["image"])
        category = text_of(path, number, row.get("question_type") or ("options" if options else "open"))
        yield SetQuestion(text_of(path, number, row.get("id") or number), picture, text, (answer,), options, category)


def write_zoom_bench(folder: Path, drawn: Sequence[DrawnQuestion]) -> None:
    """One Parquet file with drawn questions, every third open."""
    rows = []
    for number, one in enumerate(drawn):
        is_open = number % 3 == 2
        listed = [] if is_open else [f"{letter(i)}. {option}" for i, option in enumerate(one.options)]
        rows.append({
            "id": f"drawn-{number}",
            "query": "\n".join([one.text, *listed]),
            "response": one.answer if is_open else letter(one.options.index(one.answer)),
            "image": {"bytes": one.picture, "path": None},
            "crop_image": {"bytes": one.picture, "path": None},
        })  # fmt: skip
    write_parquet(folder / "data" / "test.parquet", rows)
