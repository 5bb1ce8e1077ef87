"""Shards without what goes: the bytes of all other samples stay as they are, and so do all other shards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mitds.config import canonical
from mitds.manifests.removals import Rewritten
from mitds.manifests.shard_journal import Journal, Laid, ShardRecord, read_journal
from mitds.manifests.shards import Sample, index_shard, read_member
from mitds.manifests.source_labels import SourceLabels, from_sample, to_sample
from mitds.manifests.tar_bytes import (
    BLOCK,
    Stretch,
    append_member,
    copy_stretch,
    sample_bytes,
    trailer,
)
from mitds.pipeline.rights.plan import Plan, Withdrawal
from mitds.pipeline.rights.survey import shards_of
from mitds.store import atomic_open, sha256_file, write_bytes

Pieces = list[tuple[str, Stretch | Mapping[str, bytes]]]
"""Samples by key, in order: where their bytes lie, or their members where these are new."""


def touched(folder: Path, what: Withdrawal) -> list[Path]:
    """Return the shards that hold something that goes."""
    return [path for path in shards_of(folder, deep=True) if _after(path, what) is not None]


def withdraw(folder: Path, plan: Plan) -> None:
    """Write shards anew without what goes; one in which nothing is left vanishes, and no other changes its number."""
    for path in shards_of(folder, deep=True):
        kept = _after(path, plan.what)
        if kept is not None:
            _write(path, kept)
    _journals(folder, plan)
    for path in (folder / ".work" / "shards").glob("*"):
        if path.suffix == ".aside" or (path.suffix == ".part" and not path.with_suffix(".journal").exists()):
            path.unlink(missing_ok=True)  # nothing says what lies in it


def rewritten(folder: Path, plan: Plan) -> tuple[Rewritten, ...]:
    """Return what became of the shards that a plan touches."""
    return tuple(
        Rewritten(
            name=name, before=before, after=sha256_file(path) if (path := folder / name).exists() else None
        )
        for name, before in sorted(plan.shards.items())
    )


def _after(path: Path, what: Withdrawal) -> Pieces | None:
    """Return what is left of a shard; None where it stays as it is."""
    pieces: Pieces = []
    changed = False
    for key, stretch in samples(path):
        if what.takes(key):
            changed = True
        elif members := _relabelled(path, key, what):
            changed = True
            pieces.append((key, members))
        else:
            pieces.append((key, stretch))
    return pieces if changed else None


def samples(path: Path) -> Iterator[tuple[str, Stretch]]:
    """Yield every sample's key and where its members lie, headers and padding included."""
    for key, group in itertools.groupby(index_shard(path), key=lambda entry: entry.key):
        entries = list(group)
        end = entries[-1].offset + -(-entries[-1].size // BLOCK) * BLOCK
        yield key, Stretch(path, entries[0].offset - BLOCK, end)


def _relabelled(path: Path, key: str, what: Withdrawal) -> dict[str, bytes] | None:
    """Return a source's labels without the persons that go; None where they hold none of them."""
    hidden = what.hidden(key)
    if not hidden or not path.name.startswith("sources-"):
        return None
    members = {e.ext: read_member(path, e) for e in index_shard(path) if e.key == key}
    labels = from_sample(Sample(key, members))
    without = blanked(labels, hidden)
    return None if without is labels else to_sample(without)


def blanked(labels: SourceLabels, hidden: frozenset[str]) -> SourceLabels:
    """Return a source's labels without the face tracks of persons, their bindings and the turns of their voices."""
    voices = {b.voice for b in labels.bindings if b.identity in hidden}
    tracks = tuple(t for t in labels.tracks if t.identity not in hidden)
    bindings = tuple(b for b in labels.bindings if b.identity not in hidden)
    turns = tuple(t for t in labels.turns if t.voice not in voices)
    if (len(tracks), len(bindings)) == (len(labels.tracks), len(labels.bindings)):
        return labels
    return replace(labels, tracks=tracks, bindings=bindings, turns=turns)


def _write(path: Path, pieces: Pieces) -> None:
    if not pieces:
        path.unlink()
        return
    with atomic_open(path) as file:
        end = 0
        for key, piece in pieces:
            if isinstance(piece, Stretch):
                copy_stretch(piece, file)
                end += piece.end - piece.start
            else:
                for ext, data in sorted(piece.items()):
                    append_member(file, f"{key}.{ext}", data)
                end += sample_bytes(piece)
        file.write(trailer(end))


# ---- journals, by which a later run knows what stands


def _journals(folder: Path, plan: Plan) -> None:
    staging = folder / ".work" / "shards"
    for path in sorted((staging / "published").glob("*.journal")):
        journal = read_journal(path)
        if path.stem in plan.shards or any(plan.what.takes(laid.key) for laid in journal.laid):
            _follow(path, journal, folder / path.stem)
    for path in sorted(staging.glob("*.journal")):
        _staged(path, plan.what)


def _follow(path: Path, journal: Journal, shard: Path) -> None:
    """Let the journal of a published shard say what the shard holds now."""
    if not shard.exists():
        path.unlink()
        return
    known, end = {laid.key: laid for laid in journal.laid}, 0
    lines: list[Laid | ShardRecord] = []
    for key, stretch in samples(shard):
        end += stretch.end - stretch.start
        lines.append(replace(known[key], end=end))
    record = ShardRecord(
        name=shard.name, sha256=sha256_file(shard), bytes=shard.stat().st_size, samples=len(lines)
    )
    _write_journal(path, [*lines, record])


def _staged(path: Path, what: Withdrawal) -> None:
    """Take samples out of a shard that a run has not published yet, whose journal says where they lie.

    The journal goes first and comes back last: a part without one is removed, and a run writes it anew.
    """
    part, laid = path.with_suffix(".part"), read_journal(path).laid
    if not any(what.takes(entry.key) for entry in laid):
        return
    path.unlink()
    start, kept, end = 0, [], 0
    stretches = []
    for entry in laid:
        if not what.takes(entry.key):
            stretches.append(Stretch(part, start, entry.end))
            end += entry.end - start
            kept.append(replace(entry, end=end))
        start = entry.end
    if kept and part.exists():
        with atomic_open(part) as file:
            for stretch in stretches:
                copy_stretch(stretch, file)
        _write_journal(path, kept)
    else:
        part.unlink(missing_ok=True)


def _write_journal(path: Path, lines: Sequence[Laid | ShardRecord]) -> None:
    write_bytes(path, "".join(canonical(line) + "\n" for line in lines).encode())
