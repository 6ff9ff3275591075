"""The names of the strategies and rules: how an answer may be come by, and how one of two is chosen. Light, so that the
command line can list them."""

from typing import Literal

Strategy = Literal["auto", "locate", "search", "tools", "macro", "micro", "dualfocus", "dualfocus-published"]
"""`macro`: the whole picture only. `micro`: always the answer with the crop. `dualfocus`: both, selected by likelihood.
`dualfocus-published`: the same, scored as the authors' code scores (the box turn's tokens are counted in).
`locate`: name what must be seen, have the model point at each, look. `search`: find it region by region. `tools`: the
model calls tools itself. `auto`: look closer only where that is needed, by the cheapest way that works."""

Rule = Literal["learned", "dualfocus", "macro", "micro"]
"""How macro's and micro's answer are weighed: `learned` by calibrated probability, where the model has an arbiter, else
as `dualfocus`: the higher likelihood in one context. `macro`, `micro`: always that one, where there is one."""
