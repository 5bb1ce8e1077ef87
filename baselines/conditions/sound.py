"""What is heard in each 25 fps frame: features of one's own voice, and of all sound.

Frame k of a clip is [k/25, (k+1)/25) s of its clock. Whatever makes the features, those of frame k are centred
in it, so that no voice leads or lags its mouth.
"""

from __future__ import annotations

import functools
import threading
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mitds.baselines.recipe import AudioConfig
from mitds.errors import UsageError
from mitds.manifests.records import Array
from mitds.registry import Registry
from mitds.time import AUDIO_HZ, CLIP_FPS

LEVEL = 0.05
"""RMS, full scale 1, that voices are brought to before they are heard."""
FRAME = int(AUDIO_HZ / CLIP_FPS)
"""Samples a frame."""
MARGIN = 25
"""Frames of sound that a network hears on either side of those it is asked about."""
PIECE = 700
"""Frames that a network is asked about at once; with the margins they are 30 s."""


LOADING = threading.RLock()
"""Held while a network of sound loads: clips are heard in several threads, and loading sets what all of them share."""


class SoundFeatures(Protocol):
    """A way to turn sound into numbers."""

    name: str

    @property
    def dim(self) -> int:
        """D."""

    def __call__(self, wave_S: Array, frames: int) -> Array:
        """Return feature_TD, float32, of the first `frames` frames; what the wave lacks is silence.

        Args:
            wave_S: 16 kHz mono, -1..1; sample 0 is at the beginning of frame 0.
            frames: T.
        """


FEATURES: Registry[type[SoundFeatures]] = Registry(
    "kind of sound features",
    {
        "log-mel": "mitds.baselines.conditions.logmel:LogMel",
        "whisper-tiny.en": "mitds.baselines.conditions.whisper:WhisperTiny",
        "wav2vec2-base": "mitds.baselines.conditions.wav2vec:Wav2Vec2",
    },
)


@functools.cache
def features_of(name: str, source: str = "") -> SoundFeatures:
    """Return one kind of features; one object a process, whose weights load when it is first called.

    Args:
        name: As in `AudioConfig.features`.
        source: Folder or hub name of the weights, for "wav2vec2-base" alone; "" takes the usual ones.

    Raises:
        UnknownName: If there is no such kind.
        UsageError: If weights are named for a kind that takes none.
        MissingDependency: If the kind needs a package that is not there.
    """
    kind = FEATURES.get(name)
    if not source:
        return kind()
    if name != "wav2vec2-base":
        raise UsageError(
            f"sound features {name!r} take no other weights", where=source, remedy="Leave audio.source empty."
        )
    from mitds.baselines.conditions.wav2vec import Wav2Vec2

    return Wav2Vec2(source)


def fitted(wave_S: Array, frames: int) -> Array:
    """Return the wave cut, or filled up with silence, to exactly `frames` frames."""
    kept_S = np.asarray(wave_S[: frames * FRAME], np.float32)
    return np.pad(kept_S, (0, frames * FRAME - len(kept_S)))


class Piecewise(Protocol):
    """Features of a piece of at most 30 s."""

    def __call__(self, piece_S: Array, frames: int, /) -> Array:
        """Return feature_TD of exactly `frames` frames."""


def in_pieces(wave_S: Array, frames: int, network: Piecewise) -> Array:
    """Return feature_TD by a network that hears at most 30 s: pieces overlap, and no frame lies near an edge.

    Args:
        wave_S: See `SoundFeatures`.
        frames: T.
        network: Gives feature_TD of a piece; it is heard with `MARGIN` more frames on either side, which are
            silence beyond the wave's ends.
    """
    padded_S = np.pad(fitted(wave_S, frames), MARGIN * FRAME)
    pieces = []
    for first in range(0, frames, PIECE):
        count = min(PIECE, frames - first) + 2 * MARGIN
        heard_TD = network(padded_S[first * FRAME : (first + count) * FRAME], count)
        pieces.append(heard_TD[MARGIN:-MARGIN])
    return np.concatenate(pieces)


def with_context(x_TD: Array, context: int) -> Array:
    """Return x_TCD: each frame with its neighbours, C = 2 * context + 1; beyond the ends the edge repeats.

    The result is a view that shares the neighbours' memory. Further axes before T are allowed.
    """
    sides = ((0, 0),) * (x_TD.ndim - 2) + ((context, context), (0, 0))
    padded_TD = np.pad(x_TD, sides, mode="edge")
    return np.swapaxes(sliding_window_view(padded_TD, 2 * context + 1, axis=-2), -1, -2)


def levelled(wave_S: Array) -> Array:
    """Return a wave at one level, `LEVEL` RMS over its samples that are not silent: recordings differ by far more.

    Silence stays silence. The level is that of the whole clip, so that loud and soft words keep their difference.
    """
    sounding_S = wave_S[wave_S != 0].astype(np.float64)
    if not len(sounding_S):
        return wave_S
    return np.asarray(wave_S * (LEVEL / np.sqrt((sounding_S**2).mean())), np.float32)


def hear(voices_NS: Array, mix_S: Array, frames: int, audio: AudioConfig) -> tuple[Array, Array]:
    """Return what is heard over a whole clip: (sound_NTCD of each person's own voice, mix_TCD of all sound).

    Args:
        voices_NS: Each person's voice, 16 kHz; silence where the person does not speak.
        mix_S: All sound, 16 kHz.
        frames: T, of the whole clip: neighbours of a window's first frame are real ones.
        audio: Which features, and how many neighbours.
    """
    features = features_of(audio.features, audio.source)
    heard_NTD = np.stack([features(levelled(wave_S), frames) for wave_S in (*voices_NS, mix_S)])
    heard_NTCD = with_context(heard_NTD, audio.context)
    return heard_NTCD[:-1], heard_NTCD[-1]
