"""Several audits side by side: which profile, on which set of videos."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitds.errors import UsageError
from mitds.pipeline.audit.page.reference import Reference, reference
from mitds.pipeline.audit.page.words import LABELS
from mitds.pipeline.audit.results import Audit, Measure, read_audit

_RUN = re.compile(r"(?P<name>[^@=\s]+)(@(?P<set>[^=]+))?=(?P<path>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One audit of the page.

    Attributes:
        name: Its column: the profile, so that targets are found.
        set: The set of videos it was made on; a set of ``reference.toml`` or any other name.
        path: Where it was read from, as the page may show it.
        audit: What it found.
    """

    name: str
    set: str
    path: str
    audit: Audit

    def __str__(self) -> str:
        return f"{self.name}{'@' if self.set else ''}{self.set}={self.path}"


def parse_run(text: str) -> Run:
    """Read the audit that ``NAME@SET=PATH`` names; ``@SET`` may be left out, and a folder means its audit.json.

    Raises:
        UsageError: If the text has another form, or no audit is there.
        BadShard: If the audit is damaged.
    """
    match = _RUN.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{text!r} names no audit", remedy="Write NAME@SET=PATH, as standard@composites=audit.json."
        )
    path = Path(match["path"])
    audit = read_audit(path / "audit.json" if path.is_dir() else path)
    return Run(name=match["name"], set=match["set"] or "", path=shown(path), audit=audit)


def shown(path: Path) -> str:
    """Return a path that may be published: relative, or without the folders of this machine."""
    if not path.is_absolute():
        return path.as_posix()
    if path.is_relative_to(Path.cwd()):
        return path.relative_to(Path.cwd()).as_posix()
    return Path(*path.parts[-3:]).as_posix()


class Runs:
    """Audits by name and set.

    Args:
        runs: At least one; no two with the same name and set.
        known: What they are compared with.

    Raises:
        UsageError: If there is none, or one twice.
    """

    def __init__(self, runs: Sequence[Run], known: Reference | None = None) -> None:
        if not runs:
            raise UsageError("no audit is given", remedy="Name at least one as NAME@SET=PATH.")
        self.runs = tuple(runs)
        self.known = known or reference()
        self.names = list(dict.fromkeys(run.name for run in runs))
        order = [*self.known.sets, *(run.set for run in runs)]
        self.sets = sorted({run.set for run in runs}, key=order.index)
        self._by_key = {(run.name, run.set): run for run in runs}
        if len(self._by_key) < len(runs):
            raise UsageError("two audits have one name and set", remedy="Give each its own NAME@SET.")

    @property
    def wholes(self) -> list[str]:
        """Sets whose videos are in no other set that is here."""
        return [name for name in self.sets if self.known.about(name).part_of not in self.sets or not name]

    def get(self, name: str, set_: str) -> Run | None:
        """Return a run, if it is there."""
        return self._by_key.get((name, set_))

    def measure(self, name: str, set_: str, id_: str, by: str = "") -> Measure | None:
        """Return a run's number, if it is there."""
        run = self.get(name, set_)
        measures = run.audit.measures if run else ()
        return next((m for m in measures if (m.id, m.by) == (id_, by)), None)

    def of_set(self, set_: str, id_: str, by: str = "") -> Measure | None:
        """Return a measure as the first run on a set has it, for its words and its n."""
        found = (self.measure(name, set_, id_, by) for name in self.names)
        return next((m for m in found if m is not None), None)

    @property
    def judged(self) -> set[str]:
        """Label types that some run has a number for."""
        return {m.label for run in self.runs for m in run.audit.measures if m.value is not None}

    def keys(self, *, conditional: bool) -> list[tuple[str, str]]:
        """Return (id, by) of all measures of all runs, by label type, with a condition or without one."""
        found = [m for run in self.runs for m in run.audit.measures if bool(m.by) is conditional]
        ids = list(dict.fromkeys(m.id for m in found))
        order = {label: place for place, label in enumerate(LABELS)}
        found.sort(key=lambda m: (order.get(m.label, len(order)), ids.index(m.id)))
        return list(dict.fromkeys((m.id, m.by) for m in found))
