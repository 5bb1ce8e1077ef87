"""The page of one evaluation: every item's real footage, output and labels, beside its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mitds.benchmark.cards import card_of
from mitds.benchmark.evaluation.anchors import read_anchors
from mitds.benchmark.evaluation.evaluate import Evaluation
from mitds.benchmark.release import OpenRelease, open_release
from mitds.benchmark.site import ItemView, skeleton_video, write_page
from mitds.manifests.items import Item
from mitds.manifests.records import Turn
from mitds.store import write_bytes


def write_evaluation_page(shards: Sequence[str], out: Path, found: Evaluation) -> Path:
    """Write index.html and its media beside the results; return its path.

    Args:
        shards: The release, as `evaluate` took it.
        out: Folder of the evaluation.
        found: What it found.
    """
    release = open_release(shards)
    anchors = read_anchors(release.folder, release.release)
    statuses = {
        row.item: row.status for row in found.rows if row.status not in ("ok", "undefined", "no_face")
    }
    items = [
        item_view(release, item, out / "media", found.videos.get(item.id), statuses.get(item.id, "ok"))
        for item in release.release.items
    ]
    return write_page(
        out,
        results=found.results,
        rows=found.rows,
        cards={metric: card_of(metric) for metric in (*found.chosen.cards, *found.chosen.unavailable)},
        items=items,
        anchors=anchors.metrics,
    )


def item_view(release: OpenRelease, item: Item, media: Path, output: Path | None, status: str) -> ItemView:
    """Write an item's real footage and drawn labels as files, and say how it is shown."""
    real, skeleton = media / f"{item.id}-real.mp4", media / f"{item.id}-skeleton.mp4"
    if not real.is_file():
        write_bytes(real, release.member(item.id, "mp4"))
    request = release.request(item.id)
    if not skeleton.is_file():
        skeleton_video(skeleton, request.pose_NTK3, width=item.width, height=item.height)
    return ItemView(
        id=item.id,
        title=f"Item {item.id[:6]}",
        subsets=item.subsets,
        persons=item.people,
        turns=request.turns,
        frames=item.frames,
        real=real,
        generated=output,
        skeleton=skeleton,
        status=status,
    )


def turns_of(release: OpenRelease) -> dict[str, tuple[tuple[Turn, ...], ...]]:
    """Return who speaks when, by item."""
    return {item.id: release.request(item.id).turns for item in release.release.items}
