"""Builds the page of a blind study: static files to publish, and a key that stays with the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mitds.benchmark.site.rendering import copy_in, environment, json_for_script, publish, write_html
from mitds.benchmark.study.records import Pair, StudyKey
from mitds.config import require
from mitds.errors import UsageError
from mitds.store import write_json

PAGE = "page"
QUESTION = "Which video looks more like a real conversation?"
_MOST_QUESTIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckConfig:
    """How attention is checked.

    Attributes:
        identical: Pairs that show one video twice: an attentive rater prefers neither.
        repeats: Pairs that come again with sides swapped, at most half of all: an attentive rater says the same.
    """

    identical: int = 2
    repeats: int = 4

    def __post_init__(self) -> None:
        require(self.identical >= 0, "identical", self.identical, "0 or more")
        require(self.repeats >= 0, "repeats", self.repeats, "0 or more")


def build_study(
    out: Path,
    first: Path,
    second: Path,
    *,
    questions: Sequence[str] = (),
    items: int = 30,
    seed: int = 0,
    reference: Path | None = None,
    checks: CheckConfig = CheckConfig(),
) -> Path:
    """Write `page/`, which is to be published, and `key.json`, which is not.

    Nothing in the page tells the systems apart: every showing of a video has its own random name, and sides are drawn
    anew for every item. What the files themselves carry (tags, another encoder) is the host's to even out.

    Args:
        out: Folder to write to.
        first: A folder of ITEM.mp4: the system that GSB speaks of, named after the folder.
        second: The other system's folder; items that both have are shown.
        questions: Asked of every pair, at most eight; one about realness where none is given.
        items: How many items are drawn; all, where there are fewer.
        seed: Draws items, sides, order and file names; as secret as the key.
        reference: A folder of ITEM.mp4 with real footage, shown above each pair.
        checks: How attention is checked.

    Returns:
        The page.

    Raises:
        UsageError: No common items, too many questions, or a video that is missing.
    """
    asked = tuple(questions) or (QUESTION,)
    require(len(asked) <= _MOST_QUESTIONS, "questions", len(asked), f"at most {_MOST_QUESTIONS}")
    require(items > 0, "items", items, "1 or more")
    generator = np.random.Generator(np.random.PCG64(seed))
    shown = _ordered(_items(first, second, items, generator), checks, generator)
    study = _name(generator)
    page = out / PAGE
    told = [_told(pair, (first, second), reference, page, generator) for pair in shown]
    systems = (first.resolve().name, second.resolve().name)
    key = StudyKey(study=study, systems=systems, questions=asked, seed=seed, pairs=tuple(shown))
    publish(page, "style.css", "player.js", package="mitds.benchmark.site")
    publish(page, "study.css", "study.js", package=__package__)
    write_json(out / "key.json", key)
    return write_html(
        page / "index.html",
        environment(__package__).get_template("study.html"),
        questions=asked,
        referenced=reference is not None,
        study=json_for_script({"study": study, "pairs": told}),
    )


def _items(first: Path, second: Path, count: int, generator: np.random.Generator) -> list[str]:
    common = sorted({p.stem for p in first.glob("*.mp4")} & {p.stem for p in second.glob("*.mp4")})
    if not common:
        raise UsageError(
            "the two folders have no videos in common",
            where=f"{first}, {second}",
            remedy="Give two folders of ITEM.mp4 with the same names.",
        )
    return [common[n] for n in generator.permutation(len(common))[:count]]


def _ordered(items: Sequence[str], checks: CheckConfig, generator: np.random.Generator) -> list[Pair]:
    """Return all pairs in the order of the page: what is repeated lies in the first half, its repeat in the second."""
    votes = [_pair(generator, item, "vote") for item in items]
    half = (len(votes) + 1) // 2
    again = [
        Pair(pair=_name(generator), item=vote.item, first=1 - vote.first, kind="repeat", of=vote.pair)
        for vote in votes[: min(checks.repeats, half)]
    ]
    late = [*votes[half:], *again]
    shown = [*votes[:half], *(late[n] for n in generator.permutation(len(late)))]
    for item in items[: checks.identical]:
        shown.insert(int(generator.integers(len(shown) + 1)), _pair(generator, item, "identical"))
    return shown


def _pair(generator: np.random.Generator, item: str, kind: Literal["vote", "identical"]) -> Pair:
    return Pair(pair=_name(generator), item=item, first=int(generator.integers(2)), kind=kind)


def _told(
    pair: Pair, folders: tuple[Path, Path], reference: Path | None, page: Path, generator: np.random.Generator
) -> dict[str, Any]:
    """Copy a pair's videos under random names; return what the page may know of it."""
    second = pair.first if pair.kind == "identical" else 1 - pair.first
    sources = [folders[pair.first] / f"{pair.item}.mp4", folders[second] / f"{pair.item}.mp4"]
    if reference is not None:
        sources.append(reference / f"{pair.item}.mp4")
    return {"pair": pair.pair, "videos": list(_copies(sources, page, generator))}


def _copies(sources: Sequence[Path], page: Path, generator: np.random.Generator) -> Iterator[str]:
    for source in sources:
        yield copy_in(source, page, f"videos/{_name(generator)}.mp4")


def _name(generator: np.random.Generator) -> str:
    return generator.bytes(8).hex()
