"""Cutting a window out of a clip: pictures, sound, labels, reference frame and voices of one item."""

from __future__ import annotations

import hashlib
import io
import itertools
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import soundfile

from mitds.benchmark.footage import Footage, Frames, Shape, read_footage
from mitds.benchmark.release.camera import camera_motion
from mitds.benchmark.release.windows import (
    FPS,
    OVERLAP_SHARE,
    Window,
    narrow,
    narrow_arrays,
    reference_frame,
    switches,
)
from mitds.config import digest
from mitds.errors import BadShard
from mitds.manifests.codec import clip_arrays_to_npz, to_json
from mitds.manifests.dataset import LoadedClip
from mitds.manifests.items import Item
from mitds.manifests.records import Array, Clip, ClipArrays
from mitds.manifests.turns import spoken_NT
from mitds.manifests.voices import voices
from mitds.media import Sound, write_video
from mitds.time import AUDIO_HZ, CLIP_FPS

SMALL_FACE_PX = 64.0
"""Side of the smallest person's mean face, in the item's picture, below which faces are small."""
OFFSCREEN_S = 0.2
"""Speech of nobody in view that makes an item one with an off-screen voice."""
_EXPORT = "Annotate and export the clip again."


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemConfig:
    """How items are encoded and sorted into subsets.

    Attributes:
        crf: x264 quality.
        camera_threshold: Motion of the background per frame, in picture widths, from which the camera moves.
    """

    crf: int = 12
    camera_threshold: float = 0.001


@dataclass(frozen=True, slots=True)
class Piece:
    """One item: its members by extension, and what its row in the release says."""

    id: str
    origin: Clip
    clip: Clip
    first: int
    reference_frame: int
    subsets: tuple[str, ...]
    members: dict[str, bytes]
    pixels: str

    def item(self, cluster: str, people: tuple[str, ...]) -> Item:
        """Return the row of the release.

        Args:
            cluster: Cluster of the clip.
            people: Each person's name over all sources.
        """
        return Item(
            id=self.id,
            clip=self.origin.key,
            source=self.origin.source_id,
            cluster=cluster,
            people=people,
            first=self.first,
            frames=self.clip.frames,
            width=self.clip.width,
            height=self.clip.height,
            reference_frame=self.reference_frame,
            subsets=self.subsets,
            files={ext: hashlib.sha256(data).hexdigest() for ext, data in sorted(self.members.items())},
            pixels=self.pixels,
        )


def cut(loaded: LoadedClip, windows: Sequence[Window], config: ItemConfig) -> Iterator[Piece]:
    """Yield the items of a clip.

    Args:
        loaded: A clip with sound.
        windows: In the order of time; they may not overlap.
        config: How to encode.

    Raises:
        BadShard: If the clip has no sound, or fewer pictures than its record says.
    """
    wave_S = loaded.wave()
    if wave_S is None:
        raise BadShard(f"clip {loaded.clip.key} has no sound", remedy=_EXPORT)
    padded_S = np.zeros(loaded.clip.frames * AUDIO_HZ // int(CLIP_FPS), np.float32)
    padded_S[: len(wave_S)] = wave_S[: len(padded_S)]
    voices_NS = voices(loaded.clip, padded_S)
    frames = enumerate(loaded.frames())
    for window in windows:
        pictures = (frame_HWC for k, frame_HWC in frames if k >= window.first)
        frames_THWC = _scaled(itertools.islice(pictures, window.frames), window)
        if len(frames_THWC) < window.frames:
            raise BadShard(f"clip {loaded.clip.key} has fewer pictures than its record says", remedy=_EXPORT)
        yield _piece(
            loaded, window, frames_THWC, padded_S[window.samples], voices_NS[:, window.samples], config
        )


def _scaled(frames: Iterator[Frames], window: Window) -> list[Frames]:
    size = (window.width, window.height)
    return [np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8) for frame in frames]


