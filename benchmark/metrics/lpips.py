"""LPIPS v0.1 of videos: how unlike pictures look to a network whose differences were weighted by people's votes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mitds.benchmark.contracts import Card, Scene, Score
from mitds.benchmark.footage import Footage, Frames
from mitds.benchmark.judges.cache import judge_id, judged
from mitds.benchmark.judges.lpips_net import PLANS, Trunk, lpips_net, weight_name
from mitds.benchmark.metrics.psnr import check_pair

_SOURCE = (
    "Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018, v0.1"
)


class _Lpips:
    trunk: ClassVar[Trunk]
    stride: ClassVar[int]

    def score(self, scene: Scene, generated: Footage) -> list[Score]:
        """Return one score: the mean over one frame of each `stride` frames."""
        real, stride = scene.real, self.stride

        def see() -> dict[str, NDArray[np.float64]]:
            drawn = generated.sample(stride)
            pair = real.frames_THWC[drawn], generated.frames_THWC[drawn]
            return {"distance_T": lpips_T(*pair, trunk=self.trunk)}

        inputs = {"reference": real.digest, "one_of": stride}
        judge = judge_id(f"lpips-{self.trunk}", 1, weight_name(self.trunk))
        distance_T = judged(generated, judge, inputs, see)["distance_T"]
        return [Score(value=float(distance_T.mean()), n=len(distance_T))]


class LpipsAlex(_Lpips):
    """LPIPS in the features of AlexNet: the variant its authors advise for comparison.

    Five frames a second are looked at, as one costs two hundred times its PSNR.
    """

    trunk = "alex"
    stride = 5
    card: ClassVar[Card] = Card(
        id="lpips.alex@1",
        title="LPIPS",
        says="LPIPS v0.1, AlexNet, of one frame of each 5, drawn by the output's content, at its own size; "
        "mean over frames.",
        better="lower",
        needs="pair",
        bounds=(0.0, None),
        floor="blurred",
        axis="likeness",
        tolerance=1e-5,
        weights=(weight_name("alex"),),
        source=_SOURCE,
    )


class LpipsVgg(_Lpips):
    """LPIPS in the features of VGG-16: twenty-five times the cost a frame, one frame a second, a scale of its own."""

    trunk = "vgg"
    stride = 25
    card: ClassVar[Card] = Card(
        id="lpips.vgg@1",
        title="LPIPS (VGG)",
        says="LPIPS v0.1, VGG-16, of one frame of each 25, drawn by the output's content, at its own size; "
        "mean over frames.",
        better="lower",
        needs="pair",
        bounds=(0.0, None),
        floor="blurred",
        tolerance=1e-5,
        weights=(weight_name("vgg"),),
        source=_SOURCE,
    )


def lpips_T(reference_THWC: Frames, generated_THWC: Frames, *, trunk: Trunk) -> NDArray[np.float64]:
    """Return LPIPS of each pair of frames, 0 or more, [T].

    The value depends on the size of pictures: compare only values of one size.

    Args:
        reference_THWC: uint8 RGB; one picture is T = 1.
        generated_THWC: The same shape.
        trunk: "alex" (sides of 31 px or more) or "vgg" (16 px).

    Raises:
        UsageError: If the two are no uint8 RGB pictures of one shape.
        MissingWeights: If the network cannot be had.
    """
    check_pair(reference_THWC, generated_THWC, least=PLANS[trunk].least)
    net = lpips_net(trunk)
    pairs = zip(reference_THWC, generated_THWC, strict=True)
    return np.array([net.distance(*pair) for pair in pairs], np.float64)
