"""How much one message from outside may hold, told before anything looks at it item by item.

    within(body, 10_000)     False as soon as it holds more values than that, however they are nested

A checker of shapes reports every wrong item on its own, which takes it microseconds each: bytes alone bound nothing.
Left out: the length of texts, which each field bounds itself.
"""


def within(value: object, most: int) -> bool:
    """Whether `value`, read from JSON, holds at most `most` values: items of lists, and keys of objects twice."""
    left, waiting = most, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            left -= 2 * len(item)
        elif isinstance(item, list | tuple):
            left -= len(item)
        else:
            continue
        if left < 0:
            return False
        waiting += item.values() if isinstance(item, dict) else item
    return True
