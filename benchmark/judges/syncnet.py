"""What SyncNet v2 sees: embeddings of a face's mouth and of a sound, a window of 0.2 s every 40 ms.

Window i covers frames i to i + 4 and cepstra 4 i to 4 i + 19. The network runs on blocks of a fixed number of
windows, so that content alone decides the bits.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from mitds.annotators.asd.mfcc import mfcc
from mitds.annotators.runtime import single_threaded
from mitds.benchmark.contracts import Arrays
from mitds.benchmark.footage import Footage
from mitds.benchmark.judges.cache import content, judge_id, judged
from mitds.benchmark.judges.face_crops import crops, squares
from mitds.benchmark.judges.recoding import as_crops, as_frames
from mitds.benchmark.judges.release_tracks import ReleaseTrack, TracksConfig, link, scenes
from mitds.benchmark.judges.s3fd import S3fd, S3fdConfig
from mitds.benchmark.judges.syncnet_net import CEPSTRA, DIM, WINDOW, SyncNet, load_syncnet
from mitds.config import plain
from mitds.manifests.records import Array
from mitds.runs import runs_of
from mitds.weights import resolve

BLOCK = 20
"""Windows that the network sees at once."""
STEP = 4
"""Cepstra from one window to the next."""
_INT16 = np.float32(32768 / 32767)
"""A 16-bit sample v is v / 32768 in a decoded wave; `mfcc` multiplies by 32767 and must get v back."""


@cache
def network() -> SyncNet:
    """Load SyncNet v2 once a process.

    Raises:
        MissingWeights: If its file cannot be had: nothing else may bear its name.
    """
    single_threaded()
    return load_syncnet(resolve("metrics.syncnet"))


def embed_lips(crops_THWC: NDArray[np.uint8], net: SyncNet | None = None) -> Array:
    """Embed every window of one face's crops.

    Args:
        crops_THWC: BGR, 224 x 224, T consecutive frames.
        net: The network; None for the released one.

    Returns:
        embedding_WD: W = T - 4 windows, none where T < 5.
    """
    net = net or network()
    blocks = [np.zeros((0, DIM), np.float32)]
    for first in range(0, len(crops_THWC) - WINDOW + 1, BLOCK):
        # Beyond the end the last frame is repeated: a block is always of one size.
        at = np.minimum(np.arange(first, first + BLOCK + WINDOW - 1), len(crops_THWC) - 1)
        block_CTHW = torch.from_numpy(crops_THWC[at]).permute(3, 0, 1, 2).float()
        with torch.inference_mode():
            blocks.append(net.embed_lips(block_CTHW).numpy())
    return np.concatenate(blocks)[: max(len(crops_THWC) - WINDOW + 1, 0)]


def embed_sound(wave_S: Array, windows: int, net: SyncNet | None = None) -> Array:
    """Embed the first windows of a sound.

    Args:
        wave_S: 16 kHz mono, -1..1; silence beyond its end.
        windows: How many.
        net: The network; None for the released one.

    Returns:
        embedding_WD.
    """
    net = net or network()
    if windows < 1:
        return np.zeros((0, DIM), np.float32)
    coefficient_FC = mfcc(wave_S * _INT16, STEP * (windows - 1) + CEPSTRA)
    blocks = []
    for first in range(0, windows, BLOCK):
        at = np.minimum(np.arange(first, first + BLOCK), windows - 1)
        block_BCF = np.stack([coefficient_FC[STEP * k : STEP * k + CEPSTRA].T for k in at])
        with torch.inference_mode():
            blocks.append(net.embed_sound(torch.from_numpy(block_BCF)).numpy())
    return np.concatenate(blocks)[:windows]


def sound_features(footage: Footage, wave_S: Array, windows: int) -> Array:
    """Return `embed_sound`, computed once a video and sound."""

    def see() -> Arrays:
        return {"embedding_WD": embed_sound(wave_S, windows)}

    inputs = {"sound": content(wave_S), "windows": windows}
    return judged(footage, judge_id("syncnet-sound", 1, "metrics.syncnet"), inputs, see)["embedding_WD"]


def person_features(footage: Footage, xyxy_T4: Array) -> Array:
    """Embed the mouth at the places of one person, as it was drawn: no detector, no lossy copies.

    Args:
        footage: The video.
        xyxy_T4: Where the face belongs; NaN on frames where it is out of view.

    Returns:
        embedding_WD: NaN for windows on whose five frames the face is not always in view.
    """
    inputs = {"places": content(xyxy_T4)}

    def see() -> Arrays:
        embedding_WD = np.full((max(len(xyxy_T4) - WINDOW + 1, 0), DIM), np.nan, np.float32)
        for first, end in runs_of(np.isfinite(xyxy_T4.sum(axis=1))):
            if end - first >= WINDOW:
                run = slice(first, end)
                cut_THWC = crops(footage.frames_THWC[run], squares(xyxy_T4[run], "nearest"))
                embedding_WD[first : end - WINDOW + 1] = embed_lips(cut_THWC)
        return {"embedding_WD": embedding_WD}

    return judged(footage, judge_id("syncnet-person", 1, "metrics.syncnet"), inputs, see)["embedding_WD"]


def release_tracks(footage: Footage) -> list[ReleaseTrack]:
    """Return the faces of a video that the release would score, in its order."""
    seen = judged(
        footage,
        judge_id("s3fd-tracks", 1, "metrics.s3fd"),
        {"detector": plain(S3fdConfig()), "tracks": plain(TracksConfig())},
        lambda: _see_tracks(footage),
    )
    spans = zip(seen["first_K"].tolist(), np.split(seen["xyxy_M4"], seen["stop_K"])[:-1], strict=True)
    return [ReleaseTrack(first, xyxy_T4) for first, xyxy_T4 in spans]


def track_features(footage: Footage, track: ReleaseTrack) -> Array:
    """Embed one such face, crops and lossy copies made as the release makes them, embedding_WD."""

    def see() -> Arrays:
        frames_THWC = as_frames(footage.frames_THWC)[track.frames]
        return {"embedding_WD": embed_lips(as_crops(crops(frames_THWC, squares(track.xyxy_T4, "zeros"))))}

    inputs = {"first": track.first, "boxes": content(track.xyxy_T4)}
    return judged(footage, judge_id("syncnet-track", 1, "metrics.syncnet"), inputs, see)["embedding_WD"]


def _see_tracks(footage: Footage) -> Arrays:
    frames_THWC, config = as_frames(footage.frames_THWC), TracksConfig()
    detector = S3fd()
    boxes = [detector.detect(np.ascontiguousarray(frame_HWC))[0] for frame_HWC in frames_THWC]
    tracks = [track for scene in scenes(frames_THWC, config) for track in link(boxes, scene, config)]
    return {
        "first_K": np.array([track.first for track in tracks], np.int64),
        "stop_K": np.cumsum([len(track.xyxy_T4) for track in tracks], dtype=np.int64),
        "xyxy_M4": np.concatenate([np.zeros((0, 4)), *(track.xyxy_T4 for track in tracks)]),
    }
