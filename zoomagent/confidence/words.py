"""Text as words of any script: what two answers are compared by, and what an option is looked for in.

    plain("The  Sign.") == plain("the sign"), plain("４７") == plain("47,")
    words("यह नीला है।")            # ["यह", "नीला", "है"]: vowel signs belong to their word
    words("它是红色的")              # ["它", "是", "红", "色", "的"]: scripts without spaces, a character a word
    words("-5 or 12.5 cm, 3D")     # ["-5", "or", "12.5", "cm", "3d"]

Unicode's compatibility form and case folding; digits of every script are the same digits. Pure. Left out: what a reply
answers (`replies.py`).
"""

import re
import unicodedata
from collections.abc import Sequence

from zoomagent.text import MAX_TEXT

_SAME = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d", "-")
    | dict.fromkeys("\u2018\u2019\u02bc\u201b`\u00b4", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d\u300e\u300f", '"')
    | dict.fromkeys(
        "\u200b\u2060\ufeff\u00ad\u200e\u200f\ufe0e\ufe0f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )
)
"""Dashes, apostrophes and quotation marks that people type for one another; marks that nobody sees are taken away."""

_CLOSING = " .,;:!?\u3002\u3001\uff61\uff64\u2026\u0964\u0965\u061f\u060c\u061b\u06d4\u037e\u00b7\u104b\u17d4"
_OPENING = " \u00bf\u00a1"
_PAIRS = ('""', "''", "()", "[]", "\u3010\u3011", "\u300a\u300b", "\u3008\u3009")

# Scripts without spaces between words: Han, kana, Hangul (whose particles join the word), Thai, Lao, Burmese, Khmer.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_BETWEEN_UNSPACED = re.compile(rf"(?<=[{_UNSPACED}]) (?=[{_UNSPACED}])")
_NUMBER = re.compile(rf"(?:(?<![^\W_])|(?<=[{_UNSPACED}]))-?\d++(?:[.,:]\d++)*+[a-z%\u00b0\u00b5]*+")


def plain(text: str) -> str:
    """Case, width, invisible marks, runs of spaces, and punctuation around the whole taken away."""
    bare = " ".join(folded(text).split())
    bare = _BETWEEN_UNSPACED.sub("", bare)
    for _ in range(3):
        bare = bare.rstrip(_CLOSING).lstrip(_OPENING)
        if len(bare) > 2 and bare[0] + bare[-1] in _PAIRS and bare[0] not in bare[1:-1] and bare[-1] not in bare[1:-1]:
            bare = bare[1:-1]
    return bare or " ".join(folded(text).split())


def words(text: str) -> list[str]:
    """The words, folded: letters with their marks, numbers with their sign and point; a character each where a script
    has no spaces."""
    found: list[str] = []
    line = folded(text)
    numbers = {match.start(): match.end() for match in _NUMBER.finditer(line)}
    position, open_word = 0, False
    while position < len(line):
        end = numbers.get(position)
        if end is not None:
            found.append(line[position:end])
            position, open_word = end, False
            continue
        mark = line[position]
        kind = unicodedata.category(mark)[0]
        if kind == "M" or mark in "\u200c\u200d":
            if found and open_word:
                found[-1] += mark
        elif kind not in "LN":
            open_word = False
        elif is_unspaced(mark):
            found.append(mark)
            open_word = True
        elif open_word and not is_unspaced(found[-1][0]):
            found[-1] += mark
        else:
            found.append(mark)
            open_word = True
        position += 1
    return found


def is_unspaced(mark: str) -> bool:
    """Whether the character belongs to a script that puts no spaces between words."""
    return _IS_UNSPACED.match(mark) is not None


_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")


def places(part: Sequence[str], whole: Sequence[str]) -> list[int]:
    """Where `part` stands in `whole`, word for word."""
    if not part:
        return []
    size, wanted = len(part), list(part)
    return [i for i, word in enumerate(whole) if word == wanted[0] and list(whole[i : i + size]) == wanted]


def folded(text: str) -> str:
    """The text as its words are compared: one case, one width, marks that nobody sees taken away. Bounded before and
    after: a character's compatibility form may be eighteen."""
    line = unicodedata.normalize("NFKC", text[:MAX_TEXT].translate(_SAME))[:MAX_TEXT].casefold()
    line = unicodedata.normalize("NFKC", line).translate(_SAME)[:MAX_TEXT]
    if line.isascii():
        return line
    return "".join(str(unicodedata.decimal(mark, mark)) for mark in line)
