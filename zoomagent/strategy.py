"""How to find an answer, how to choose one of two, and what a run may cost unless it is told otherwise.

Names and numbers only, so that the command line can list them without importing anything heavy.
"""

from typing import Literal

Strategy = Literal["auto", "locate", "search", "tools", "macro", "micro", "dualfocus", "dualfocus-published"]
"""`macro`: the whole picture only. `micro`: always the answer with the crop. `dualfocus`: both, selected by likelihood.
`dualfocus-published`: the same, scored as the authors' code scores (the box turn's tokens are counted in).
`locate`: name what must be seen, have the model point at each, look. `search`: find it region by region. `tools`: the
model calls tools itself. `auto`: look closer only where that is needed, by the cheapest way that works."""

Rule = Literal["learned", "dualfocus", "macro", "micro"]
"""How macro's and micro's answer are weighed: `learned` by calibrated probability, where the model has an arbiter, else
as `dualfocus`: the higher likelihood in one context. `macro`, `micro`: always that one, where there is one."""

Task = Literal["image", "region"]
"""What a model is asked for: words about what a picture shows (`image`: answers, captions, counts, Yes or No), or a
place in it (`region`: boxes, parts, tool calls). Models with a part for each (LION) are told which one it is."""

CALLS, DEPTH, SECONDS = 32, 4, 120.0
"""Calls of the model, zooms into zooms, and seconds of the wall clock that a run may take (ours)."""
MAX_TOKENS = 128
"""Length of one reply in tokens (ours)."""
GATE = 0.97
"""Calibrated confidence in the macro answer from which `auto` looks no closer (ours)."""
DESCRIPTION_CALLS = 128
"""Calls of the model that a grounded description may cost (ours): some for each of its phrases."""
