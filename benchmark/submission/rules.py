"""R: what a benchmark asks of a submission beyond its form."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from typing import Any

from mitds.benchmark.registries import CONTROLS
from mitds.benchmark.submission.bundle import ABOUT, SOURCES
from mitds.benchmark.submission.problems import Problem, problem
from mitds.benchmark.submission.structure import Contents
from mitds.manifests.items import Release

TRACKS = ("pose-driven", "audio-driven")
SEEDS = (0, 1, 2)
RESERVED = ("real", "real footage", "floor", "host", "mitds")
"""Names that a board shows itself, beside those of the controls."""
CONSENT = (
    "We may publish these videos and scores, and the system was trained only on people "
    "who agreed to it or on material whose licence allows it."
)


def check_rules(contents: Contents, release: Release, today: datetime.date) -> Iterator[Problem]:
    """Hold the declarations against the rules."""
    about = contents.about
    wanted = {"name": release.name, "digest": release.digest}
    if about["release"] != wanted:
        what = f"it is for {_named(about['release'])}, this is {_named(wanted)}"
        yield problem("R-RELEASE", what, ABOUT)
    if about["track"] not in TRACKS:
        yield problem("R-TRACK", f"the track is {about['track']!r}", ABOUT)
    if about["consent"] != CONSENT:
        yield problem("R-CONSENT", f"it says {about['consent'][:120]!r}", ABOUT)
    if _plain(about["system"]) in {_plain(name) for name in (*RESERVED, *CONTROLS.names())}:
        what = f"{about['system']!r} is a name that the board gives to what is no submission"
        yield problem("R-NAME", what, ABOUT)
    yield from _seeds(about)
    yield from _date(about["date"], today)
    yield from _training(contents, release)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", name.casefold()).strip()


def _named(release: dict[str, str]) -> str:
    return f"{release['name']} ({release['digest']})"


def _seeds(about: dict[str, Any]) -> Iterator[Problem]:
    seeds = sorted(about["seeds"])
    if (len(seeds) != 1) if about["deterministic"] else (tuple(seeds) != SEEDS):
        kind = "deterministic" if about["deterministic"] else "not deterministic"
        yield problem("R-SEEDS", f"the system is {kind}, and there are seeds {seeds}", ABOUT)


def _date(text: str, today: datetime.date) -> Iterator[Problem]:
    try:
        date = datetime.date.fromisoformat(text)
    except ValueError:
        yield problem("R-DATE", f"{text} is no day", ABOUT)
        return
    if date > today + datetime.timedelta(days=1):  # somewhere it is tomorrow already
        yield problem("R-DATE", f"{text} lies in the future", ABOUT)


def _training(contents: Contents, release: Release) -> Iterator[Problem]:
    kept = {item.source for item in release.items} | {item.clip for item in release.items}
    kept |= set(release.held_out)
    met = sorted(contents.trained_on & kept)
    if met:
        what = f"{len(met)} of the declared sources and clips are in the release or share its people: "
        yield problem("R-TRAINING", what + ", ".join(met[:3]), SOURCES)
