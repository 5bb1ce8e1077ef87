"""The user's list of sources: plain lines, CSV or JSON lines."""

from __future__ import annotations

import csv
import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mitds.errors import UsageError
from mitds.manifests.records import Rights
from mitds.pipeline.sources.words import MAX_CHARS, clean

COLUMNS = ("url", "licence", "license", "consent", "note", "title")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?://|:)")
_REMEDY = "Give a file with one URL or path a line, .csv or .jsonl."
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NO_TEXT = re.compile(r"[\x00\ud800-\udfff]")
"""Characters that no table or file of UTF-8 text can hold."""

Row = tuple[int, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list: its 1-based number in the file, and what it says."""

    row: int
    url: str
    rights: Rights
    title: str | None = None


def read_list(path: Path) -> list[Entry]:
    """Read a list of sources.

    A .csv or .jsonl file has the columns url, licence (or license), consent, note and title; only url is
    needed, and other columns are left alone. Any other file has one URL or path a line. Lines that begin
    with ``#`` are comments, but not in .jsonl. Relative paths are relative to the list.

    Raises:
        UsageError: The list cannot be read, names nothing, or has a bad row; says which.
    """
    reader = _READERS.get(path.suffix.lower(), _plain_rows)
    try:
        if path.exists() and not path.is_file():  # a FIFO would be waited for without end
            raise UsageError("the list is not a regular file", where=str(path), remedy=_REMEDY)
        with path.open(encoding="utf-8-sig", newline="") as lines:
            entries = [_entry(row, values, path) for row, values in reader(lines, path)]
    except OSError as error:
        raise UsageError(f"the list cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise UsageError("the list is not UTF-8 text", where=str(path), remedy=_REMEDY) from error
    if not entries:
        raise UsageError("the list names no source", where=str(path), remedy="Write one URL or path a line.")
    return entries


def _plain_rows(lines: Iterable[str], path: Path) -> Iterator[Row]:
    for row, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            yield row, {"url": text}


def _csv_rows(lines: Iterable[str], path: Path) -> Iterator[Row]:
    begins = True  # a line within a quoted cell is no comment

    def uncommented() -> Iterator[str]:
        nonlocal begins
        for line in lines:
            comment, begins = begins and line.lstrip().startswith("#"), False
            yield "\n" if comment else line

    reader = csv.reader(uncommented(), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            begins = True
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header((cell.lower() for cell in cells), path, reader.line_num)
            elif len(cells) != len(header):
                what = f"the row has {len(cells)} cells, the header {len(header)}"
                raise _bad(what, path, reader.line_num)
            else:
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise _bad(f"the row is not CSV: {error}", path, reader.line_num) from error


def _json_rows(lines: Iterable[str], path: Path) -> Iterator[Row]:
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise _bad(f"the row is not JSON: {error}", path, row) from error
        if not isinstance(values, dict):
            raise _bad("the row is not a JSON object", path, row)
        _header(values, path, row)
        yield row, {k: _text(v, k, path, row) for k, v in values.items() if k in COLUMNS and v is not None}


def _no_rows(lines: Iterable[str], path: Path) -> NoReturn:
    remedy = "Write JSON lines: a .jsonl file with one object a line."
    raise UsageError("a .json file is no list", where=str(path), remedy=remedy)


_READERS: dict[str, Callable[[Iterable[str], Path], Iterator[Row]]] = {
    ".csv": _csv_rows,
    ".json": _no_rows,
    ".jsonl": _json_rows,
}


def _header(names: Iterable[str], path: Path, row: int) -> list[str]:
    """Check column names: a slip of the pen in "licence" must not lose what the user states."""
    header = [name.strip() for name in names]
    for name in header:
        near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.8)
        if near and name not in COLUMNS:
            raise _bad(f"there is no column {name!r}; did you mean {near[0]!r}?", path, row)
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise _bad(f"the column {', '.join(map(repr, twice))} is named twice", path, row)
    if {"licence", "license"} <= set(header):
        raise _bad("there are both 'licence' and 'license', which mean the same", path, row)
    if "url" not in header:
        raise _bad(f"there is no column 'url' among {', '.join(header)}", path, row)
    return header


def _text(value: Any, name: str, path: Path, row: int) -> str:
    if not isinstance(value, str):
        raise _bad(f"{name} is {value!r}, not text", path, row)
    return value


def _entry(row: int, values: dict[str, str], path: Path) -> Entry:
    for name, value in values.items():
        if _NO_TEXT.search(value):
            raise _bad(f"{name or 'a column'} has control characters or halves of characters", path, row)
    given = {k: v.strip() or None for k, v in values.items()}
    url = given.get("url")
    if not url:
        raise _bad("the row has no url", path, row)
    if _CONTROL.search(url):
        raise _bad("the url has control characters", path, row)
    rights = Rights(
        licence=given.get("licence") or given.get("license"),
        consent=given.get("consent"),
        note=given.get("note"),
    )
    return Entry(row, url if _SCHEME.match(url) else _located(url, path), rights, _title(given.get("title")))


def _title(text: str | None) -> str | None:
    return clean(text or "")[:MAX_CHARS] or None


def _located(text: str, path: Path) -> str:
    home = Path.home() / text[2:] if text.startswith("~/") else Path(text)
    return str(path.absolute().parent / home)


def _bad(what: str, path: Path, row: int) -> UsageError:
    return UsageError(what, where=f"{path}:{row}", remedy="Correct the row.")
