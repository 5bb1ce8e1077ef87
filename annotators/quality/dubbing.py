"""Dubbing and voice-over: voices that do not fit the faces under which they are heard.

No single sign finds every kind, so each is a number of its own:

- a voice while every face in view keeps still: `voiceover_share` (an interpreter or a narrator over listeners);
- more voices at once than faces in view: `extra_voice_share` (an interpreter over the original);
- a face that talks under voices that belong to nobody in view: `foreign_voice_share` (needs bindings);
- lips that do not follow the sound: `sync_steadiness` and `sync_lag_s`, from the scores of an active speaker
  network asked again with the sound moved (`synchrony`). Where a mouth makes the sound, windows all over the clip
  score best at the same lag; under a foreign voice each window has its own, or the best lies at the rim.

The network's score alone does not tell a foreign voice: one woman's face scores .92 under her own voice and .90
under another's. With LR-ASD and a bound of steadiness .75 within .21 s, 12 of 12 faces under their own voices pass
(three are .15 to .17 s off) and 11 of 14 under foreign voices do not; a talk that is off sync falls to .46. The two
real voice-overs pass there, for the original voice is heard too: extra_voice_share is .39 and .41 for them, and at
most .02 for the 12.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mitds.config import require
from mitds.manifests.records import Array
from mitds.time import CLIP_FPS

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class DubbingConfig:
    """How misfits are measured.

    Attributes:
        speaking_threshold: Probability from which a face speaks.
        heard_threshold: Probability from which somebody, or a voice, is heard.
        window_s: Seconds of a window that has a lag of its own.
        step_s: Seconds between windows.
        least_heard: Share of a window that must be speech.
        tolerance: Frames by which lags of windows may differ and still be the same.
        least_windows: Windows needed to tell a steady lag.
    """

    speaking_threshold: float = 0.5
    heard_threshold: float = 0.5
    window_s: float = 3.0
    step_s: float = 0.48
    least_heard: float = 0.4
    tolerance: int = 2
    least_windows: int = 3

    def __post_init__(self) -> None:
        for name in ("speaking_threshold", "heard_threshold", "least_heard"):
            value = getattr(self, name)
            require(0 < value < 1, name, value, "between 0 and 1")
        for name in ("window_s", "step_s"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        require(self.least_windows >= 1, "least_windows", self.least_windows, "1 or more")


def measure_dubbing(
    speaking_NT: Array,
    activity_TV: Array,
    speech_T: Array,
    *,
    foreign_TV: Mask | None = None,
    config: DubbingConfig = DubbingConfig(),
) -> dict[str, float]:
    """Measure how badly the voices of a clip fit its faces.

    Args:
        speaking_NT: Probability that each face speaks; NaN where it is not in view or not judged.
        activity_TV: Probability that each voice is heard.
        speech_T: Probability that anybody is heard.
        foreign_TV: Where each voice is known to belong to nobody in view; None without bindings.
        config: How it is measured.

    Returns:
        Shares (0..1) of the frames in which somebody is heard and a face is in view: voiceover_share,
        extra_voice_share and, with bindings, foreign_voice_share. Empty where there is no such frame.
    """
    view_NT = np.isfinite(speaking_NT)
    judged_T = (speech_T > config.heard_threshold) & view_NT.any(0)
    if not judged_T.any():
        return {}
    speaks_NT = np.nan_to_num(speaking_NT) >= config.speaking_threshold
    heard_TV = activity_TV > config.heard_threshold
    misfits = {
        "voiceover_share": ~speaks_NT.any(0),
        "extra_voice_share": heard_TV.sum(1) > view_NT.sum(0),
    }
    if foreign_TV is not None:
        strange_T = (heard_TV & foreign_TV).any(1) & ~(heard_TV & ~foreign_TV).any(1)
        misfits["foreign_voice_share"] = speaks_NT.any(0) & strange_T
    return {name: float(misfit_T[judged_T].mean()) for name, misfit_T in misfits.items()}


def measure_synchrony(
    score_LT: Array, speech_T: Array, config: DubbingConfig = DubbingConfig()
) -> dict[str, float]:
    """Measure how steadily one face follows the sound at one lag.

    Args:
        score_LT: Score of the face with the sound moved by each of an odd number of lags, a frame apart; the
            middle row is the sound as it is, row l hears what comes l - middle frames later.
        speech_T: Probability that anybody is heard, on the same frames.
        config: How it is measured.

    Returns:
        sync_steadiness, 0..1: the share of windows whose best lag agrees with the commonest one; and sync_lag_s:
        that lag, positive where the face comes before the sound. Empty where too few windows are heard.
    """
    lags = _window_lags(score_LT, speech_T > config.heard_threshold, config)
    if len(lags) < config.least_windows:
        return {}
    middle = len(score_LT) // 2
    candidates = sorted(range(-middle, middle + 1), key=abs)
    shares = [float((np.abs(lags - lag) <= config.tolerance).mean()) for lag in candidates]
    best = int(np.argmax(shares))
    near = lags[np.abs(lags - candidates[best]) <= config.tolerance]
    return {"sync_steadiness": shares[best], "sync_lag_s": float(near.mean() / float(CLIP_FPS))}


def _window_lags(score_LT: Array, heard_T: Mask, config: DubbingConfig) -> NDArray[np.int64]:
    """Return the best lag of every window with enough speech, frames."""
    fps = float(CLIP_FPS)
    length, step = round(config.window_s * fps), max(1, round(config.step_s * fps))
    lags = []
    for start in range(0, score_LT.shape[1] - length + 1, step):
        heard = heard_T[start : start + length]
        if heard.sum() > config.least_heard * length:
            lags.append(int(score_LT[:, start : start + length][:, heard].mean(1).argmax()))
    return np.array(lags, np.int64) - len(score_LT) // 2
