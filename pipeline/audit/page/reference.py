"""What audits are compared with: known sets of videos, the reference toolchain's numbers on them, and targets."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from mitds.config import build


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSet:
    """A set of videos with truth.

    Attributes:
        title: Its name in tables.
        kind: Composed from real parts, with exact truth; or real, with truth found by people.
        about: What it holds, in full sentences.
        part_of: The set that holds these videos too; empty for none.
    """

    title: str
    kind: Literal["composite", "real", ""] = ""
    about: str = ""
    part_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number of another toolchain: a measure on a set."""

    measure: str
    set: str
    tool: str
    value: float
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How good a measure on a set has to be, by profile."""

    measure: str
    set: str
    goals: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """All that audits are compared with; ``reference.toml``."""

    source: str
    sets: dict[str, VideoSet]
    figures: tuple[Figure, ...]
    targets: tuple[Target, ...]

    def about(self, name: str) -> VideoSet:
        """Return what is known of a set; of an unknown one, its name."""
        return self.sets.get(name, VideoSet(title=name or "all videos"))

    def figures_of(self, measure: str, name: str) -> list[Figure]:
        """Return other toolchains' numbers for a measure on a set."""
        return [f for f in self.figures if (f.measure, f.set) == (measure, name)]

    def goal(self, measure: str, name: str, profile: str) -> float | None:
        """Return the target of a measure on a set for a profile, if there is one."""
        goals = (t.goals for t in self.targets if (t.measure, t.set) == (measure, name))
        return next((g[profile] for g in goals if profile in g), None)


@cache
def reference() -> Reference:
    """Return the comparison that ships with mitds."""
    values = tomllib.loads(files(__package__).joinpath("reference.toml").read_text("utf-8"))
    sets = {name: build(VideoSet, v, where=f"sets.{name}") for name, v in values.pop("sets").items()}
    return build(Reference, values | {"sets": sets}, where="reference.toml")
