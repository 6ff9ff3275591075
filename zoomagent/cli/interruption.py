"""What a person is told after Ctrl-C: what of the work is lost, and what is kept. Left out: the stopping itself.

words_of(["batch", "questions.jsonl", "--out", "answers.jsonl"])
"""

from collections.abc import Sequence

EXIT = 130
"""The status that shells know for Ctrl-C."""
LOST = "Stopped. Nothing of this is kept."
_KEPT = {
    "ask": "Stopped. Nothing of this run is kept: --save writes when it ends.",
    "demo": "Stopped. Nothing of this run is kept: it is written when it ends.",
    "batch": "Stopped. The answers so far are in the file of --out; the same command goes on after them.",
    "bench haystack": "Stopped. With --results, what was asked so far is kept and goes on there; else it is lost.",
    "bench promise": "Stopped. With --results, what was asked so far is kept and goes on there; else it is lost.",
    "bench collect": "Stopped. The records so far are in the file of --out; the same command goes on after them.",
    "data world": "Stopped. The folder is not whole: the same command draws it anew.",
    "data trajectories": "Stopped. What was read so far is kept; the same command goes on in the same folder.",
    "train sft": "Stopped. The last checkpoint is kept (--save-every); the same command goes on from there.",
    "train rl": "Stopped. The last checkpoint is kept (--save-every); the same command goes on from there.",
    "train select-resolution": "Stopped. The rows so far are kept; the same command goes on in the same folder.",
    "serve": "Stopped. Runs that were going on are lost; finished ones are kept where the page keeps them.",
}


def words_of(arguments: Sequence[str]) -> str:
    """The sentence for a command line, by its first one or two words."""
    words = [word for word in arguments[:2] if not word.startswith("-")]
    return _KEPT.get(" ".join(words)) or _KEPT.get(words[0] if words else "") or LOST
