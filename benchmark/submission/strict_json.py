"""JSON from strangers: one meaning or none. What parsers disagree on is refused."""

from __future__ import annotations

import codecs
import json
import math
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any, NoReturn

MAX_DEPTH = 16
MAX_LINE_BYTES = 64 << 10
_LARGEST = 2**53
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class NotStrict(ValueError):
    """The text is not JSON of which every reader makes the same."""


def parse(data: bytes, *, max_bytes: int = MAX_LINE_BYTES) -> Any:
    """Parse one JSON value.

    Raises:
        NotStrict: If it is too long, not UTF-8, begins with a byte order mark, repeats a key, nests deeper than
            `MAX_DEPTH`, or holds a number that is not finite or, as an integer, not exact in float64.
    """
    if len(data) > max_bytes:
        raise NotStrict(f"{len(data)} bytes, more than the limit of {max_bytes}")
    if data.startswith(codecs.BOM_UTF8):
        raise NotStrict("it begins with a byte order mark")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_exact,
        )
    except RecursionError:
        raise NotStrict("it is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise NotStrict(f"it is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise NotStrict(f"it is not JSON: {error.msg} at character {error.pos}") from None
    _check_depth(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise NotStrict(f"the key {key!r} is there twice")
    return value


def _no_constant(name: str) -> NoReturn:
    raise NotStrict(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotStrict(f"{text[:40]} is out of range")
    return value


def _exact(text: str) -> int:
    if len(text) > 20 or abs(int(text)) > _LARGEST:
        raise NotStrict(f"{text[:40]} is out of range")
    return int(text)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise NotStrict(f"it is nested more than {MAX_DEPTH} deep")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def texts(value: Any) -> Iterator[str]:
    """Yield every text of a parsed value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def hidden(text: str) -> str:
    """Return the first character that is not shown, steers its surroundings or is unassigned; "" if there is none."""
    if text.isascii() and text.isprintable():
        return ""
    return next((c for c in text if unicodedata.category(c) in _REFUSED_CATEGORIES), "")
