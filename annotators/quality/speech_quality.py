"""How speech sounds: DNSMOS P.835, which predicts what listeners would say of signal, background and both.

Reddy, Gopal and Cutler, "DNSMOS P.835", ICASSP 2022. The network hears 9.01 s; what is shorter is repeated,
as its authors do. It was taught on noisy and denoised speech: what it says of music or silence means nothing.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from mitds.annotators.runtime import onnx_session
from mitds.manifests.records import Array
from mitds.time import AUDIO_HZ
from mitds.weights import resolve

WINDOW_S = 144_160
"""Samples the network hears at once."""

RATINGS = ("dnsmos_sig", "dnsmos_bak", "dnsmos_ovr")
POLYNOMIALS = (
    (-0.08397278, 1.22083953, 0.0052439),
    (-0.13166888, 1.60915514, -0.39604546),
    (-0.06766283, 1.11546468, 0.04602535),
)
"""From the network's outputs to ratings 1..5, highest power first: the authors' fit to P.835 listening tests."""


class Dnsmos:
    """Rates speech; the network loads on first use.

    Args:
        hop_s: Seconds between windows; the authors take 1. Less than a second at the end may go unheard.
        device: "cpu", "cuda" or "coreml".
    """

    def __init__(self, *, hop_s: float, device: str) -> None:
        self.hop = max(1, round(hop_s * AUDIO_HZ))
        self.device = device

    @cached_property
    def _session(self) -> Any:
        return onnx_session(resolve("sound.dnsmos"), device=self.device)

    def rate(self, wave_S: Array) -> dict[str, float]:
        """Return the mean rating over windows by name (see `RATINGS`), about 1..5; nothing for an empty wave."""
        if not len(wave_S):
            return {}
        heard_S = repeated(np.clip(wave_S, -1, 1))
        starts = window_starts(len(heard_S), self.hop)
        raw_W3 = [self._session.run(None, {"input_1": heard_S[None, s : s + WINDOW_S]})[0][0] for s in starts]
        return {
            name: float(np.polyval(polynomial, np.array(raw_W3)[:, k]).mean())
            for k, (name, polynomial) in enumerate(zip(RATINGS, POLYNOMIALS, strict=True))
        }


def repeated(wave_S: Array) -> Array:
    """Double a wave until it fills a window."""
    while len(wave_S) < WINDOW_S:
        wave_S = np.concatenate([wave_S, wave_S])
    return np.asarray(wave_S, np.float32)


def window_starts(samples: int, hop: int) -> list[int]:
    """Return where windows begin; one ends with the wave if a second or more were left unheard."""
    starts = list(range(0, samples - WINDOW_S + 1, hop))
    last = samples - WINDOW_S
    return [*starts, last] if last - starts[-1] >= AUDIO_HZ else starts
