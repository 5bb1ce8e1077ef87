"""Fréchet video distance, and the unbiased MMD on the same features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from mitds.benchmark.contracts import Arrays, Card, Scene, SetScore
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges import i3d, i3d_net
from mitds.benchmark.metrics.distances import Features, floor, frechet_score, sizes
from mitds.benchmark.metrics.mmd import mmd2, mmd2_error

_OVER = (
    "the 400 logits (averaged over time, before softmax) of I3D-Kinetics-400 of every window of 16 frames, end to end "
    "from frame 0, squashed to 224 x 224 px by TensorFlow 1's bilinear resizing, without anti-aliasing; each window is "
    "a sample, though windows of one video are alike"
)


class _OnI3d:
    """Both distances see the same windows through the same judge."""

    def observe(self, scene: Scene, footage: Footage) -> Arrays:
        """Return {"logits_ND"}, a row a window; none for a video of less than 16 frames."""
        return i3d.windows(footage)


class Fvd(_OnI3d):
    """Fréchet video distance (Unterthiner et al. 2018): TF-Hub weights, nuclear norm, covariance over N - 1."""

    card: ClassVar[Card] = Card(
        id="fvd.i3d400.squash224.t16@1",
        title="FVD",
        says=f"Fréchet distance of {_OVER}. Biased upwards when windows are few: read it beside its floor and n.",
        better="lower",
        needs="set",
        bounds=(0.0, None),
        floor="blurred",
        tolerance=0.01,
        weights=(i3d.WEIGHTS,),
        source="Unterthiner et al., Towards Accurate Generative Models of Video, 2018 (arXiv 1812.01717)",
    )

    def reduce(self, real: Sequence[Arrays], generated: Sequence[Arrays]) -> SetScore:
        """Return the distance of all real windows to all generated ones; None with fewer than two on a side."""
        return frechet_score(_logits(real), _logits(generated), unit="windows", few=i3d_net.LOGITS)


class Mmd(_OnI3d):
    """Unbiased squared MMD with the cubic kernel on I3D's logits: KVD, over all pairs of windows of different items."""

    card: ClassVar[Card] = Card(
        id="mmd.i3d400.squash224.t16@1",
        title="MMD",
        says=f"Unbiased squared maximum mean discrepancy, kernel (x.y/400 + 1)^3, of {_OVER}, so only windows of "
        "different items make pairs. 0 in expectation for equal sets of any size.",
        better="lower",
        needs="set",
        floor="blurred",
        tolerance=2e-3,
        weights=(i3d.WEIGHTS,),
        source="Unterthiner et al., FVD: A new metric for video generation, 2019 (KVD); Binkowski et al. 2018 (KID)",
    )

    def reduce(self, real: Sequence[Arrays], generated: Sequence[Arrays]) -> SetScore:
        """Return the discrepancy; "error" is its standard error. None with fewer than two videos on a side."""
        both = zip(_logits(real), _logits(generated), strict=True)
        items = [(x_ND, y_ND) for x_ND, y_ND in both if len(x_ND) and len(y_ND)]
        x, y = [x_ND for x_ND, _ in items], [y_ND for _, y_ND in items]
        counts = sizes(x, y)
        n = min(counts.values())
        if len(items) < 2:
            return SetScore(
                value=None, n=n, reason=f"{len(items)} videos of 16 frames or more: two are needed"
            )
        chance = floor(x, partial(mmd2, paired=False))
        return SetScore(
            value=mmd2(x, y, paired=True), n=n, detail={**counts, "error": mmd2_error(x, y), **chance}
        )


def _logits(seen: Sequence[Arrays]) -> list[Features]:
    return [arrays["logits_ND"] for arrays in seen]
