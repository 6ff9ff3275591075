"""A run with markup in every text that a model, a file or a person may have written, for the page's tests."""

from typing import Any

from zoomagent import Answer

HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script></b>{{ 7*7 }}\'&amp;'
TEXTS = {
    "question", "options", "text", "withheld", "reasons", "reply", "phrase", "name", "model", "strategy",
    "code", "version",
}  # fmt: skip


def planted(answer: Answer) -> tuple[Answer, list[str]]:
    """The run with a hostile text of its own in every such field, and those that its HTML is to show."""
    texts: list[str] = []

    def hostile(key: str) -> str:
        text = f"{HOSTILE} {key}{len(texts)}"
        texts.append(text)
        return text

    def plant(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: plant(inner, name) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [plant(inner, key) for inner in value]
        return hostile(key) if isinstance(value, str) and key in TEXTS else value

    whole = answer.model_dump(mode="json") | {"options": ["a", "b"], "withheld": "c"}
    whole["evidence"] = [
        {**item, "text": item["text"] if item["perspective"] == "micro" else None} for item in whole["evidence"]
    ]
    whole["regions"] = [region for region in whole["regions"] if region["here"] is not None]
    for side in ("macro", "micro"):
        whole[side] = plant(whole[side], side)
    made = plant({"version": "1"}, "made")
    whole["made"] = {**made, "at": "2026-01-01T00:00:00+00:00", "settings": {hostile("setting"): hostile("setting")}}
    fields = {name: plant(value, name) for name, value in whole.items() if name not in ("macro", "micro", "made")}
    return Answer.model_validate({**whole, **fields}), texts
