"""LR-ASD and lip motion together: two witnesses that err in different ways, in one pass over the frames.

LR-ASD takes moving faces for speaking ones; lip motion knows better when nobody is heard and when lips barely part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mitds.annotators.asd.lip_motion import LipMotion, LipMotionConfig
from mitds.annotators.asd.lr_asd import LrAsd, LrAsdConfig
from mitds.annotators.asd.rows import Calibration, Watch, scores_of, watched
from mitds.annotators.contracts import Frame
from mitds.manifests.records import Array, FaceTrack, SpeakingScores


@dataclass(frozen=True, slots=True, kw_only=True)
class JointScorerConfig:
    """How both are run and joined.

    Attributes:
        lr_asd: Of LR-ASD.
        lip_motion: Of lip motion.
        lip_share: Share of lip motion's log odds in the joint log odds, 0..1.
        calibration: From joint log odds to probability.
    """

    lr_asd: LrAsdConfig = field(default_factory=LrAsdConfig)
    lip_motion: LipMotionConfig = field(default_factory=LipMotionConfig)
    lip_share: float = 0.5
    calibration: Calibration = field(default_factory=lambda: Calibration(scale=1.31, offset=-0.18))


class JointScorer:
    """Scores face tracks by the mean of both backends' calibrated log odds.

    Where lip motion abstains, because the face is turned away, LR-ASD decides alone.

    Args:
        config: How both are run and joined.
    """

    name = "lr-asd-lips"

    def __init__(self, config: JointScorerConfig = JointScorerConfig()) -> None:
        self.config = config
        self._lr_asd = LrAsd(config.lr_asd)
        self._lip_motion = LipMotion(config.lip_motion)

    def score(
        self, frames: Iterable[Frame], tracks: Sequence[FaceTrack], wave_S: Array | None
    ) -> list[SpeakingScores]:
        """Score each track; NaN where there is no sound (see `SpeakerScorer`)."""
        return watched(self, frames, tracks, wave_S)

    def watch(self, tracks: Sequence[FaceTrack], wave_S: Array) -> Watch:
        """Begin to score the tracks of one shot."""
        return _JointWatch(
            self, tracks, self._lr_asd.watch(tracks, wave_S), self._lip_motion.watch(tracks, wave_S)
        )

    def join(self, track: FaceTrack, net: SpeakingScores, lips: SpeakingScores) -> SpeakingScores:
        """Join what the two say of one track."""
        net_T = self.config.lr_asd.calibration.log_odds(net.logit_T)
        lips_T = self.config.lip_motion.calibration.log_odds(lips.logit_T)
        both_T = net_T + self.config.lip_share * (lips_T - net_T)
        return scores_of(track, np.where(np.isnan(lips_T), net_T, both_T), self.config.calibration, self.name)


class _JointWatch:
    def __init__(self, scorer: JointScorer, tracks: Sequence[FaceTrack], net: Watch, lips: Watch) -> None:
        self._scorer, self._tracks, self._net, self._lips = scorer, tracks, net, lips

    def see(self, frame_HWC: Frame, number: int, row: int) -> None:
        self._net.see(frame_HWC, number, row)
        self._lips.see(frame_HWC, number, row)

    def scores(self) -> list[SpeakingScores]:
        said = zip(self._tracks, self._net.scores(), self._lips.scores(), strict=True)
        return [self._scorer.join(track, net, lips) for track, net, lips in said]
