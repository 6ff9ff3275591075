"""The names of the strategies: how an answer may be come by. Light, so that the command line can list them."""

from typing import Literal

Strategy = Literal["macro", "micro", "dualfocus", "dualfocus-published"]
"""`macro`: the whole picture only. `micro`: always the answer with the crop. `dualfocus`: both, selected by likelihood.
`dualfocus-published`: the same, scored as the authors' code scores (the box turn's tokens are counted in)."""
