"""S: every file of a bundle parsed strictly and held against its closed schema; what passes becomes records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from mitds.benchmark.submission import strict_json
from mitds.benchmark.submission.bundle import (
    ABOUT,
    ENVIRONMENT,
    MAX_BYTES,
    REQUIRED,
    SCORES,
    SOURCES,
    VIDEOS,
    Bundle,
)
from mitds.benchmark.submission.problems import Problem, problem
from mitds.benchmark.submission.strict_json import NotStrict

MAX_PROBLEMS = 100
"""After so many in one file the rest of it is not read."""

_SCHEMAS = {ABOUT: "submission", VIDEOS: "videos", SCORES: "scores", ENVIRONMENT: "environment"}
_PLAIN_LINE = re.compile(rb"[ !#-\[\]-~\"]*")
_TRAINING_ID = re.compile(r"[0-9a-f]{64}|[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class VideoRow:
    """A row of videos.jsonl, with its line."""

    line: int
    item: str
    seed: int
    file: str
    sha256: str
    bytes: int
    frames: int
    fps: str
    width: int
    height: int
    audio: str | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A row of scores.jsonl, with its line."""

    line: int
    item: str
    seed: int
    metric: str
    person: int | None
    value: float | None
    status: str
    n: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a bundle says, each part held against its schema.

    Attributes:
        about: submission.json.
        environment: environment.json.
        videos: Rows of videos.jsonl.
        scores: Rows of scores.jsonl.
        trained_on: Declared training sources (sha256) and clips (keys).
    """

    about: dict[str, Any]
    environment: dict[str, Any]
    videos: tuple[VideoRow, ...]
    scores: tuple[ScoreRow, ...]
    trained_on: frozenset[str]


@cache
def schema(name: str) -> dict[str, Any]:
    """Return one of the closed schemas: "submission", "videos", "scores" or "environment"."""
    text = resources.files("mitds.benchmark.submission").joinpath("schemas", f"{name}.json").read_bytes()
    loaded: dict[str, Any] = strict_json.parse(text)
    return loaded


@cache
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(schema(name))


def read_contents(bundle: Bundle) -> tuple[Contents | None, list[Problem]]:
    """Read everything but the videos.

    Returns:
        The contents, or None where anything is wrong with them; and what is wrong.
    """
    absent = [name for name in REQUIRED if name not in bundle.places]
    if absent:
        return None, [problem("S-MISSING", f"there is no {name}", name) for name in absent]
    problems: list[Problem] = []
    about, environment = (_document(bundle, name, problems) for name in (ABOUT, ENVIRONMENT))
    videos = tuple(VideoRow(line, **row) for line, row in _rows(bundle, VIDEOS, problems))
    scores = tuple(ScoreRow(line, **row) for line, row in _rows(bundle, SCORES, problems))
    trained_on = frozenset(_sources(bundle, about, problems))
    if problems:
        return None, problems
    return Contents(about, environment, videos, scores, trained_on), []


def _document(bundle: Bundle, name: str, problems: list[Problem]) -> dict[str, Any]:
    value, found = validated(name, bundle.read(name), None, MAX_BYTES[name])
    problems += found
    return value if not found else {}


def validated(
    name: str, data: bytes, line: int | None = None, max_bytes: int = strict_json.MAX_LINE_BYTES
) -> tuple[Any, list[Problem]]:
    """Parse one document or row, and hold it against its schema.

    Args:
        name: File of the format that it belongs to.
        data: Its bytes.
        line: Its line.
        max_bytes: Largest size.
    """
    try:
        value = strict_json.parse(data, max_bytes=max_bytes)
    except NotStrict as error:
        return None, [problem("S-JSON", str(error), name, line)]
    bad = "" if _PLAIN_LINE.fullmatch(data) else _hidden(value)
    if bad:
        return value, [problem("S-TEXT", f"a text holds U+{ord(bad):04X}", name, line)]
    wrong = next(_validator(_SCHEMAS[name]).iter_errors(value), None)
    if wrong is None:
        return value, []
    if list(wrong.path) == ["schema"]:
        return value, [problem("S-VERSION", f"the schema is {value['schema']!r}", name, line)]
    where = "/".join(str(part) for part in wrong.path)
    return value, [problem("S-SCHEMA", f"{where}: {wrong.message}" if where else wrong.message, name, line)]


def _hidden(value: Any) -> str:
    return next((bad for text in strict_json.texts(value) if (bad := strict_json.hidden(text))), "")


def _rows(bundle: Bundle, name: str, problems: list[Problem]) -> Iterator[tuple[int, dict[str, Any]]]:
    found = 0
    for line, data in _lines(bundle, name):
        value, wrong = validated(name, data, line)
        if not wrong:
            yield line, value
            continue
        problems += wrong
        found += 1
        if found == MAX_PROBLEMS:
            return


def _lines(bundle: Bundle, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield numbered lines; one that is too long comes cut, just long enough to be refused."""
    line, pending = 1, b""
    for piece in bundle.chunks(name):
        *whole, pending = (pending + piece).split(b"\n")
        for data in whole:
            yield line, data
            line += 1
        if len(pending) > strict_json.MAX_LINE_BYTES:
            yield line, pending
            return
    if pending:
        yield line, pending


def _sources(bundle: Bundle, about: dict[str, Any], problems: list[Problem]) -> Iterator[str]:
    listed = "sources" in about.get("training_data", {})
    if listed != (SOURCES in bundle.places):
        what = "it is declared and not there" if listed else "it is there and not declared in submission.json"
        problems.append(problem("S-MISSING", what, SOURCES))
    if SOURCES not in bundle.places:
        return
    for line, data in _lines(bundle, SOURCES):
        text = data.decode("latin-1")
        if not _TRAINING_ID.fullmatch(text):
            what = f"{text[:80]!r} is neither the sha256 of a source nor the key of a clip"
            problems.append(problem("S-SCHEMA", what, SOURCES, line))
            return
        yield text
