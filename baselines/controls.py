"""Degenerate answers, made from the real footage: what a metric gives for them is chance, or the top of its scale.

Each is a pure function of the request and the real pictures: the same item and seed give the same frames.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from mitds.baselines.mouths import Mouth, find_mouth, syllables, talk
from mitds.manifests.items import Frame, Request
from mitds.manifests.turns import spoken_T

BLUR = 0.03
"""Sigma of the blur, in picture heights."""
GREY = 128
LEAST_MOVE = 25
"""Frames by which a wrong voice is off at least: beyond what sync scores search for the right lag."""


def generator(request: Request, *more: object) -> np.random.Generator:
    """Return random numbers that belong to an item, a seed, and whatever else is named."""
    text = repr((request.item, request.seed, *more))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))


class Copy:
    """The reference frame, held: no motion at all, at the best likeness that needs no work."""

    name = "copy"

    def spoil(self, request: Request, real_THWC: Frame) -> Iterator[Frame]:
        """Yield the reference frame T times."""
        for _ in range(request.frames):
            yield request.reference_HWC


class WrongVoice:
    """The real pictures, moved in time against their sound: real mouths that go with the voices by chance only.

    A fixed move is no chance: people take turns, so that half an item away mostly the other one speaks, and
    mouths would fit the wrong voice better than none. Of all moves by a second or more, the one is taken after
    which mouths move as much in the person's own turns as outside of them. Where somebody speaks all the
    time, no move can part mouth and voice, and the words alone are wrong. Nobody's face is moved to another
    place, as likeness and identity would suffer and say nothing about voices.
    """

    name = "wrong-voice"

    def spoil(self, request: Request, real_THWC: Frame) -> Iterator[Frame]:
        """Yield the real frames from some later one on, then those before it."""
        yield from np.roll(real_THWC, independent_move(request), axis=0)


def independent_move(request: Request) -> int:
    """Return by how many frames to roll the pictures so that speaking mouths and turns become independent.

    Ties, and items in which nobody both speaks and listens, go to the move nearest to half the item.
    """
    in_turn_NT = np.array([spoken_T(turns, request.frames) for turns in request.turns], bool)
    mouth_NT = np.nan_to_num(request.speaking_NT, nan=0.5).astype(np.float64)
    half, least = request.frames // 2, min(LEAST_MOVE, request.frames // 2)
    moves = sorted(range(least, request.frames - least + 1), key=lambda move: abs(move - half))
    return min(moves, key=lambda move: round(abs(_margin(in_turn_NT, np.roll(mouth_NT, move, axis=1))), 3))


def _margin(in_turn_NT: NDArray[np.bool_], mouth_NT: NDArray[np.float64]) -> float:
    """Return how much more mouths speak in their own turns than outside of them; 0 where that is undefined."""
    both = [
        (own_T, mouth_T) for own_T, mouth_T in zip(in_turn_NT, mouth_NT, strict=True) if 0 < own_T.mean() < 1
    ]
    return float(
        np.mean([mouth_T[own_T].mean() - mouth_T[~own_T].mean() for own_T, mouth_T in both] or [0.0])
    )


class AlwaysTalking:
    """The reference frame, on which every mouth opens and closes like syllables, each at its own pace."""

    name = "always-talking"

    def spoil(self, request: Request, real_THWC: Frame) -> Iterator[Frame]:
        """Yield the reference frame with its mouths warped; faces that are not in view stay as they are."""
        speakers = [
            (mouth, syllables(request.frames, generator(request, n))) for n, mouth in _mouths(request).items()
        ]
        for k in range(request.frames):
            frame_HWC = request.reference_HWC.copy()
            for mouth, opening_T in speakers:
                talk(frame_HWC, mouth, float(opening_T[k]))
            yield frame_HWC


def _mouths(request: Request) -> dict[int, Mouth]:
    k = request.reference_frame
    boxes_N4, poses_NK3 = request.face_xyxy_NT4[:, k], request.pose_NTK3[:, k]
    known = np.flatnonzero(np.isfinite(boxes_N4).all(axis=1))
    return {int(n): find_mouth(boxes_N4[n], poses_NK3[n]) for n in known}


class Blurred:
    """The real pictures without any detail: positions and colours stay, faces go."""

    name = "blurred"

    def spoil(self, request: Request, real_THWC: Frame) -> Iterator[Frame]:
        """Yield the frames under a Gaussian of 3 % of the picture's height."""
        for frame_HWC in real_THWC:
            yield np.asarray(cv2.GaussianBlur(frame_HWC, (0, 0), BLUR * request.height), np.uint8)


class Shuffled:
    """The real pictures in random order: every frame is perfect, and nothing moves as it should."""

    name = "shuffled"

    def spoil(self, request: Request, real_THWC: Frame) -> Iterator[Frame]:
        """Yield the frames in an order drawn from item and seed."""
        yield from real_THWC[generator(request).permutation(request.frames)]


class Grey:
    """Uniform grey: nothing."""

    name = "grey"

    def spoil(self, request: Request, real_THWC: Frame) -> Iterator[Frame]:
        """Yield T grey frames."""
        frame_HWC = np.full((request.height, request.width, 3), GREY, np.uint8)
        for _ in range(request.frames):
            yield frame_HWC


class Real:
    """The real pictures themselves: the other end of every scale."""

    name = "real"

    def spoil(self, request: Request, real_THWC: Frame) -> Iterator[Frame]:
        """Yield the frames as they are."""
        yield from real_THWC