def _piece(
    loaded: LoadedClip,
    window: Window,
    frames: list[Frames],
    wave_S: Array,
    voices_NS: Array,
    config: ItemConfig,
) -> Piece:
    origin = loaded.clip
    key = digest(origin.key, window.first, window.frames, [window.width, window.height])
    arrays = narrow_arrays(loaded.arrays, window, (origin.width, origin.height))
    mp4 = _mp4(frames, wave_S, config.crf)
    real = read_footage(mp4, Shape(window.frames, window.width, window.height))
    clip = narrow(origin, window, key)
    clip = replace(clip, scores=_scores(clip, arrays, real))
    reference = reference_frame(arrays)
    members = {
        "mp4": mp4,
        "wav": _sound(wave_S[None], "WAV"),
        "flac": _sound(voices_NS, "FLAC"),
        "png": _png(real.frames_THWC[reference]),
        "json": to_json(clip).encode(),
        "npz": clip_arrays_to_npz(arrays),
    }
    subsets = subsets_of(clip, arrays, config.camera_threshold)
    return Piece(key, origin, clip, window.first, reference, subsets, members, real.digest)


def _scores(clip: Clip, arrays: ClipArrays, real: Footage) -> dict[str, float]:
    """Measure the window; what cannot be told is left out."""
    speaks_NT = spoken_NT(clip)
    side_N = _face_sides(arrays)
    scores = {
        "people": float(len(clip.persons)),
        "seconds": clip.frames / FPS,
        "speech_share": float(speaks_NT.any(axis=0).mean()),
        "overlap_share": float((speaks_NT.sum(axis=0) > 1).mean()),
        "switches": float(switches(speaks_NT)),
        "offscreen_s": math.fsum(t.end_s - t.start_s for t in clip.offscreen),
        "min_face_side_px": float(side_N.min()),
        "camera_motion": camera_motion(real.frames_THWC, arrays.face_xyxy_NT4),
    }
    return {name: round(value, 5) for name, value in scores.items() if math.isfinite(value)}


def _face_sides(arrays: ClipArrays) -> Array:
    """Return the mean over time of each face's side (root of its area), px; NaN for a face never seen."""
    size_NT2 = arrays.face_xyxy_NT4[..., 2:] - arrays.face_xyxy_NT4[..., :2]
    side_NT = np.sqrt(size_NT2.prod(axis=2)).astype(np.float64)
    known_NT = np.isfinite(side_NT)
    return np.asarray(np.where(known_NT, side_NT, 0).sum(axis=1) / np.where(known_NT, 1, 0).sum(axis=1))


def subsets_of(clip: Clip, arrays: ClipArrays, camera_threshold: float) -> tuple[str, ...]:
    """Return the subsets of an item, sorted.

    "people-N"; "one-speaks": exactly one person does; "switch": a turn follows another's; "overlap": two speak
    at once in 5 % of the frames; "offscreen": somebody out of view speaks; "small-faces": the smallest face's
    mean side is below 64 px; "camera-motion": the background moves.
    """
    scores, speakers = clip.scores, int(spoken_NT(clip).any(axis=1).sum())
    belongs = {
        f"people-{len(clip.persons)}": True,
        "one-speaks": speakers == 1,
        "switch": scores["switches"] >= 1,
        "overlap": scores["overlap_share"] >= OVERLAP_SHARE,
        "offscreen": scores["offscreen_s"] >= OFFSCREEN_S,
        "small-faces": float(_face_sides(arrays).min()) < SMALL_FACE_PX,
        "camera-motion": scores.get("camera_motion", 0.0) > camera_threshold,
    }
    return tuple(sorted(name for name, holds in belongs.items() if holds))


def _mp4(frames: list[Frames], wave_S: Array, crf: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "item.mp4"
        timed = ((k / CLIP_FPS, frame) for k, frame in enumerate(frames))
        write_video(path, timed, sound=Sound(wave_S[None], AUDIO_HZ, Fraction(0)), crf=crf)
        return path.read_bytes()


def _sound(wave_CS: Array, kind: str) -> bytes:
    """Encode 16 kHz sound in 16 bits; both kinds are lossless."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.ascontiguousarray(wave_CS.T), AUDIO_HZ, format=kind, subtype="PCM_16")
    return buffer.getvalue()


def _png(frame_HWC: Frames) -> bytes:
    _, data = cv2.imencode(".png", cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2BGR))
    return bytes(data.tobytes())
