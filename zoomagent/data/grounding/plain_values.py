"""The plain values of a pickle file, read opcode by opcode: nothing is imported, called or built but plain values.

    read_plain(Path("refs(unc).p").read_bytes())       # lists, tuples, dicts, sets, text, bytes, numbers, None

RefCOCO ships its expressions so. An opcode that names code, and whatever does not fit together, is refused. Keys and
members of sets are single values: to hash a tuple takes as many steps, and as much of the stack, as it is deep. Left
out: values that hold themselves, and how deep a value is.
"""

import pickletools
from typing import Any

from zoomagent.errors import InputRefused

_MARK = object()
_EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUE = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES",
    "BINBYTES8",
))  # fmt: skip
_NOTHING = frozenset(("PROTO", "FRAME"))
MOST_DIGITS = 400
"""Digits of a whole number (ours)."""
MOST_KEY_BITS = 64
"""Bits of a number that is a key or a member (ours): of longer ones many can share a hash, and then each is compared
with all the others."""


def read_plain(content: bytes) -> Any:
    """The value. Raises InputRefused (data_corrupt) for anything but plain values."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                [value] = stack
                if value is _MARK:
                    raise ValueError("a mark as value")
                return value
            _step(opcode.name, argument, stack, memo)
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise InputRefused(
            f"The file holds more than plain values, or is damaged: {error}", code="data_corrupt"
        ) from error
    raise InputRefused("The file ends before its value does.", code="data_corrupt")


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    if name in _NOTHING:
        return
    if name in _VALUE:
        if isinstance(argument, int) and argument.bit_length() > 4 * MOST_DIGITS:
            raise ValueError("a number too long")
        stack.append(argument)
    elif name in _CONSTANT:
        stack.append(_CONSTANT[name])
    elif name in _EMPTY:
        stack.append(_EMPTY[name]())
    elif name == "MARK":
        stack.append(_MARK)
    elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
        count = int(name[-1])
        items = _plain(stack[-count:], count)
        del stack[-count:]
        stack.append(tuple(items))
    elif name == "LIST":
        stack.append(_to_mark(stack))
    elif name == "TUPLE":
        stack.append(tuple(_to_mark(stack)))
    elif name == "DICT":
        stack.append(_pairs(_to_mark(stack)))
    elif name == "FROZENSET":
        stack.append(frozenset(_single(_to_mark(stack))))
    elif name in ("APPEND", "APPENDS"):
        items = _to_mark(stack) if name == "APPENDS" else _plain([stack.pop()], 1)
        list.extend(stack[-1], items)
    elif name in ("SETITEM", "SETITEMS"):
        items = _to_mark(stack) if name == "SETITEMS" else _plain([stack.pop(-2), stack.pop()], 2)
        dict.update(stack[-1], _pairs(items))
    elif name == "ADDITEMS":
        items = _to_mark(stack)
        set.update(stack[-1], _single(items))
    else:
        raise ValueError(f"{name} is no plain value")


def _to_mark(stack: list[Any]) -> list[Any]:
    place = len(stack) - 1
    while stack[place] is not _MARK:
        place -= 1
        if place < 0:
            raise ValueError("a missing mark")
    items = stack[place + 1 :]
    del stack[place:]
    return items


def _plain(items: list[Any], count: int) -> list[Any]:
    if len(items) != count or any(item is _MARK for item in items):
        raise ValueError("a mark among values")
    return items


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ValueError("a key without its value")
    return dict(zip(_single(items[::2]), items[1::2], strict=True))


def _single(items: list[Any]) -> list[Any]:
    if not all(item is None or isinstance(item, str | bytes | int | float) for item in items):
        raise ValueError("a key or member that is no single value")
    if any(isinstance(item, int) and item.bit_length() > MOST_KEY_BITS for item in items):
        raise ValueError("a number too long for a key")
    return items
