"""Which faces of a track are embedded, and how they become one identity."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from mitds.annotators.contracts import Frame
from mitds.annotators.identity.samples import FaceCrop, IdentitySamples, cut_face, frontality, sharpness
from mitds.manifests.records import Array

FRONTAL = np.array([[30, 40], [70, 40], [50, 60], [35, 80], [65, 80]], np.float32)


@dataclass
class Recorder:
    """Embeds a crop as the direction its first pixel names."""

    name: str = "recorder"
    seen: list[int] = field(default_factory=list)

    def embed(self, frame_HWC: Frame, landmarks_N52: Array) -> Array:
        self.seen.append(int(frame_HWC[0, 0, 0]))
        return np.eye(4, dtype=np.float32)[None, self.seen[-1]]


def crop(direction: int, quality: float) -> FaceCrop:
    return FaceCrop(np.full((4, 4, 3), direction, np.uint8), FRONTAL, quality)


def test_only_the_best_face_of_each_stretch_is_embedded() -> None:
    recorder = Recorder()
    samples = IdentitySamples(recorder, every=3)
    for frame, (direction, quality) in enumerate([(0, 1), (1, 5), (0, 2), (2, 3), (0, 1)]):
        samples.offer(frame, crop(direction, quality))
    embedding_D = samples.embedding()
    assert recorder.seen == [1, 2]
    assert embedding_D is not None
    np.testing.assert_allclose(embedding_D, np.array([0, 1, 1, 0]) / np.sqrt(2), rtol=1e-6)


def test_no_face_offered_is_no_embedding() -> None:
    assert IdentitySamples(Recorder(), every=3).embedding() is None


def test_frontality_falls_as_the_nose_leaves_the_middle_of_the_eyes() -> None:
    assert frontality(FRONTAL) == pytest.approx(1)
    turned = FRONTAL.copy()
    turned[2, 0] = 60
    profile = FRONTAL.copy()
    profile[2, 0] = 90
    assert frontality(turned) == pytest.approx(0.5)
    assert frontality(profile) == 0


def test_sharpness_falls_with_blur() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    sharp = noise.repeat(8, axis=0).repeat(8, axis=1)
    blurred = np.full_like(sharp, 128) // 2 + sharp // 4
    assert sharpness(sharp) > 2 * sharpness(blurred)


def test_a_crop_is_a_copy_whose_landmarks_moved_along() -> None:
    frame_HWC = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    box = np.array([20.0, 25.0, 80.0, 95.0], np.float32)
    cut = cut_face(frame_HWC, box, FRONTAL, 0.9)
    x, y = FRONTAL[2].astype(int)
    moved_x, moved_y = cut.landmarks_52[2].astype(int)
    np.testing.assert_array_equal(cut.crop_HWC[moved_y, moved_x], frame_HWC[y, x])
    assert not np.shares_memory(cut.crop_HWC, frame_HWC)
    assert cut.crop_HWC.shape[0] > 95 - 25
