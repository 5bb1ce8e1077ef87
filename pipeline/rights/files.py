"""Files beside the shards: what a run keeps to go on, exports, logs, and the proof that nothing is left."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mitds.manifests.removals import PENDING, RECORDS
from mitds.pipeline.export.croissant_parts import is_ours
from mitds.pipeline.rights.plan import Plan, Withdrawal
from mitds.store import write_bytes, write_json

EXPORTED = (".rttm", ".asd.csv", ".cuts.txt", ".coco.json")
"""Suffixes of exports that are one file a source."""
EXPORT = "export.json"
"""Mark of a folder that one export format owns."""
DESCRIPTION = "croissant.json"
_LINES = frozenset({".jsonl", ".csv", ".rttm", ".txt", ".log", ".md"})
_OWN = frozenset({RECORDS, PENDING, ".lock", "ledger.jsonl"})
_FROZEN = frozenset({"release.json", "funnel.json"})
_ID = re.compile(rb"[0-9a-f]{16}")
_SMALL = 64 << 20
_CHUNK = 8 << 20
_OVERLAP = 8 << 10
"""Longer than any address."""


def exported(folder: Path) -> list[Path]:
    """Return the exports in a folder that are one file a source."""
    return [path for path in sorted(folder.iterdir()) if path.name.endswith(EXPORTED)]


def purge(folder: Path, plan: Plan) -> None:
    """Remove the files that are about what goes, and nothing else: by their names, and in caches by what they say."""
    what = plan.what
    for path in sorted(folder.rglob("*"), reverse=True):
        if not path.exists() or path.name in _OWN:
            continue
        if _named(folder, path, what) or (path.is_file() and _cached(folder, path, what)):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    audit = folder / "audit.json"
    if audit.is_file() and set(json.loads(audit.read_bytes()).get("names", ())) & set(what.names):
        audit.unlink()  # it measured all videos together


def named(folder: Path, what: Withdrawal) -> int:
    """Count the files whose names say that they are of what goes, or that lie in a folder that says so."""
    found = [path for path in folder.rglob("*") if path.name not in _OWN and _named(folder, path, what)]
    inside = [p for path in found if path.is_dir() for p in path.rglob("*")]
    return sum(path.is_file() for path in {*found, *inside})


def _named(folder: Path, path: Path, what: Withdrawal) -> bool:
    """Say whether a file's name says that it is of what goes."""
    parts = re.split(r"[._-]", path.name)
    in_work = ".work" in path.relative_to(folder).parts
    if what.keys.intersection(parts) or path.name[:16] in (what.touched if in_work else what.prefixes):
        return not (in_work and path.name[:16] not in what.prefixes and "downloads" in path.parts)
    return any(path.name.removesuffix(s) in what.names for s in EXPORTED if path.name.endswith(s))


def _cached(folder: Path, path: Path, what: Withdrawal) -> bool:
    """Say whether a small file of the work folder speaks of what goes; shards and journals are seen to elsewhere."""
    work = folder / ".work"
    if (
        not path.is_relative_to(work)
        or path.suffix in (".part", ".journal", ".jsonl")
        or path.stat().st_size > _SMALL
    ):
        return False
    return mentions(path.read_bytes(), what)


def outdate(folder: Path, plan: Plan) -> None:
    """Let no description of an export stand that counts and digests what was there before: it is to be made again."""
    if plan.empty:
        return
    if is_ours(folder / DESCRIPTION):
        (folder / DESCRIPTION).unlink()
    mark = folder / EXPORT
    if mark.is_file() and (told := json.loads(mark.read_bytes())).get("complete"):
        write_json(mark, {**told, "complete": False})


def mentions(data: bytes, what: Withdrawal) -> bool:
    """Say whether bytes hold a word that may stand nowhere."""
    return bool(what.words) and _pattern(what.words).search(data) is not None


@cache
def _pattern(words: tuple[str, ...]) -> re.Pattern[bytes]:
    """Match the words where they stand alone: one address may be the beginning of another."""
    spellings = {form.encode() for word in words for form in (word, json.dumps(word)[1:-1])}
    ids = [re.escape(w) for w in sorted(spellings) if _ID.fullmatch(w)]
    urls = [re.escape(w) + rb"(?![\w/%&=?#~-])" for w in sorted(spellings) if not _ID.fullmatch(w)]
    return re.compile(rb"(?<![\w/%&=?#~-])(?:" + b"|".join(urls + ids) + rb")")


def strike_out(folder: Path, plan: Plan) -> None:
    """Take lines out of logs and lists, and entries out of JSON, that name what goes."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in _OWN):
        if path.stat().st_size > _SMALL:
            continue
        if path.suffix in _LINES:
            lines = path.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if not _speaks(line, plan.what)]
            if len(kept) < len(lines):
                write_bytes(path, b"".join(kept))
        elif (
            path.suffix == ".json"
            and path.name != "release.json"
            and _speaks(data := path.read_bytes(), plan.what)
        ):
            write_json(path, without(json.loads(data), plan.what))


def _speaks(data: bytes, what: Withdrawal) -> bool:
    return mentions(data, what) or any(key.encode() in data for key in what.keys)


def without(value: Any, what: Withdrawal) -> Any:
    """Return JSON without the entries, of lists and of objects, that name what goes in a text of their own."""
    if isinstance(value, list):
        return [without(v, what) for v in value if not _own_text(v, what)]
    if isinstance(value, dict):
        return {k: without(v, what) for k, v in value.items() if not (_is(k, what) or _own_text(v, what))}
    return value


def _own_text(value: Any, what: Withdrawal) -> bool:
    texts: Iterable[Any] = value.values() if isinstance(value, dict) else (value,)
    return any(_is(text, what) for text in texts)


def _is(text: Any, what: Withdrawal) -> bool:
    return isinstance(text, str) and _speaks(text.encode(), what)


# ---- the proof


def remains(folder: Path, what: Withdrawal) -> list[str]:
    """Read everything in a folder and return the files that still name a source's id or address."""
    files = (
        p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in (RECORDS, PENDING, ".lock")
    )
    return [str(p.relative_to(folder)) for p in files if _holds(p, what)]


def _holds(path: Path, what: Withdrawal) -> bool:
    tail = b""
    for chunk in _chunks(path):
        if mentions(tail + chunk, what):
            return True
        tail = chunk[-_OVERLAP:]
    return False


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
