"""Fréchet inception distance of the pictures of videos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mitds.benchmark.contracts import Arrays, Card, Scene, SetScore
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges import inception
from mitds.benchmark.metrics.distances import Features, frechet_score

_DIMENSIONS = 2048


class Fid:
    """Fréchet inception distance (Heusel et al. 2017) with clean resizing (Parmar et al. 2022)."""

    card: ClassVar[Card] = Card(
        id="fid.inception2048@1",
        title="FID",
        says="Fréchet distance of the 2048 pooled activations of Inception (2015) of one frame of each 25, drawn by "
        "the content, resized once to 299 x 299 px, bicubic with anti-aliasing, whatever the aspect ratio. Biased "
        "upwards when pictures are few: read it beside its floor and n.",
        better="lower",
        needs="set",
        bounds=(0.0, None),
        floor="blurred",
        tolerance=0.01,
        weights=(inception.WEIGHTS,),
        source="Heusel et al., GANs Trained by a Two Time-Scale Rule, 2017; Parmar et al., On Aliased Resizing, 2022",
    )

    def observe(self, scene: Scene, footage: Footage) -> Arrays:
        """Return {"pool_ND"}, a row a picture."""
        return inception.pictures(footage)

    def reduce(self, real: Sequence[Arrays], generated: Sequence[Arrays]) -> SetScore:
        """Return the distance of all real pictures to all generated ones; None with fewer than two on a side."""
        return frechet_score(_pools(real), _pools(generated), unit="pictures", few=_DIMENSIONS)


def _pools(seen: Sequence[Arrays]) -> list[Features]:
    return [arrays["pool_ND"] for arrays in seen]
