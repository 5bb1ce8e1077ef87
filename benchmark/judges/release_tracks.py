"""Which faces the SyncNet release scores: its cuts, its links from frame to frame, its thresholds.

Source: joonson/syncnet_python, `run_pipeline.py` (`scene_detect`, `track_shot`), and PySceneDetect 0.5.1, which it
pins. Its rules decide who is scored at all, so they are kept to the letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.annotators.faces.boxes import iou
from mitds.manifests.items import Frame
from mitds.manifests.records import Array

Float64 = NDArray[np.float64]

_DOWNSCALE = ((3200, 12), (2100, 8), (1700, 6), (1200, 5), (900, 4), (600, 3), (400, 2))
"""PySceneDetect looks at every nth pixel of pictures this wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracksConfig:
    """The settings of the release.

    Attributes:
        cut: Mean change of hue, saturation and value (0..255) that is a cut.
        min_scene: Frames from one cut to the next, at least.
        min_iou: A detection continues a track whose last box it overlaps by more.
        max_gap: Frames from one detection to the next, at most.
        min_track: A track has more detections than this, and a scene no fewer frames.
        min_side: The longer of a track's mean width and height is more, px.
    """

    cut: float = 30.0
    min_scene: int = 15
    min_iou: float = 0.5
    max_gap: int = 25
    min_track: int = 100
    min_side: float = 100.0


@dataclass(frozen=True, slots=True)
class ReleaseTrack:
    """A face that the release scores: xyxy_T4, px, on consecutive frames from `first` on."""

    first: int
    xyxy_T4: Float64

    @property
    def frames(self) -> slice:
        """The frames it covers."""
        return slice(self.first, self.first + len(self.xyxy_T4))


def scenes(frames_THWC: Sequence[Frame] | NDArray[np.uint8], config: TracksConfig) -> list[slice]:
    """Split a video at its hard cuts, as PySceneDetect's ContentDetector does."""
    starts = [0]
    last_HWC = _hsv(frames_THWC[0])
    for number, frame_HWC in enumerate(frames_THWC[1:], start=1):
        hsv_HWC = _hsv(frame_HWC)
        # The first cut may come at any time: the rule counts from the last cut, not from the start.
        if np.abs(hsv_HWC - last_HWC).mean() >= config.cut and (
            len(starts) == 1 or number - starts[-1] >= config.min_scene
        ):
            starts.append(number)
        last_HWC = hsv_HWC
    return [slice(*span) for span in zip(starts, [*starts[1:], len(frames_THWC)], strict=True)]


def _hsv(frame_HWC: Frame) -> NDArray[np.int32]:
    step = next((step for width, step in _DOWNSCALE if frame_HWC.shape[1] >= width), 1)
    small_HWC = np.ascontiguousarray(frame_HWC[::step, ::step])
    return np.asarray(cv2.cvtColor(small_HWC, cv2.COLOR_RGB2HSV), np.int32)


def link(boxes: Sequence[Array], scene: slice, config: TracksConfig) -> list[ReleaseTrack]:
    """Link one scene's detections to tracks, and keep those that the release scores.

    Each round starts from the first detection that is left and takes, frame by frame, the first (best-scored)
    detection that overlaps the track's last box enough.

    Args:
        boxes: xyxy_N4 of every frame of the video, best first.
        scene: The frames of the scene.
        config: Thresholds.
    """
    if scene.stop - scene.start < config.min_track:
        return []
    left = {number: list(boxes[number]) for number in range(scene.start, scene.stop)}
    tracks = []
    while any(left.values()):
        chain = _chain(left, config)
        if len(chain) > config.min_track:
            tracks += _wide(_filled(chain), config)
    return tracks


def _chain(left: dict[int, list[Array]], config: TracksConfig) -> list[tuple[int, Array]]:
    """Take one track's detections out of what is left."""
    chain: list[tuple[int, Array]] = []
    for number, found in left.items():
        if chain and number - chain[-1][0] > config.max_gap:
            break
        near = (
            k
            for k, box_4 in enumerate(found)
            if not chain or iou(box_4[None].astype(float), chain[-1][1][None].astype(float)) > config.min_iou
        )
        best = next(near, None)
        if best is not None:
            chain.append((number, found.pop(best)))
    return chain


def _filled(chain: list[tuple[int, Array]]) -> ReleaseTrack:
    """Interpolate over the frames between detections."""
    at_D = np.array([number for number, _ in chain])
    box_D4 = np.array([box_4 for _, box_4 in chain], np.float64)
    at_T = np.arange(at_D[0], at_D[-1] + 1)
    xyxy_T4 = np.stack([np.interp(at_T, at_D, side_D) for side_D in box_D4.T], axis=1)
    return ReleaseTrack(int(at_D[0]), xyxy_T4)


def _wide(track: ReleaseTrack, config: TracksConfig) -> list[ReleaseTrack]:
    side_2 = (track.xyxy_T4[:, 2:] - track.xyxy_T4[:, :2]).mean(axis=0)
    return [track] if side_2.max() > config.min_side else []
