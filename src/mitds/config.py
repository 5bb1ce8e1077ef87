"""Configuration: frozen dataclasses beside their components, built from plain mappings, and digested."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeVar

from mitds.errors import UsageError
from mitds.registry import unknown

C = TypeVar("C")


def plain(value: object) -> Any:
    """Turn configuration and records into JSON-ready values; rationals become ``"num/den"`` text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain(v) for v in value]
        return sorted(items) if isinstance(value, set | frozenset) else items
    return value


def canonical(value: object) -> str:
    """Serialise to the one JSON text that digests are taken of."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(*values: object) -> str:
    """Return a 16-hex digest of any configuration, records or plain values."""
    text = "\x1f".join(canonical(v) for v in values)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def build(cls: type[C], values: Mapping[str, Any], *, where: str) -> C:
    """Build a frozen configuration object from a mapping, refusing unknown keys and wrong types.

    Args:
        cls: The dataclass to build; nested dataclasses and records take nested mappings.
        values: Keys and values; missing keys keep their defaults.
        where: Where the mapping comes from, for messages ("config.yaml: faces").
    """
    hints = typing.get_type_hints(cls)
    fields = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise unknown(f"setting in {where}", key, sorted(fields))
    return cls(**{k: _coerce(v, hints[k], f"{where}.{k}") for k, v in values.items()})


def _coerce(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _coerce(value, next(a for a in args if a is not type(None)), where)
    if origin is typing.Literal:
        if value not in args:
            names = ", ".join(repr(a) for a in args)
            raise UsageError(f"{where} must be one of {names}, got {value!r}", remedy="Correct the value.")
        return value
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return build(hint, value, where=where)  # type: ignore[arg-type]
    if origin is tuple and isinstance(value, list | tuple):
        inner = args if args[-1] is not Ellipsis else (args[0],) * len(value)
        return tuple(_coerce(v, a, where) for v, a in zip(value, inner, strict=True))
    if origin is dict and isinstance(value, Mapping):
        return {str(k): _coerce(v, args[1], f"{where}.{k}") for k, v in value.items()}
    if hint is Fraction and isinstance(value, str | int):
        return Fraction(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    expected = origin or hint
    if expected is Any or (isinstance(expected, type) and type(value) is expected):
        return value
    raise UsageError(
        f"{where} must be {getattr(hint, '__name__', hint)}, got {value!r}", remedy="Correct the value."
    )


class _Inside(dict[str, Any]):
    """Settings inside of a section, apart from a mapping that is itself a value."""


def override(config: C, settings: list[str]) -> C:
    """Apply ``name.name=value`` settings (JSON values, bare words as text) to a configuration object.

    The last word counts, and ranges are checked once, after all of them: settings may be right together that are
    wrong one by one.
    """
    changes = _Inside()
    for setting in settings:
        path, sep, text = setting.partition("=")
        if not sep:
            raise UsageError(f"setting {setting!r} has no '='", remedy="Write it as name.name=value.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        _lay(changes, path, value)
    changed: C = _overridden(config, changes, "")
    return changed


def _lay(changes: dict[str, Any], path: str, value: Any) -> None:
    *sections, name = path.split(".")
    for section in sections:
        changes = changes.setdefault(section, _Inside())
        if not isinstance(changes, dict):
            raise UsageError(f"{path} leads into a plain value", remedy="Shorten the name.")
    changes[name] = value


def _overridden(config: Any, changes: _Inside, prefix: str) -> Any:
    if not dataclasses.is_dataclass(config):
        name = prefix + next(iter(changes))
        raise UsageError(f"{name} leads into a plain value", remedy="Shorten the name.")
    hints = typing.get_type_hints(type(config))
    names = sorted(field.name for field in dataclasses.fields(config))
    changed = {}
    for name, value in changes.items():
        if name not in names:
            raise unknown("setting", name, names)
        if isinstance(value, _Inside):
            changed[name] = _overridden(getattr(config, name), value, f"{prefix}{name}.")
        else:
            changed[name] = _coerce(value, hints[name], prefix + name)
    return dataclasses.replace(config, **changed)  # type: ignore[type-var]


def require(holds: bool, name: str, value: object, range_: str) -> None:
    """Refuse a setting outside its range; for the `__post_init__` of configuration objects.

    Raises:
        UsageError: Naming the setting, its value and its range.
    """
    if not holds:
        raise UsageError(f"{name} is {value!r}, and must be {range_}", remedy="Correct the setting.")
