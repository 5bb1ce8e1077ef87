"""Releases without withdrawn items. A release is frozen: what is left is another one, which says what it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from mitds.manifests.codec import from_json
from mitds.manifests.items import Release
from mitds.pipeline.rights.plan import Plan
from mitds.store import write_json

LIST, FUNNEL = "release.json", "funnel.json"
_MEASURED = (
    "anchors.json",
    "controls/*/results.json",
    "controls/*/rows.parquet",
    "controls/*/results.partial.json",
)
"""What was measured on all items, and holds no longer."""


def withdraw_items(folder: Path, plan: Plan) -> None:
    """Take items out of a release's list, mark it, and remove what was measured on the release as it was.

    The list goes last: a removal that was stopped finds there what is still to do.
    """
    path = folder / LIST
    if not path.is_file():
        return
    release = from_json(Release, path.read_bytes())
    gone = {item.id for item in release.items if item.id in plan.what.items}
    if not gone:
        return
    for pattern in _MEASURED:
        for measured in sorted(folder.glob(pattern)):
            measured.unlink()
    clips, before = frozenset(plan.what.clips), release.config
    total = len(release.items) + int(before.get("withdrawn", "0"))
    left = replace(
        release,
        items=tuple(item for item in release.items if item.id not in gone),
        train=tuple(key for key in release.train if key not in clips),
        held_out=tuple(key for key in release.held_out if key not in clips),
        config={
            **before,
            "withdrawn": str(total - len(release.items) + len(gone)),
            "withdrawn_from": before.get("withdrawn_from", release.digest),
        },
    )
    _count(folder / FUNNEL, left, clips)
    write_json(path, left)


def _count(path: Path, release: Release, gone: frozenset[str]) -> None:
    """Let the funnel count what is left."""
    if not path.is_file():
        return
    funnel = json.loads(path.read_bytes())
    tested = {item.clip for item in release.items}
    ends = {"tested": len(tested), "train": len(release.train), "held_out": len(release.held_out)}
    left_out = {key: why for key, why in funnel.get("left_out", {}).items() if key not in gone}
    counts = {"clips": sum(ends.values()), **ends, "items": len(release.items)}
    write_json(path, {**funnel, **counts, "left_out": left_out})
