"""What the readers of truth share: text and JSON from disk, and values that can be right."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

from mitds.errors import UsageError
from mitds.manifests.records import SpeechTurn


def text_of(path: Path) -> str | None:
    """Return a file's text; None where there is no such file.

    Raises:
        UsageError: If it is not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig") if path.is_file() else None
    except UnicodeDecodeError as error:
        raise UsageError(f"the truth is not text in UTF-8: {error}", where=str(path)) from error


def json_of(path: Path) -> Any:
    """Return what a JSON file holds; None where there is no such file."""
    text = text_of(path)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"the truth is not JSON: {error}", where=str(path)) from error


def seconds(value: Any) -> float:
    """Return a number that is finite and not negative."""
    number = float(value)
    if not isfinite(number) or number < 0:
        raise ValueError(f"{value} is neither 0 nor more")
    return number


def turn(voice: str, start: Any, end: Any) -> SpeechTurn:
    """Return a turn that does not end before it starts."""
    start_s, end_s = seconds(start), seconds(end)
    if end_s < start_s:
        raise ValueError(f"{voice} ends at {end_s:g} s, before they start at {start_s:g} s")
    return SpeechTurn(voice=named(voice), start_s=start_s, end_s=end_s)


def named(person: str) -> str:
    """Return the name of a person, if it is one."""
    if not person or not isinstance(person, str):
        raise ValueError("a person has no name")
    return person


def choice(word: str, of: tuple[str, ...]) -> str:
    """Return a word that is one of those known."""
    if word not in of:
        raise ValueError(f"{word!r} is none of {', '.join(of)}")
    return word


@contextmanager
def line_of(path: Path, number: int) -> Iterator[None]:
    """Turn a line that cannot be read into an error that names it."""
    with _understood(path, f"line {number} of the truth"):
        yield


@contextmanager
def entry_of(path: Path, key: str) -> Iterator[None]:
    """Turn an entry of a json that cannot be read into an error that names it."""
    with _understood(path, f"{key!r} in the truth"):
        yield


@contextmanager
def _understood(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise UsageError(f"{what} cannot be understood: there is no {error}", where=str(path)) from error
    except (ValueError, IndexError, TypeError, ArithmeticError, csv.Error) as error:
        raise UsageError(f"{what} cannot be understood: {error}", where=str(path)) from error
