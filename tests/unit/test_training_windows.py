"""Windows of clips: the same whoever asks, and every condition of a frame is that frame's own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mitds.baselines.contracts import Example, Told
from mitds.baselines.presets import recipe
from mitds.baselines.recipe import PublishedConfig, Recipe
from mitds.baselines.training.decoded import Cache, Decoded, decode
from mitds.baselines.training.windows import Windows, draw_clip, draw_reference, draw_window, pool
from mitds.errors import BadShard, UsageError
from mitds.manifests.clip_index import ClipIndex
from mitds.manifests.shards import ShardWriter
from tests import factories

_TINY = recipe("covog", "tiny")
RECIPE = replace(
    _TINY,
    data=replace(_TINY.data, zoom=1.0, flip=0.0),
    stage1=replace(_TINY.stage1, batch=6),
    stage2=replace(_TINY.stage2, batch=5, frames=4, strides=(1, 3)),
)


def changed(**data: Any) -> Recipe:
    return replace(RECIPE, data=replace(RECIPE.data, **data))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Clips of 50, 30 and 40 frames, whose block and faces say which frame they are of."""
    folder = tmp_path_factory.mktemp("shards")
    return factories.write_clips(
        folder, *(factories.clip(n, frames=frames) for n, frames in ((0, 50), (1, 30), (2, 40)))
    )


@pytest.fixture(scope="module")
def index(shards: list[Path]) -> ClipIndex:
    return ClipIndex(shards)


