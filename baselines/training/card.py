"""The model card: what a trained baseline is and came from, as `card.json` and, for people, as `card.md`.

It states what is known and nothing more; equal trainings give equal cards, but for the seconds they took. Files of
the machine that trained are named, their folders are not.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mitds.baselines.presets import recipe as preset_of
from mitds.baselines.recipe import Recipe
from mitds.baselines.training.autoencoder import FIDELITY
from mitds.baselines.training.card_page import leaves, page
from mitds.baselines.training.data import Chosen
from mitds.baselines.training.rights import unstated
from mitds.config import plain
from mitds.manifests.clip_index import ClipIndex
from mitds.manifests.records import Clip
from mitds.store import sha256_file, write_bytes, write_json
from mitds.weights.web import redact

CARD, PAGE = "card.json", "card.md"
UNSTATED = "unstated"

_NON_COMMERCIAL = re.compile(r"\bnc\b|non-?\s?commercial|research[ -]only|academic", re.IGNORECASE)
_SHARE_ALIKE = re.compile(r"\bsa\b|share-?\s?alike", re.IGNORECASE)
_ATTRIBUTION = re.compile(r"\bby\b|attribution", re.IGNORECASE)


def write_card(out: Path, recipe: Recipe, chosen: Chosen, about: Mapping[str, Any]) -> None:
    """Write `card.json` and `card.md` beside the weights.

    Args:
        out: Folder of the checkpoint.
        recipe: Every setting.
        chosen: The clips that were learned from and those that were left out.
        about: What the training says of itself: origin, parameters, losses, seconds, device, versions, and why
            clips were unused.

    Raises:
        InputFault: If a shard is damaged.
        StorageFault: If the card cannot be written.
    """
    facts = facts_of(out, recipe, chosen, about)
    write_json(out / CARD, facts)
    write_bytes(out / PAGE, page(facts).encode())


def facts_of(out: Path, recipe: Recipe, chosen: Chosen, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the card says, ready for JSON; arguments as of `write_card`."""
    places = {key: i for i, key in enumerate(chosen.index.keys)}
    used = [places[key] for key in chosen.keys]
    clips, paths = [chosen.index.record(i) for i in used], shards(chosen.index, used)
    fidelity = out / FIDELITY
    return {
        "schema": "mitds.card/1",
        "model": recipe.model,
        "preset": recipe.preset,
        "command": command(recipe, names(paths), about.get("release"), about.get("origin")),
        "recipe": plain(recipe),
        "seed": recipe.seed,
        "data": {
            "digest": chosen.digest,
            "shards": [
                {"name": name, "sha256": sha256_file(path)}
                for name, path in zip(names(paths), paths, strict=True)
            ],
            "hours": round(sum(clip.seconds for clip in clips) / 3600, 3),
            "clips": list(chosen.keys),
            "sources": sources(clips),
            "left_out": dict(sorted(chosen.left_out.items())),
            "unused": dict(sorted(about.get("unused", {}).items())),
        },
        "rights": rights(clips, ignored=recipe.data.rights == "ignore"),
        "autoencoder": json.loads(fidelity.read_bytes()) if fidelity.is_file() else {},
        **{
            name: plain(about.get(name))
            for name in (
                "origin", "lenders", "release", "parameters", "parts", "losses", "seconds", "device", "processes",
                "versions",
            )
        },
    }  # fmt: skip


def shards(index: ClipIndex, used: Sequence[int]) -> list[Path]:
    """Return the shards that clips lie in, each once."""
    return sorted({index.path(i) for i in used})


def names(paths: Sequence[Path]) -> list[str]:
    """Return the names of shards; those of several folders with the number of their folder, "FOLDER1/name"."""
    folders = sorted({path.parent for path in paths})
    return [
        path.name if len(folders) < 2 else f"FOLDER{folders.index(path.parent) + 1}/{path.name}"
        for path in paths
    ]


def sources(clips: Iterable[Clip]) -> list[dict[str, Any]]:
    """Return what is known of each source, with its people and clips."""
    by_source: dict[str, list[Clip]] = {}
    for clip in clips:
        by_source.setdefault(clip.source_id, []).append(clip)
    return [_source(source_id, by_source[source_id]) for source_id in sorted(by_source)]


def _source(source_id: str, clips: list[Clip]) -> dict[str, Any]:
    first = clips[0]
    return {
        "sha256": source_id,
        "name": Path(first.source_name).name,
        "url": public(first.source_url),
        **plain(first.rights),
        "identities": sorted({person.identity for clip in clips for person in clip.persons}),
        "clips": len(clips),
        "seconds": round(sum(clip.seconds for clip in clips), 2),
    }


def public(url: str) -> str:
    """Return an address on the net without user names and passwords; empty for a file of the own machine."""
    return redact(url) if urlsplit(url).scheme not in ("", "file") and "://" in url else ""


def rights(clips: Sequence[Clip], *, ignored: bool) -> dict[str, Any]:
    """Return what was stated of the clips' rights, counted in clips, and what follows for the weights.

    Args:
        clips: Those learned from.
        ignored: Whether the training was told not to heed stated rights.
    """
    licences = Counter(clip.rights.licence or UNSTATED for clip in clips)
    consents = Counter(clip.rights.consent or UNSTATED for clip in clips)
    without = unstated(clips)
    return {
        "licences": dict(sorted(licences.items())),
        "consents": dict(sorted(consents.items())),
        "unstated": without,
        "heeded": not ignored,
        "weights": list(terms(licences, without)),
    }


def terms(licences: Iterable[str], without: int) -> Iterator[str]:
    """Yield what the clips' licences ask of whoever uses the weights; the strictest of them govern.

    Args:
        licences: As the users stated them, free texts.
        without: Clips of which neither licence nor consent is stated.
    """
    stated = sorted(set(licences) - {UNSTATED})
    if without:
        yield (
            f"Of {without} clips neither a licence nor a consent is stated: no licence beyond research use is "
            "implied where rights are unstated."
        )
    for pattern, consequence in (
        (_NON_COMMERCIAL, "Not for commercial use"),
        (_SHARE_ALIKE, "Whatever is derived is to be shared under the same licence"),
        (_ATTRIBUTION, "The sources are to be named"),
    ):
        if found := [text for text in stated if pattern.search(text)]:
            yield f"{consequence}: {', '.join(found)}."
    if stated:
        yield f"The strictest of all stated licences governs these weights: {', '.join(stated)}."


def command(
    recipe: Recipe,
    names: Sequence[str],
    release: Mapping[str, str] | None = None,
    origin: Mapping[str, str] | None = None,
) -> str:
    """Return the command that trains this; what lies in folders of a machine stands there in capitals.

    Args:
        recipe: Its settings; only those that are not the preset's are written.
        names: Of the shards.
        release: Name and digest of the release that left the clips for training, if there was one.
        origin: sha256 of what another model gave, if one did: "autoencoder", and "stage1" with it.
    """
    usual = dict(leaves(plain(preset_of(recipe.model, recipe.preset))))
    changed = [(name, value) for name, value in leaves(plain(recipe)) if usual[name] != value]
    words = ["mitds train", f"--model {recipe.model}", f"--preset {recipe.preset}"]
    words += [f"--shards {shlex.quote(name)}" for name in names]
    words += [f"--release {shlex.quote(release['name'])}"] if release else []
    given = next((what for what in ("stage1", "autoencoder") if origin and origin.get(what)), None)
    words += [f"--{given} MODEL"] if given else []
    words += [f"--set {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in changed]
    return " ".join([*words, "--out OUT"])
