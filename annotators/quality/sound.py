"""What is heard besides speech, and how well speech is heard: music, noise, clipping, speech quality.

Each number stands for one clip's sound and is measured, not judged; thresholds belong to whoever selects.

- Music and singing: FireRedVAD's event network (`sound_events`).
- Noise: the level in pauses against the level in speech, both as mean power; pauses keep away from speech, so
  that its onsets and decays do not count as noise.
- Clipping: amplitudes of natural sound grow ever rarer towards the top. What is more frequent than lower
  amplitudes are has been cut off there: the sum of the excess is the share of cut samples. This holds after
  resampling and lossy coding, at any level, where full-scale tests fail. Fourteen real clips: at most .00002;
  cut so that .3 to .5 of 1 % of samples lie at the ceiling: half to nine tenths of them found on clear speech.
- Speech quality: DNSMOS P.835 (`speech_quality`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from mitds.annotators.quality.sound_events import EVENTS, EventNet, read_event_net
from mitds.annotators.quality.speech_quality import Dnsmos
from mitds.config import require
from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ
from mitds.weights import resolve

SILENCE = 1e-10
"""Mean square of the quietest noise told apart from none: -100 dB below full scale."""
BINS = 60
"""Steps of the amplitude's density, up to just above the loudest samples."""
LOUD = 0.25
"""Amplitudes below this part of the loudest are not looked at for clipping."""
CHANCE = 4.0
"""Standard deviations of a count that may be chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundMeterConfig:
    """How sound is measured.

    Attributes:
        device: Of the speech quality network: "cpu", "cuda" or "coreml".
        event_threshold: Probability from which a hundredth of a second counts as music or singing.
        speech_threshold: Probability of speech from which a step counts as speech.
        margin_s: Seconds beside speech that count neither as speech nor as pause.
        least_s: Least seconds of speech, and of pauses, for a signal-to-noise ratio.
        quality_hop_s: Seconds between windows of speech quality (9.01 s each).
    """

    device: str = "cpu"
    event_threshold: float = 0.5
    speech_threshold: float = 0.5
    margin_s: float = 0.1
    least_s: float = 0.4
    quality_hop_s: float = 4.5

    def __post_init__(self) -> None:
        for name in ("event_threshold", "speech_threshold"):
            value = getattr(self, name)
            require(0 < value < 1, name, value, "between 0 and 1")
        for name in ("margin_s", "least_s"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(self.quality_hop_s > 0, "quality_hop_s", self.quality_hop_s, "above 0")


class SoundMeter:
    """Measures a clip's sound; networks load on first use.

    Args:
        config: How it is measured.
    """

    name = "sound"

    def __init__(self, config: SoundMeterConfig = SoundMeterConfig()) -> None:
        self.config = config
        self._quality = Dnsmos(hop_s=config.quality_hop_s, device=config.device)

    @cached_property
    def _events(self) -> EventNet:
        return read_event_net(resolve("sound.events"))

    def measure(self, wave_S: Array, speech_F: Array | None, hop_s: float) -> dict[str, float]:
        """Measure one clip.

        Args:
            wave_S: The clip's sound, 16 kHz mono, -1..1.
            speech_F: Probability that somebody speaks, in steps from the first sample; None where not known.
            hop_s: Seconds of a step.

        Returns:
            Those that can be had of: music_share, singing_share (0..1 of time; music_share includes singing),
            clipped_share (0..1 of samples), level_db (dB, full scale), speech_share (0..1), snr_db,
            noise_db (dB, full scale), dnsmos_sig, dnsmos_bak, dnsmos_ovr (about 1..5). Without speech_F there is
            no speech_share and no noise; where nobody speaks there is no speech quality; a silent clip has no
            clipping; an empty one has nothing.
        """
        if not len(wave_S):
            return {}
        power = float(np.mean(np.square(wave_S, dtype=np.float64)))
        found = {"level_db": decibel(power), **self._music(wave_S)}
        if power > SILENCE:
            found["clipped_share"] = clipped_share(wave_S)
        if speech_F is None:
            return found | (self._quality.rate(wave_S) if power > SILENCE else {})
        speaks_F = speech_F > self.config.speech_threshold
        found["speech_share"] = float(speaks_F.mean()) if len(speaks_F) else 0.0
        found |= noise(wave_S, speaks_F, hop_s, margin_s=self.config.margin_s, least_s=self.config.least_s)
        return found | (self._quality.rate(wave_S) if speaks_F.any() and power > SILENCE else {})

    def _music(self, wave_S: Array) -> dict[str, float]:
        event_FE = self._events(wave_S) > self.config.event_threshold
        if not len(event_FE):
            return {}
        singing_F, music_F = event_FE[:, EVENTS.index("singing")], event_FE[:, EVENTS.index("music")]
        return {"music_share": float((singing_F | music_F).mean()), "singing_share": float(singing_F.mean())}


def decibel(power: float) -> float:
    """Return a mean square in dB of full scale, at least -100."""
    return float(10 * np.log10(max(power, SILENCE)))


def noise(
    wave_S: Array, speaks_F: NDArray[np.bool_], hop_s: float, *, margin_s: float, least_s: float
) -> dict[str, float]:
    """Compare the power in speech with that in pauses.

    Args:
        wave_S: The sound.
        speaks_F: Whether somebody speaks, in steps of `hop_s` from the first sample.
        hop_s: Seconds of a step.
        margin_s: Seconds beside speech that are not pause.
        least_s: Least seconds of either.

    Returns:
        noise_db, the level of the pauses, and snr_db, the speech without the noise over the noise (20 dB below
        where speech does not stand out); empty where there is too little of either.
    """
    power_F, covered = _powers(wave_S, len(speaks_F), hop_s)
    speaks_F = speaks_F[:covered]
    margin = max(1, round(margin_s / hop_s))
    pause_F = ~binary_dilation(speaks_F, iterations=margin) if covered else speaks_F
    if min(speaks_F.sum(), pause_F.sum()) * hop_s < least_s or not pause_F.any():
        return {}
    noise_power = max(float(power_F[pause_F].mean()), SILENCE)
    found = {"noise_db": decibel(noise_power)}
    if speaks_F.any():
        signal = max(float(power_F[speaks_F].mean()) - noise_power, noise_power / 100)
        found["snr_db"] = float(10 * np.log10(signal / noise_power))
    return found


def _powers(wave_S: Array, steps: int, hop_s: float) -> tuple[NDArray[np.float64], int]:
    """Return the mean square of each step and how many steps the wave fills."""
    edges = np.round(np.arange(steps + 1) * hop_s * AUDIO_HZ).astype(int)
    covered = max(0, int(np.searchsorted(edges, len(wave_S), side="right")) - 1)
    total = np.concatenate([[0.0], np.cumsum(np.square(wave_S, dtype=np.float64))])[edges[: covered + 1]]
    return np.diff(total) / np.maximum(np.diff(edges[: covered + 1]), 1), covered


def clipped_share(wave_S: Array) -> float:
    """Return the share of samples that were cut off at a ceiling, 0..1: the excess over a falling density."""
    size_S = np.abs(wave_S)
    top = float(np.quantile(size_S, 0.9999)) * 1.05
    count_B = np.histogram(size_S, BINS, (0.0, max(top, 1e-6)))[0].astype(np.float64)
    falling_B = np.minimum.accumulate(count_B)
    excess_B = np.maximum(count_B - falling_B - CHANCE * np.sqrt(falling_B + 1), 0)
    return float(excess_B[round(LOUD * BINS) :].sum() / len(wave_S))
