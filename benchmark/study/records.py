"""What a study keeps: the host's key, and the votes that raters send back. Closed schemas, JSON only."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from mitds.errors import BadShard, InputFault
from mitds.manifests.codec import from_plain

R = TypeVar("R")
Answer = Literal["first", "same", "second"]
_MAX_BYTES = 4 << 20
_RATER = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two videos that were shown side by side.

    Attributes:
        pair: Opaque name.
        item: Item id.
        first: System of the first video, 0 or 1.
        kind: "vote"; "identical": one video twice, there is nothing to prefer; "repeat": `of`, with sides swapped.
        of: The pair that a repeat repeats; empty otherwise.
    """

    pair: str
    item: str
    first: int
    kind: Literal["vote", "identical", "repeat"]
    of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyKey:
    """What the host keeps for itself; `key.json`.

    Attributes:
        study: Opaque name of the study.
        systems: Names of the two systems; votes count for the first of them ("good" is: the first is better).
        questions: What was asked of every pair.
        seed: What items, sides, order and file names were drawn with.
        pairs: In the order of the page.
    """

    study: str
    systems: tuple[str, str]
    questions: tuple[str, ...]
    seed: int
    pairs: tuple[Pair, ...]
    schema: str = "mitds.study-key/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One answer; `seconds` since the pair was shown."""

    pair: str
    question: int
    answer: Answer
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """One rater's file of votes; `rater` is drawn at random by the page."""

    study: str
    rater: str
    votes: tuple[Vote, ...]
    schema: str


def read_key(path: Path) -> StudyKey:
    """Read the host's key.

    Raises:
        InputFault: If it is not one.
    """
    return _read(StudyKey, path, "mitds.study-key/1")


def read_ballot(path: Path, key: StudyKey) -> Ballot:
    """Read a rater's file; whatever does not belong into it is refused.

    Raises:
        InputFault: Another study, unknown pairs or questions, two answers to one question, other fields.
    """
    ballot = _read(Ballot, path, "mitds.study-votes/1")
    if ballot.study != key.study:
        raise _refused("the votes belong to another study", path)
    if not _RATER.fullmatch(ballot.rater):
        raise _refused("the rater's id is not 16 hex digits", path)
    known = {pair.pair for pair in key.pairs}
    asked: set[tuple[str, int]] = set()
    for vote in ballot.votes:
        if vote.pair not in known or not 0 <= vote.question < len(key.questions):
            raise _refused("it votes on a pair or a question that the study does not have", path)
        if (vote.pair, vote.question) in asked:
            raise _refused("it answers one question twice", path)
        if not 0 <= vote.seconds < 1e6:
            raise _refused("a time is out of range", path)
        asked.add((vote.pair, vote.question))
    return ballot


def _read(cls: type[R], path: Path, schema: str) -> R:
    if path.stat().st_size > _MAX_BYTES:
        raise _refused("the file is larger than any honest one", path)
    try:
        plain = json.loads(path.read_bytes(), object_pairs_hook=_unique, parse_constant=_no_constant)
        found = from_plain(cls, plain)
    except (ValueError, OverflowError, RecursionError, BadShard) as error:
        raise _refused(f"it is no {cls.__name__}: {error}", path) from error
    if plain.get("schema") != schema:
        raise _refused(f"its schema is not {schema}", path)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _refused(what: str, path: Path) -> InputFault:
    return InputFault(what, where=str(path), remedy="Leave the file out, or ask its sender for the original.")
