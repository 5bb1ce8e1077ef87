"""Proof of the numbers: each metric against reference values, closed forms and independent libraries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mitds.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One row of the proof table.

    Attributes:
        metric: Metric id, or the piece of mathematics it rests on ("frechet").
        check: What is compared, in words.
        expected: The reference.
        measured: What mitds computes.
        tolerance: Largest difference allowed; for "must differ" rows the smallest required.
        source: Where the reference comes from.
        differs: True where the two must NOT agree: a documented trap.
    """

    metric: str
    check: str
    expected: float
    measured: float
    tolerance: float
    source: str
    differs: bool = False

    @property
    def difference(self) -> float:
        """Absolute difference of the two."""
        return float(abs(self.measured - self.expected))

    @property
    def holds(self) -> bool:
        """True where the row proves what it claims."""
        return bool(self.difference > self.tolerance if self.differs else self.difference <= self.tolerance)


PROOFS: Registry[Callable[[], Iterator[Proof]]] = Registry(
    "proof",
    {
        topic: f"mitds.benchmark.proofs.{topic}:proofs"
        for topic in ("pictures", "lpips", "frechet", "features", "sync", "speaking", "listener")
    },
)
"""One function a topic; each yields its rows."""
