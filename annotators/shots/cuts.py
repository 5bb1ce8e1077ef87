"""What shot detectors share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from mitds.annotators.contracts import Cut


def spaced(cuts: Iterable[Cut], start: Fraction, least_s: float) -> Iterator[Cut]:
    """Drop every cut that comes less than `least_s` after the one kept before it, or after `start`.

    Two cuts so close are a flash or a wipe seen twice rather than a shot anybody could annotate.
    """
    last, least = start, Fraction(least_s).limit_denominator(1_000_000)
    for cut in cuts:
        if cut.pts - last >= least:
            last = cut.pts
            yield cut
