"""``mitds remove``: withdraw sources or persons from folders, completely or, when stopped, by the next call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mitds.errors import UsageError
from mitds.lock import output_lock
from mitds.manifests.removals import (
    PENDING,
    RECORDS,
    Removal,
    append_record,
    covers,
    read_records,
    url_digest,
)
from mitds.pipeline.report import ReportConfig, write_report
from mitds.pipeline.rights.files import EXPORT, exported, named, outdate, purge, remains, strike_out
from mitds.pipeline.rights.plan import Plan, Withdrawal, read_plan, write_plan
from mitds.pipeline.rights.releases import withdraw_items
from mitds.pipeline.rights.shards import rewritten, samples, touched, withdraw
from mitds.pipeline.rights.survey import resolve, shards_of, survey
from mitds.pipeline.rights.tables import blank_sources, drop_rows, end_in_ledgers, rows_of, sum_up
from mitds.store import remove_tree, sha256_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks to withdraw, and who answers for it.

    Attributes:
        sources: sha256 of sources, or their first 16 digits or more.
        urls: Addresses.
        identities: "SOURCE:P0".
        by: Who signs it off.
        why: On what ground.
        signature: A letter or signature file, of which the record keeps the sha256; None without one.
        anonymous: Write reports without pictures of anybody.
        at: UTC time, ISO 8601; now, unless given.
    """

    sources: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()
    by: str = ""
    why: str = ""
    signature: Path | None = None
    anonymous: bool = False
    at: str = ""

    def __post_init__(self) -> None:
        """Refuse a removal of nothing, or by nobody."""
        if not (self.sources or self.urls or self.identities):
            raise UsageError("nothing is named", remedy="Give --source, --url or --identity.")
        if not self.by.strip():
            raise UsageError("nobody signs the removal off", remedy="Give --by NAME.")


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of one folder.

    Attributes:
        folder: Which one.
        plan: What goes, or would go.
        left: Files that still name a source's id or address afterwards; they are not mitds's, or too large.
    """

    folder: Path
    plan: Plan
    left: tuple[str, ...] = ()


def remove(folders: Sequence[Path], asked: Asked, *, dry_run: bool = False) -> list[Removed]:
    """Withdraw from folders that ingest, annotate, release build or export wrote; stopped removals are completed first.

    The folders are looked through together: what one of them knows (which clips are of a source, what its exports
    are called) goes from all of them.

    Raises:
        UsageError: A folder is not there, is in use, or an id fits no source.
        BadShard: A shard is damaged.
        StorageFault: A folder cannot be written.
    """
    folders = list(dict.fromkeys(folders))
    for folder in folders:
        _check(folder)
    with ExitStack() as held:
        if not dry_run:
            for folder in sorted(folders):
                held.enter_context(output_lock(folder, "remove"))
        _complete(folders, dry_run)
        what = _withdrawal(folders, asked)
        plans = [(folder, planned(folder, what)) for folder in folders]
        if dry_run:
            return [Removed(folder, plan) for folder, plan in plans]
        cleared = [_cleared(folder, plan) for folder, plan in plans if _known(folder, plan)]
        return _carried_out([(f, p) for f, p in plans if not _known(f, p)]) + cleared


def _check(folder: Path) -> None:
    """Refuse a folder that mitds did not write: what is named like an item there may be anything."""
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder), remedy="Check --dir.")
    marks = ("run.json", "release.json", EXPORT, RECORDS, PENDING, ".work")
    ours = any((folder / mark).exists() for mark in marks) or shards_of(folder) or exported(folder)
    if not ours:
        raise UsageError(
            "there is nothing that mitds wrote",
            where=str(folder),
            remedy="Name the folders that ingest, annotate, release build and export wrote, one by one.",
        )


def _withdrawal(folders: Sequence[Path], asked: Asked) -> Withdrawal:
    what = resolve(survey(folders), folders, asked.sources, asked.urls, asked.identities)
    return replace(
        what,
        at=asked.at or datetime.now(UTC).isoformat(timespec="seconds"),
        by=asked.by,
        why=asked.why,
        signature=sha256_file(asked.signature) if asked.signature else "",
        anonymous=asked.anonymous,
    )


def planned(folder: Path, what: Withdrawal) -> Plan:
    """Say what goes from a folder; nothing is changed."""
    paths, rows = touched(folder, what), rows_of(folder, what)
    gone = [key for path in paths for key, _ in samples(path) if what.takes(key)]
    counts = {
        "sources": len(rows) or sum(key in what.prefixes for key in set(gone)),
        "shots": sum("-s" in key for key in gone),
        "clips": sum(key in what.clips for key in gone),
        "items": sum(key in what.items for key in gone),
        "files": named(folder, what),
    }
    return Plan(
        what=what,
        rows=rows,
        shards={p.relative_to(folder).as_posix(): sha256_file(p) for p in paths},
        counts=counts,
    )


def _known(folder: Path, plan: Plan) -> bool:
    """Say whether a folder holds nothing of it and has a record of it already."""
    what = plan.what
    urls = map(url_digest, what.urls)
    return plan.empty and covers(read_records(folder / RECORDS), what.sources, urls, what.identities)


def _complete(folders: Sequence[Path], dry_run: bool) -> None:
    """Carry out what an earlier call planned and did not finish, in all folders: it may have planned for some only."""
    plans = {folder: plan for folder in folders if (plan := read_plan(folder))}
    if not plans:
        return
    if dry_run:
        raise UsageError(
            "a removal was stopped here and is not complete",
            where=str(next(iter(plans))),
            remedy="Give the same command without --dry-run: it completes it.",
        )
    whats = list(dict.fromkeys(plan.what for plan in plans.values()))
    for what in whats:
        own = [(folder, plan) for folder, plan in plans.items() if plan.what == what]
        _carried_out(own + _still(what, [folder for folder in folders if folder not in plans]))
    for what in whats:
        _carried_out(_still(what, [folder for folder, plan in plans.items() if plan.what != what]))


def _still(what: Withdrawal, folders: Sequence[Path]) -> list[tuple[Path, Plan]]:
    """Plan what folders still have to do about a withdrawal."""
    return [(f, plan) for f in folders if not _known(f, plan := planned(f, what))]


def _carried_out(plans: Sequence[tuple[Path, Plan]]) -> list[Removed]:
    """Write all plans down before the first of them is carried out."""
    for folder, plan in plans:
        if read_plan(folder) != plan:
            write_plan(folder, plan)
    return [_carry_out(folder, plan) for folder, plan in plans]


STEPS: tuple[Callable[[Path, Plan], None], ...] = (
    withdraw,
    withdraw_items,
    end_in_ledgers,
    blank_sources,
    drop_rows,
    sum_up,
    purge,
    strike_out,
    outdate,
)
"""Each can be done again: it changes what still holds something, and nothing else."""


def _carry_out(folder: Path, plan: Plan) -> Removed:
    _clear(folder, plan)
    if (folder / "report.html").is_file():
        write_report(folder, ReportConfig(anonymous=plan.what.anonymous))
    if not (
        folder / EXPORT
    ).is_file():  # its format owns every name in it; it is made from folders with records
        append_record(folder / RECORDS, _record(folder, plan))
    (folder / PENDING).unlink()
    return Removed(folder, plan, tuple(remains(folder, plan.what)))


def _clear(folder: Path, plan: Plan) -> None:
    for stale in sorted(folder.rglob(".tmp-*")):
        if stale.is_file():
            stale.unlink(missing_ok=True)
        elif stale.is_dir():
            remove_tree(stale)
    for step in STEPS:
        step(folder, plan)


def _cleared(folder: Path, plan: Plan) -> Removed:
    """Clear a folder of what its records withdraw already: copies may have come back, in exports for one."""
    _clear(folder, plan)
    return Removed(folder, plan, tuple(remains(folder, plan.what)))


def _record(folder: Path, plan: Plan) -> Removal:
    what = plan.what
    return Removal(
        sources=what.sources,
        urls=tuple(sorted(map(url_digest, what.urls))),
        identities=what.identities,
        at=what.at,
        by=what.by,
        why=what.why,
        signature=what.signature,
        counts=plan.counts,
        shards=rewritten(folder, plan),
    )
