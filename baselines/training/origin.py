"""What a training starts from, and whether what lies in a folder started from the same."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitds.baselines.checkpoint import AUTOENCODER, RECIPE, Description, describe
from mitds.baselines.recipe import Recipe
from mitds.config import build, plain
from mitds.errors import InputFault, UsageError
from mitds.store import sha256_file, write_json

STATE, STAGE1 = "state", "stage1.safetensors"
_ORIGIN = "origin.json"
_FREE = ("recipe.data.cache_gb", "recipe.sampling.", "recipe.trunk.checkpointing")
"""What may change without changing the weights."""
_NOT_STAGE1 = ("model", "preset", "stage2.", "sampling.", "data.cache_gb", "trunk.checkpointing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """All that decides the weights.

    Attributes:
        recipe: The settings.
        data: Digest of the clips.
        autoencoder: sha256 of the autoencoder that was given; "" where it is trained.
        stage1: sha256 of the weights that stage 2 was given to start from; "" where stage 1 is trained.
    """

    recipe: Recipe
    data: str
    autoencoder: str = ""
    stage1: str = ""


def differences(one: object, other: object) -> list[str]:
    """Return the settings in which two records differ, as "name is ..., and was ..."."""
    now, before = dict(_leaves(plain(one))), dict(_leaves(plain(other)))
    return [
        f"{name} is {now.get(name)!r}, and was {before.get(name)!r}"
        for name in sorted(now.keys() | before.keys())
        if now.get(name) != before.get(name) and not name.startswith(_FREE)
    ]


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, inner


def claim(out: Path, origin: Origin) -> bool:
    """Say whether a training has finished here; if none has begun, begin it.

    Raises:
        UsageError: If another training has begun or finished here, naming what differs.
        InputFault: If what is said of it is damaged.
    """
    begun = out / STATE / _ORIGIN
    finished = (out / RECIPE).is_file()
    if finished:
        said = describe(out)
        before = Origin(recipe=said.recipe, **said.about["origin"])
    elif begun.is_file():
        before = _read(begun)
    else:
        write_json(begun, origin)
        return False
    if found := differences(origin, before):
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        raise UsageError(
            f"another training lies here: {'; '.join(found[:3])}{more}", where=str(out),
            remedy="Choose another --out, or repeat the settings and shards that it began with.",
        )  # fmt: skip
    return finished


def _read(path: Path) -> Origin:
    try:
        return build(Origin, json.loads(path.read_bytes()), where=path.name)
    except (OSError, ValueError, TypeError) as error:
        raise InputFault(
            f"not readable: {error}", where=str(path), remedy="Choose another --out, or remove the folder."
        ) from error


def lent(
    folders: Mapping[str, Path | None], recipe: Recipe, clips: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return what other trained models give, each by what it is: sha256 of the weights, and digest of their clips.

    Args:
        folders: Models that give "autoencoder" and "stage1"; None gives nothing.
        recipe: Of the training that takes them.
        clips: Keys of the clips that it may learn from.

    Raises:
        UsageError: If a folder is no trained model, lacks what is asked of it, made it by another recipe, or learned
            from other clips, whose rights and release nobody would look at; or if stage 1 has another autoencoder.
        InputFault: If what a model says of itself is damaged.
    """
    given = {what: (folder, _lender(folder, clips)) for what, folder in folders.items() if folder}
    autoencoders = {said.files[AUTOENCODER] for _, said in given.values()}
    if len(autoencoders) > 1:
        raise UsageError(
            "the given autoencoder is not the one that the given stage 1 was trained with",
            where=", ".join(str(folder) for folder, _ in given.values()),
            remedy="Give --stage1 alone: its autoencoder comes with it.",
        )
    weights: dict[str, str] = {}
    for what, (folder, _) in given.items():
        weights["autoencoder"] = given_autoencoder(folder, recipe)
        if what == "stage1":
            weights["stage1"] = given_stage1(folder, recipe)
    return weights, {what: said.about["data"] for what, (_, said) in given.items()}


def _lender(folder: Path, clips: Collection[str]) -> Description:
    said = describe(folder)
    if foreign := sorted(set(said.about["clips"]) - set(clips)):
        raise UsageError(
            f"that model learned from {len(foreign)} clips that this training leaves out or was not given "
            f"({', '.join(foreign[:3])}{', ...' * (len(foreign) > 3)})",
            where=str(folder), remedy="Give their shards too, or a model of clips that are among these.",
        )  # fmt: skip
    return said


def given_autoencoder(folder: Path, recipe: Recipe) -> str:
    """Return the sha256 of the autoencoder in a trained model's folder.

    Raises:
        UsageError: If the folder is no trained model, or the recipe asks for another autoencoder.
    """
    said = describe(folder)
    _require_same(said.recipe.autoencoder, recipe.autoencoder, "autoencoder", folder)
    return said.files[AUTOENCODER]


def given_stage1(folder: Path, recipe: Recipe) -> str:
    """Return the sha256 of the weights after stage 1 in a trained model's folder.

    Raises:
        UsageError: If the folder is no trained model, lacks them, or the recipe asks for another stage 1.
    """
    said, path = describe(folder), folder / STAGE1
    _require_same(_deciding_stage1(said.recipe), _deciding_stage1(recipe), "first stage", folder)
    if not path.is_file():
        raise UsageError(
            "the weights after stage 1 are not here", where=str(path), remedy="Train stage 1 too."
        )
    return sha256_file(path)


def _deciding_stage1(recipe: Recipe) -> dict[str, Any]:
    return {name: value for name, value in _leaves(plain(recipe)) if not name.startswith(_NOT_STAGE1)}


def _require_same(there: object, here: object, what: str, folder: Path) -> None:
    if found := differences(here, there):
        raise UsageError(
            f"the {what} of that model is of another recipe: {'; '.join(found[:3])}", where=str(folder),
            remedy="Repeat its settings, or train anew without it.",
        )  # fmt: skip
