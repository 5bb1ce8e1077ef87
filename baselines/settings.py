"""From a model's name and a preset to the recipe: the preset, then a file, then single settings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mitds.baselines.presets import recipe
from mitds.baselines.recipe import Recipe
from mitds.config import override
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
        UsageError: If a value is of the wrong type or out of range, the file cannot be read, or model or preset are
            given as settings.
    """
    chosen = recipe(model, preset)
    asked = [*(_leaves(_read_yaml(file)) if file else ()), *settings]
    for setting in asked:
        if (name := setting.partition("=")[0]) in ("model", "preset"):
            raise UsageError(f"{name} is no setting: it decides all others", remedy=f"Use --{name}.")
    return override(chosen, asked)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the settings of a file as a command line would state them."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}={json.dumps(value, default=str)}"


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
