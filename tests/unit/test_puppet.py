"""Puppet: mouths follow their own voice, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mitds.baselines.puppet import Puppet, opening
from mitds.manifests.items import Request
from mitds.manifests.records import Turn
from mitds.time import AUDIO_HZ

T, H, W = 50, 120, 240
HALF = T * AUDIO_HZ // 25 // 2


def request() -> Request:
    """Two people side by side; the left one speaks in the first second, the right one in the second."""
    rng = np.random.default_rng(0)
    boxes_NT4 = np.broadcast_to(np.float32([[[20, 20, 100, 110]], [[140, 20, 220, 110]]]), (2, T, 4))
    voices_NS = np.zeros((2, 2 * HALF), np.float32)
    voices_NS[0, :HALF] = 0.2 * rng.normal(size=HALF)
    voices_NS[1, HALF:] = 0.2 * rng.normal(size=HALF)
    poses_NTK3 = np.full((2, T, 133, 3), np.nan, np.float32)
    return Request(
        item="i", frames=T, width=W, height=H,
        reference_HWC=rng.integers(60, 200, (H, W, 3), dtype=np.uint8), reference_frame=0,
        face_xyxy_NT4=boxes_NT4, visible_NT=np.ones((2, T), bool), pose_NTK3=poses_NTK3,
        speaking_NT=np.zeros((2, T), np.float32), turns=((Turn(start_s=0, end_s=1),), (Turn(start_s=1, end_s=2),)),
        voices_NS=voices_NS, mix_S=voices_NS.sum(axis=0), seed=0,
    )  # fmt: skip


def test_the_mouth_of_the_voice_moves_and_the_other_picture_half_stays_still():
    asked = request()
    frames = np.stack(list(Puppet().generate(asked))).astype(int)
    assert frames.shape == (T, H, W, 3)
    changed_TW = (frames != asked.reference_HWC.astype(int)).any(axis=(1, 3))
    left_T, right_T = changed_TW[:, : W // 2].any(axis=1), changed_TW[:, W // 2 :].any(axis=1)
    assert left_T[:25].mean() > 0.8
    assert not left_T[25:].any()
    assert right_T[25:].mean() > 0.8
    assert not right_T[:25].any()


def test_without_anybody_the_picture_stays_still():
    asked = request()
    nobody = replace(
        asked,
        face_xyxy_NT4=asked.face_xyxy_NT4[:0], visible_NT=asked.visible_NT[:0], pose_NTK3=asked.pose_NTK3[:0],
        speaking_NT=asked.speaking_NT[:0], turns=(), voices_NS=asked.voices_NS[:0],
    )  # fmt: skip
    frames = list(Puppet().generate(nobody))
    assert len(frames) == T
    assert all(np.array_equal(frame_HWC, asked.reference_HWC) for frame_HWC in frames)


def test_the_opening_follows_the_level():
    wave_S = np.zeros(4 * 640, np.float32)
    wave_S[640:1280], wave_S[1280:1920] = 0.02, 0.2
    assert opening(wave_S, 4).tolist() == pytest.approx([0, 0.2 + 0.0, 1, 0], abs=0.25)
    assert opening(wave_S, 4)[1] < opening(wave_S, 4)[2]
    assert opening(np.zeros(2560, np.float32), 4).tolist() == [0, 0, 0, 0]