def same(a: Example, b: Example) -> bool:
    plain = (a.key, a.flip, a.zoom, a.centre) == (b.key, b.flip, b.zoom, b.centre)
    pairs = [(a.frames_THWC, b.frames_THWC), (a.reference_HWC, b.reference_HWC)]
    for name in Told.__slots__:
        pairs += [
            (getattr(x, name), getattr(y, name)) for x, y in ((a.told, b.told), (a.reference, b.reference))
        ]
    return plain and all(np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f") for x, y in pairs)


def frame_of(picture_HWC: np.ndarray) -> int:
    """Read off which frame a picture is: the block begins at 2 px a frame."""
    return round(float(np.flatnonzero(picture_HWC[16].mean(axis=1) > 170)[0]) / 2)


def frame_of_face(xyxy_4: np.ndarray) -> int:
    """Read off which frame the first person's box is of: it moves 0.1 px a frame."""
    return round((float(xyxy_4[0]) - 20) * 10)


def frames_of(pictures: Sequence[np.ndarray] | np.ndarray | None) -> list[int]:
    assert pictures is not None
    return [frame_of(picture) for picture in pictures]


# ---- the same whoever asks


def test_ranks_share_the_slots_of_one_batch(index: ClipIndex) -> None:
    windows = Windows(index, RECIPE)
    whole = windows.examples(2, 7)
    assert len(whole) == 5
    for world in (2, 3, 8):
        shares = [windows.examples(2, 7, rank, world) for rank in range(world)]
        for slot, example in enumerate(whole):
            assert same(example, shares[slot % world][slot // world])
        assert sum(map(len, shares)) == 5


def test_an_example_does_not_depend_on_what_was_asked_before(index: ClipIndex) -> None:
    asked = [(2, 3), (1, 0), (2, 0), (2, 3)]
    seen = Windows(index, RECIPE)
    fresh = [Windows(index, changed(cache_gb=1e-9)).examples(*a) for a in asked]
    for expected, a in zip(fresh, asked, strict=True):
        for one, other in zip(expected, seen.examples(*a), strict=True):
            assert same(one, other)
    assert len({e.key for e in fresh[0] + fresh[1]}) > 1
    assert not any(same(a, b) for a, b in zip(fresh[0], fresh[2], strict=True))


def test_sharding_changes_nothing_and_the_seed_everything(tmp_path: Path, shards: list[Path]) -> None:
    clips = (factories.clip(n, frames=frames) for n, frames in ((2, 40), (0, 50), (1, 30)))
    other = ClipIndex(factories.write_clips(tmp_path, *clips, per_shard=1))
    one, two = Windows(ClipIndex(shards), RECIPE), Windows(other, RECIPE)
    assert all(same(a, b) for a, b in zip(one.examples(2, 1), two.examples(2, 1), strict=True))
    reseeded = Windows(other, replace(RECIPE, seed=1))
    assert not all(same(a, b) for a, b in zip(one.examples(2, 1), reseeded.examples(2, 1), strict=True))


def test_an_example_can_be_changed_without_harm(index: ClipIndex) -> None:
    windows = Windows(index, RECIPE)
    for example in windows.examples(2, 0):
        assert example.frames_THWC is not None
        for array in (example.frames_THWC, example.reference_HWC, example.told.gate_NT, example.told.mix_TCD):
            array[:] = 0
    assert all(
        same(a, b) for a, b in zip(windows.examples(2, 0), Windows(index, RECIPE).examples(2, 0), strict=True)
    )


# ---- every condition of a frame is that frame's own


@pytest.mark.parametrize("stage", [1, 2])
def test_pictures_faces_gates_and_sound_are_of_the_same_frames(index: ClipIndex, stage: int) -> None:
    windows, off_head = Windows(index, RECIPE), 0
    for example in [e for step in range(4) for e in windows.examples(stage, step)]:
        frames = frames_of(example.frames_THWC)
        whole = decode(index.load(index.keys.index(example.key)), RECIPE).told
        assert [frame_of_face(b) for b in example.told.face_xyxy_NT4[0]] == frames
        for name in ("face_xyxy_NT4", "pose_NTK3", "gate_NT", "sound_NTCD"):
            wanted = getattr(whole, name)[:, frames]
            assert np.array_equal(getattr(example.told, name), wanted, equal_nan=True)
        assert np.array_equal(example.told.mix_TCD, whole.mix_TCD[frames])
        assert frame_of_face(example.reference.face_xyxy_NT4[0, 0]) == frame_of(example.reference_HWC)
        assert set(np.diff(frames)) <= {1, 3}
        assert len(set(np.diff(frames))) <= 1
        off_head += frames[0] > 0
    assert off_head > 10


def test_the_published_masks_are_those_of_the_clips_head(index: ClipIndex) -> None:
    design = replace(RECIPE.design, published=PublishedConfig(masks_from_clip_head=True))
    published = Windows(index, replace(RECIPE, design=design)).examples(2, 0)
    for example, ours in zip(published, Windows(index, RECIPE).examples(2, 0), strict=True):
        frames = np.array(frames_of(example.frames_THWC))
        whole = decode(index.load(index.keys.index(example.key)), RECIPE).told
        assert [frame_of_face(b) for b in example.told.face_xyxy_NT4[0]] == (frames - frames[0]).tolist()
        assert np.array_equal(example.told.gate_NT, whole.gate_NT[:, frames - frames[0]])
        assert np.array_equal(example.told.sound_NTCD, whole.sound_NTCD[:, frames - frames[0]])
        assert np.array_equal(example.told.pose_NTK3, ours.told.pose_NTK3, equal_nan=True)
        assert np.array_equal(example.frames_THWC, ours.frames_THWC)


def test_references_keep_their_distance(index: ClipIndex) -> None:
    for example in Windows(index, changed(reference_gap=12)).examples(2, 0):
        frames, reference = frames_of(example.frames_THWC), frame_of(example.reference_HWC)
        assert reference <= frames[0] - 12 or reference >= frames[-1] + 12


def test_references_are_drawn_from_both_sides_or_farthest() -> None:
    rng = np.random.default_rng(0)
    drawn = {draw_reference(rng, (20, 21, 22), 40, 5) for _ in range(500)}
    assert drawn == {*range(16), *range(27, 40)}
    assert draw_reference(rng, (5, 6, 7), 10, 50) == 0
    assert draw_reference(rng, (1, 2, 3), 10, 50) == 9
    assert draw_reference(rng, (0,), 1, 50) == 0


def test_strides_that_do_not_fit_are_not_drawn() -> None:
    rng = np.random.default_rng(0)
    config = replace(RECIPE.stage2, frames=4, strides=(1, 3))
    assert {draw_window(rng, 9, config) for _ in range(200)} == {tuple(range(a, a + 4)) for a in range(6)}
    both = {draw_window(rng, 10, config) for _ in range(200)}
    assert both == {(0, 3, 6, 9), *(tuple(range(a, a + 4)) for a in range(7))}


# ---- pictures


def test_large_pictures_are_kept_as_small_as_a_recipe_needs(tmp_path: Path) -> None:
    clip = factories.clip(frames=3, width=640, height=320)
    (path,) = factories.write_clips(tmp_path, clip)
    loaded = ClipIndex(path).load(0)
    kept = decode(loaded, changed(zoom=1.2))
    # 640x320 on 160x96 is 160x80, and 1.2 times that at the largest zoom.
    assert kept.frames_THWC.shape == (3, 96, 192, 3)
    assert (kept.told.width, kept.told.height) == (192, 96)
    assert np.allclose(kept.told.face_xyxy_NT4, loaded.arrays.face_xyxy_NT4 * 0.3, equal_nan=True)
    assert np.allclose(kept.told.pose_NTK3[..., :2], loaded.arrays.pose_NTK3[..., :2] * 0.3, equal_nan=True)
    assert np.array_equal(kept.told.pose_NTK3[..., 2], loaded.arrays.pose_NTK3[..., 2])


def test_small_pictures_are_not_enlarged(index: ClipIndex) -> None:
    assert decode(index.load(0), changed(zoom=4.0)).frames_THWC.shape == (50, 96, 160, 3)


def test_pictures_are_varied_about_a_face(index: ClipIndex) -> None:
    plain = [(e.flip, e.zoom) for e in Windows(index, RECIPE).examples(1, 0)]
    assert set(plain) == {(False, 1.0)}
    varied = [e for step in range(5) for e in Windows(index, changed(flip=0.5, zoom=1.5)).examples(1, step)]
    assert {e.flip for e in varied} == {False, True}
    assert 1 < min(e.zoom for e in varied) < 1.1
    assert 1.4 < max(e.zoom for e in varied) < 1.5
    for example in varied:
        box_N4 = example.told.face_xyxy_NT4[:, 0]
        middle_N2 = (box_N4[:, :2] + box_N4[:, 2:]) / 2 / [160, 96]
        assert np.isclose(middle_N2, example.centre).all(axis=1).any()


# ---- which clips


def test_clips_count_by_the_windows_they_hold() -> None:
    clips = {7: factories.clip(frames=13), 3: factories.clip(frames=3), 5: factories.clip(frames=33)}
    among = pool(clips, replace(RECIPE.stage2, frames=4, strides=(1, 3)))
    assert (among.clips, among.frames) == ((7, 5), (13, 33))
    assert np.allclose(among.share, [0.25, 0.75])


def test_clips_are_drawn_exactly_as_numpy_does() -> None:
    sizes = np.random.default_rng(5).integers(5, 900, 217)
    among = pool({i: factories.clip(frames=int(n)) for i, n in enumerate(sizes)}, RECIPE.stage1)
    for seed in range(3000):
        ours, numpys = np.random.default_rng((seed, 1)), np.random.default_rng((seed, 1))
        assert draw_clip(ours, among) == int(numpys.choice(len(among.clips), p=among.share))
        assert ours.random() == numpys.random()


def write(folder: Path, *clips: tuple[Any, bool]) -> ClipIndex:
    with ShardWriter("clips-%06d.tar", folder) as writer:
        for clip, sound in clips:
            writer.add(clip.key, factories.clip_sample(clip, sound=sound))
    return ClipIndex(folder / "clips-*.tar")


def test_clips_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    short, empty, good = (
        factories.clip(1, frames=3),
        factories.clip(2, persons=0, frames=8),
        factories.clip(3, frames=8),
    )
    index = write(tmp_path, (short, True), (empty, True), (good, True))
    windows = Windows(index, RECIPE)
    assert windows.left_out == {
        short.key: "stage 2: it has 3 frames, and a window spans 4",
        empty.key: "nobody is in view",
    }
    assert {e.key for step in range(3) for e in windows.examples(2, step)} == {good.key}
    assert {e.key for step in range(9) for e in windows.examples(1, step)} == {short.key, good.key}
    with pytest.raises(UsageError, match="none of 1 clips can be learned from in stage 2"):
        Windows(index, RECIPE, [short.key])
    with pytest.raises(UsageError, match="in none of the shards"):
        Windows(index, RECIPE, [good.key, "0" * 16])


def test_only_the_keys_asked_for(index: ClipIndex) -> None:
    windows = Windows(index, RECIPE, [index.keys[2], index.keys[0]])
    assert {e.key for step in range(5) for e in windows.examples(1, step)} == {index.keys[0], index.keys[2]}


def test_without_sound_everybody_is_silent(tmp_path: Path) -> None:
    kept = decode(write(tmp_path, (factories.clip(frames=8), False)).load(0), RECIPE)
    assert not kept.told.gate_NT.any()
    assert kept.told.sound_NTCD.shape == (2, 8, 5, 320)
    assert np.ptp(kept.told.sound_NTCD) == np.ptp(kept.told.mix_TCD) == 0


def test_a_video_shorter_than_its_record_is_located(tmp_path: Path) -> None:
    clip = factories.clip(frames=8)
    with ShardWriter("clips-%06d.tar", tmp_path) as writer:
        writer.add(clip.key, factories.clip_sample(clip) | {"mp4": factories.mp4_bytes(6)})
    windows = Windows(ClipIndex(tmp_path / "clips-000000.tar"), RECIPE)
    with pytest.raises(BadShard, match=r"6 pictures, and its record says 8 \(.*clips-000000\.tar"):
        windows.examples(1, 0)


def test_memory_is_bounded(index: ClipIndex) -> None:
    clips = [decode(index.load(i), RECIPE) for i in range(3)]
    cache = Cache(clips[0].bytes + clips[2].bytes)
    assert clips[0].bytes > clips[0].frames_THWC.nbytes

    def kept() -> list[int]:
        return [i for i in range(3) if i in cache._clips]

    cache.put(0, clips[0])
    cache.put(1, clips[1])
    assert cache.get(0) is clips[0]
    cache.put(2, clips[2])
    assert kept() == [0, 2]
    assert cache.get(1) is None
    huge = Decoded(np.zeros((9000, 96, 160, 3), np.uint8), clips[0].told)
    cache.put(1, huge)
    assert kept() == [1]


def test_threads_decode_different_clips_at_once_and_one_clip_once(index: ClipIndex) -> None:
    clip, made = decode(index.load(0), RECIPE), []
    cache, together = Cache(1 << 30), threading.Barrier(2, timeout=20)

    def make(i: int) -> Decoded:
        made.append(i)
        together.wait()  # Breaks if the other clip's turn comes only when this one is done.
        return clip

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda i: cache.of(i, lambda: make(i)), [0, 1, 0, 1, 0, 1]))
    assert sorted(made) == [0, 1]


def test_the_memory_that_all_clips_need_is_known_before_they_are_decoded(index: ClipIndex) -> None:
    kept = sum(decode(index.load(i), RECIPE).frames_THWC.nbytes for i in range(3))
    assert Windows(index, RECIPE).needed_gb == kept / 2**30
