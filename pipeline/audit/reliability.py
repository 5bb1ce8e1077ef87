"""Whether stated probabilities come true: reliability bins and the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from mitds.pipeline.audit.results import Reliability
from mitds.pipeline.audit.statistics import Flags, Floats, Ints

BINS = 10


@dataclass(frozen=True, slots=True)
class Calibration:
    """What each of V videos adds to each of B equally wide bins.

    Attributes:
        sums_VB3: Sum of stated probabilities, of cases that came true, and of cases.
    """

    sums_VB3: Floats

    @classmethod
    def of(cls, probability_N: Floats, true_N: Flags, video_N: Ints, videos: int) -> Self:
        """Sort N cases into bins; 1 belongs to the last bin."""
        bin_N = np.clip((probability_N * BINS).astype(np.int64), 0, BINS - 1)
        sums_VB3 = np.zeros((videos, BINS, 3))
        np.add.at(sums_VB3, (video_N, bin_N), np.stack([probability_N, true_N, np.ones(len(true_N))], 1))
        return cls(sums_VB3)

    @property
    def cases_V(self) -> Floats:
        """Cases of each video."""
        return np.asarray(self.sums_VB3[..., 2].sum(axis=1), np.float64)

    def diagram(self, label: Literal["speaking", "binding"]) -> Reliability | None:
        """Return the bins of all videos together; None where there is no case."""
        sums_B3 = self.sums_VB3.sum(axis=0)
        error = expected_error(sums_B3.reshape(-1))
        if error is None:
            return None
        mean = [(said / n, true / n) if n else (None, None) for said, true, n in sums_B3.tolist()]
        return Reliability(
            label=label,
            edges=tuple(k / BINS for k in range(BINS + 1)),
            said=tuple(said for said, _ in mean),
            found=tuple(true for _, true in mean),
            count=tuple(int(n) for n in sums_B3[:, 2]),
            error=error,
        )


def expected_error(sums_K: Floats) -> float | None:
    """Return |stated - true share| averaged over all cases, from the flattened sums of B bins."""
    said_B, true_B, count_B = sums_K.reshape(-1, 3).T
    return float(np.abs(said_B - true_B).sum() / count_B.sum()) if count_B.sum() > 0 else None
