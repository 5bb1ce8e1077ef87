"""From a model's name and a preset to the recipe: the preset, then a file, then single settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mitds.baselines.recipe import Recipe, recipe
from mitds.config import build, override, plain
from mitds.errors import UsageError


def resolve_recipe(
    model: str, preset: str, *, file: Path | None = None, settings: Sequence[str] = ()
) -> Recipe:
    """Return the recipe that a command asks for.

    Args:
        model: Name of a model.
        preset: What everything else starts from.
        file: YAML with sections named like the recipe's fields.
        settings: "section.name=value" texts, the last word.

    Raises:
        UnknownName: If there is no such model, preset or setting.
        UsageError: If a value is of the wrong type or out of range, or the file cannot be read.
    """
    chosen = recipe(model, preset)
    if file:
        chosen = build(Recipe, _merged(plain(chosen), _read_yaml(file)), where=str(file))
    return override(chosen, list(settings))


def _merged(below: Any, above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tree of settings over another; what only one of them has stays, for `build` to judge."""
    merged = dict(below)
    for name, value in above.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if nested else value
    return merged


def _read_yaml(file: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text()) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"the configuration cannot be read: {error}", where=str(file)) from error
    if not isinstance(content, dict):
        raise UsageError(
            "the configuration is not a mapping", where=str(file), remedy="Use sections like `trunk:`."
        )
    return content
