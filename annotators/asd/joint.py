"""LR-ASD and lip-net together: two witnesses that err in different ways, in one pass over the frames.

LR-ASD learned from pixels of films and takes moving faces for speaking ones; lip-net sees landmarks only, knows
better whether lips and sound fit, and sees less where faces are small or turned away.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mitds.annotators.asd.lip_net import LipNet, LipNetConfig
from mitds.annotators.asd.lr_asd import LrAsd, LrAsdConfig
from mitds.annotators.asd.rows import Calibration, Watch, scores_of, watched
from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array, FaceTrack, SpeakingScores


@dataclass(frozen=True, slots=True, kw_only=True)
class JointScorerConfig:
    """How both are run and joined.

    Attributes:
        lr_asd: Of LR-ASD.
        lip_net: Of lip-net.
        lip_share: Share of lip-net's log odds in the joint log odds, 0..1. Composed scenes (see
            `annotators.binding.fusion.FITTED`) ask for .5 with lip-nets taught on half of the people, each judging
            the other half; .6 does as well there, and the lip-net that comes with mitds was taught on all.
        calibration: From joint log odds to probability, fitted on the same scenes; one face in five speaks there.
    """

    lr_asd: LrAsdConfig = field(default_factory=LrAsdConfig)
    lip_net: LipNetConfig = field(default_factory=LipNetConfig)
    lip_share: float = 0.6
    calibration: Calibration = field(default_factory=lambda: Calibration(offset=-0.8))


class JointScorer:
    """Scores face tracks by the weighted mean of both backends' calibrated log odds.

    Where lip-net abstains, because the face is turned away, LR-ASD decides alone.

    Args:
        config: How both are run and joined.
    """

    name = "lr-asd-lip-net"

    def __init__(self, config: JointScorerConfig = JointScorerConfig()) -> None:
        self.config = config
        self._lr_asd = LrAsd(config.lr_asd)
        self._lip_net = LipNet(config.lip_net)

    def score(
        self, frames: Iterable[Frame], tracks: Sequence[FaceTrack], wave_S: Array | None
    ) -> list[SpeakingScores]:
        """Score each track; NaN where there is no sound (see `SpeakerScorer`)."""
        return watched(self, frames, tracks, wave_S)

    def watch(self, tracks: Sequence[FaceTrack], wave_S: Array) -> Watch:
        """Begin to score the tracks of one shot."""
        pixels, lips = self._lr_asd.watch(tracks, wave_S), self._lip_net.watch(tracks, wave_S)
        return _JointWatch(self, tracks, pixels, lips)

    def join(self, track: FaceTrack, pixels: SpeakingScores, lips: SpeakingScores) -> SpeakingScores:
        """Join what the two say of one track."""
        pixels_T = self.config.lr_asd.calibration.log_odds(pixels.logit_T)
        lips_T = self._lip_net.calibration.log_odds(lips.logit_T)
        both_T = pixels_T + self.config.lip_share * (lips_T - pixels_T)
        joint_T = np.where(np.isnan(lips_T), pixels_T, both_T)
        return scores_of(track, joint_T, self.config.calibration, self.name)


class _JointWatch:
    def __init__(self, scorer: JointScorer, tracks: Sequence[FaceTrack], pixels: Watch, lips: Watch) -> None:
        self._scorer, self._tracks, self._pixels, self._lips = scorer, tracks, pixels, lips

    def see(self, frame_HWC: Frame, number: int, row: int) -> None:
        self._pixels.see(frame_HWC, number, row)
        self._lips.see(frame_HWC, number, row)

    def scores(self) -> list[SpeakingScores]:
        said = zip(self._tracks, self._pixels.scores(), self._lips.scores(), strict=True)
        return [self._scorer.join(track, pixels, lips) for track, pixels, lips in said]
