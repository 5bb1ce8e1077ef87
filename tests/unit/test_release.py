"""Building and opening releases, on synthetic clips whose every picture shows its own number in black and white."""

from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from mitds.benchmark.release import OpenRelease, ReleaseConfig, build_release, open_release
from mitds.benchmark.release.camera import camera_motion
from mitds.benchmark.release.people import join_people, sample_frames
from mitds.benchmark.release.split import choose_test, clusters
from mitds.benchmark.release.windows import (
    Window,
    choose,
    narrow,
    narrow_arrays,
    reference_frame,
    scaled_size,
    switches,
)
from mitds.errors import BadShard, UsageError
from mitds.manifests.codec import clip_arrays_to_npz, to_json
from mitds.manifests.dataset import LoadedClip, load
from mitds.manifests.records import Array, Clip, ClipArrays, SpeechTurn, Turn
from mitds.manifests.shards import ShardWriter
from mitds.manifests.turns import spoken_NT
from mitds.manifests.voices import voices
from mitds.media import write_video
from mitds.time import AUDIO_HZ, CLIP_FPS
from tests import factories

FRAMES = 80
CONFIG = ReleaseConfig(name="test", seconds=1.0, max_side=80, test_share=1.0)


class NamedFaces:
    """Recognises people by what the test says they look like: one axis a look."""

    def __init__(self, looks: dict[tuple[str, str], int] | None = None) -> None:
        self.models = {"identity.fake": "ab" * 32}
        self.looks = looks or {}

    def look(self, loaded: LoadedClip) -> list[Array | None]:
        who = [(loaded.clip.source_id, p.identity) for p in loaded.clip.persons]
        return [np.eye(16, dtype=np.float32)[self.looks[w]] if w in self.looks else None for w in who]


def numbered(frame: int) -> np.ndarray:
    """A picture of eight stripes: the bits of its number."""
    bits_8 = np.array([frame >> bit & 1 for bit in range(8)], np.uint8)
    return np.broadcast_to(
        np.repeat(40 + 160 * bits_8, factories.WIDTH // 8)[None, :, None],
        (factories.HEIGHT, factories.WIDTH, 3),
    )


def number_of(frame_HWC: np.ndarray) -> int:
    width = frame_HWC.shape[1] // 8
    levels_8 = frame_HWC.reshape(frame_HWC.shape[0], 8, width, 3).mean(axis=(0, 2, 3))
    return sum(int(level > 120) << bit for bit, level in enumerate(levels_8))


@cache
def numbered_mp4(folder: Path, frames: int) -> bytes:
    pictures = ((k / CLIP_FPS, numbered(k)) for k in range(frames))
    write_video(folder / "numbered.mp4", pictures, crf=4)
    return (folder / "numbered.mp4").read_bytes()


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


def make_clip(number: int, source: int = 0, **changes: object) -> Clip:
    return factories.clip(number, frames=FRAMES, source_id=f"{source:064x}", **changes)


def write(folder: Path, media: Path, clips: Sequence[Clip], *, sound: bool = True, per_shard: int = 2) -> str:
    with ShardWriter("clips-%06d.tar", folder, max_samples=per_shard) as writer:
        for clip in clips:
            members = factories.clip_sample(clip, sound=sound)
            writer.add(clip.key, members | {"mp4": numbered_mp4(media, clip.frames)})
    return str(folder / "clips-*.tar")


@pytest.fixture(scope="module")
def built(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of two clips of one source and a clip of another."""
    folder = tmp_path_factory.mktemp("built")
    shards = write(folder, media, [make_clip(0), make_clip(1), make_clip(2, source=1)])
    build_release([shards], folder / "release", CONFIG, NamedFaces())
    return folder / "release"


def contents(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


# ---- building


def test_the_same_clips_give_the_same_bytes_whatever_the_order_of_shards(
    built: Path, media: Path, tmp_path: Path
):
    clips = [make_clip(2, source=1), make_clip(0), make_clip(1)]
    write(tmp_path, media, clips, per_shard=1)
    shards = sorted(str(p) for p in tmp_path.glob("clips-*.tar"))
    for name, order in (("a", shards), ("b", shards[::-1])):
        build_release(order, tmp_path / name, CONFIG, NamedFaces())
        assert contents(tmp_path / name) == contents(built)


def test_pictures_sound_and_labels_are_those_of_the_window(built: Path):
    release = open_release(built)
    assert len(release.ids) == 6
    for scene in release.scenes():
        item = release.item(scene.id)
        shown = [number_of(frame_HWC) for frame_HWC in scene.real.frames_THWC]
        assert shown == list(range(item.first, item.first + item.frames))
        whole_S = np.sin(np.arange(FRAMES * 640) / 20) * 0.25
        window_S = whole_S[item.first * 640 : (item.first + item.frames) * 640]
        np.testing.assert_allclose(scene.real.wave_S, window_S, atol=1e-4)
        assert scene.real.digest == item.pixels


def test_an_item_is_an_ordinary_clip_of_a_clips_shard(built: Path):
    release = open_release(built)
    for loaded in load(str(built / "test-*.tar")):
        item = release.item(loaded.clip.key)
        start = Fraction(1, 3) + Fraction(item.first, 25)
        assert (loaded.clip.start, loaded.clip.end) == (start, start + 1)
        assert (loaded.clip.width, loaded.clip.height, loaded.clip.frames) == (80, 48, 25)
        original = factories.boxes(0, FRAMES)[item.first : item.first + 25]
        np.testing.assert_allclose(loaded.arrays.face_xyxy_NT4[0], original / 2, rtol=1e-6)


def test_no_person_is_in_train_and_test(media: Path, tmp_path: Path):
    # Clip n is of source n; clips 0, 1 and 2 are chained: 0 and 1 share look 1, 1 and 2 share look 2.
    pairs = [(0, 1), (1, 2), (2, 3), (4, 5), (6, 7), (8, 9)]
    clips = [make_clip(n, source=n) for n in range(6)]
    looks = {(c.source_id, f"P{p}"): pairs[n][p] for n, c in enumerate(clips) for p in range(2)}
    shards = write(tmp_path, media, clips)
    for seed in range(3):
        config = replace(CONFIG, test_share=0.4, seed=seed)
        built = build_release([shards], tmp_path / str(seed), config, NamedFaces(looks))
        tested = {item.clip for item in built.release.items}
        by_key = {c.key: set(pairs[n]) for n, c in enumerate(clips)}
        seen = set().union(*(by_key[key] for key in built.release.train))
        assert seen.isdisjoint(set().union(*(by_key[key] for key in tested)))
        assert len({item.cluster for item in built.release.items}) == 2
        assert tested | set(built.release.train) | set(built.release.held_out) == by_key.keys()


def test_people_have_one_name_over_all_sources(media: Path, tmp_path: Path):
    clips = [make_clip(0, source=0), make_clip(1, source=1)]
    looks = {(clips[0].source_id, "P0"): 0, (clips[0].source_id, "P1"): 1, (clips[1].source_id, "P1"): 0}
    built = build_release([write(tmp_path, media, clips)], tmp_path / "out", CONFIG, NamedFaces(looks))
    people = {item.clip: item.people for item in built.release.items}
    assert people[clips[0].key] == ("H0", "H1")
    assert people[clips[1].key] == ("H2", "H0")
    assert {item.cluster for item in built.release.items} == {"C0"}


def test_every_clip_ends_somewhere_with_a_reason(media: Path, tmp_path: Path):
    mute = replace(make_clip(3), persons=tuple(factories.person(n, turns=()) for n in range(2)))
    clips = [
        make_clip(0),
        make_clip(1, status="filtered", reasons=("too_short",)),
        factories.clip(2, frames=20, source_id="0" * 64),
        mute,
        replace(make_clip(4, source=2), persons=()),
    ]
    built = build_release([write(tmp_path, media, clips)], tmp_path / "out", CONFIG, NamedFaces())
    reasons = [built.left_out.get(c.key) for c in clips]
    assert reasons == [None, "filtered", "too_short", "no_good_window", "nobody_in_view"]
    assert built.release.held_out == tuple(c.key for c in clips[1:4])
    assert built.funnel == {"clips": 5, "tested": 1, "train": 1, "held_out": 3, "items": 2}


def test_without_sound_there_is_no_release(media: Path, tmp_path: Path):
    shards = write(tmp_path, media, [make_clip(0)], sound=False)
    with pytest.raises(UsageError, match="no_sound"):
        build_release([shards], tmp_path / "out", CONFIG, NamedFaces())


def test_a_release_is_never_overwritten(built: Path, media: Path, tmp_path: Path):
    shards = write(tmp_path, media, [make_clip(0)])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "test-000003.tar").write_bytes(b"of an interrupted build")
    for out in (built, tmp_path / "out"):
        before = contents(out)
        with pytest.raises(UsageError, match="frozen"):
            build_release([shards], out, CONFIG, NamedFaces())
        assert contents(out) == before


def test_a_clip_given_twice_is_refused(media: Path, tmp_path: Path):
    for name in ("a", "b"):
        write(tmp_path / name, media, [make_clip(0)])
    with pytest.raises(UsageError, match="two shards"):
        build_release([str(tmp_path / "*" / "clips-*.tar")], tmp_path / "out", CONFIG, NamedFaces())


# ---- opening


def test_a_release_opens_by_folder_list_or_shards(built: Path):
    opened = [
        open_release(s) for s in (built, built / "release.json", str(built / "test-*.tar"), [str(built)])
    ]
    assert len({o.release.digest for o in opened}) == 1
    assert all(o.ids == opened[0].ids for o in opened)


def test_the_request_holds_what_the_scene_shows(built: Path):
    release = open_release(built)
    scene, request = release.scene(release.ids[0]), release.request(release.ids[0], seed=5)
    assert np.array_equal(request.reference_HWC, scene.real.frames_THWC[request.reference_frame])
    assert (request.frames, request.width, request.height, request.seed) == (25, 80, 48, 5)
    assert np.array_equal(request.voices_NS, scene.voices_NS)
    assert request.voices_NS.shape == (2, AUDIO_HZ)
    assert request.turns == tuple(p.turns for p in scene.clip.persons)


def test_an_opened_release_can_be_sent_to_a_worker(built: Path):
    release: OpenRelease = pickle.loads(pickle.dumps(open_release(built)))  # noqa: S301
    assert release.scene(release.ids[-1]).real.shape.frames == 25


def test_without_a_list_the_remedy_says_how_to_build_one(media: Path, tmp_path: Path):
    shards = write(tmp_path, media, [make_clip(0)])
    with pytest.raises(UsageError, match="mitds release build"):
        open_release(shards)


@pytest.mark.parametrize("ext", ["mp4", "npz", "json", "png", "flac", "wav"])
def test_a_member_that_was_tampered_with_is_refused_by_name(built: Path, tmp_path: Path, ext: str):
    release = open_release(built)
    id = release.ids[2]
    path, entries = release._places[id]
    data = bytearray(path.read_bytes())
    data[entries[ext].offset + entries[ext].size // 2] ^= 1
    (tmp_path / path.name).write_bytes(data)
    (tmp_path / "release.json").write_bytes((built / "release.json").read_bytes())
    tampered = open_release(tmp_path)
    tampered.scene(release.ids[0])
    with pytest.raises(BadShard, match=f"{id}.{ext}"):
        tampered.scene(id) if ext != "png" else tampered.request(id)


def test_a_shard_of_other_items_is_refused(built: Path, media: Path, tmp_path: Path):
    other = tmp_path / "other"
    build_release([write(tmp_path, media, [make_clip(7)])], other, CONFIG, NamedFaces())
    (other / "release.json").write_bytes((built / "release.json").read_bytes())
    with pytest.raises(BadShard, match="as the release lists it"):
        open_release(other)


def test_an_unknown_item_is_a_usage_error(built: Path):
    with pytest.raises(UsageError, match="no item"):
        open_release(built).scene("0" * 16)


# ---- windows


def arrays_of(clip: Clip) -> ClipArrays:
    return factories.clip_arrays(clip)


def talking(*turns: tuple[int, float, float], frames: int = 200) -> Clip:
    persons = [
        factories.person(n, turns=tuple(Turn(start_s=a, end_s=b) for m, a, b in turns if m == n))
        for n in range(2)
    ]
    return replace(factories.clip(frames=frames), persons=tuple(persons), offscreen=(), unassigned=())


def test_windows_prefer_the_change_of_speaker():
    clip = talking((0, 0.0, 4.0), (1, 4.0, 8.0))
    (first,) = choose(clip, arrays_of(clip), 50, 1)
    assert first < 100 < first + 50
    assert switches(spoken_NT(clip)[:, first : first + 50]) == 1


def test_windows_do_not_overlap_and_leave_no_room_unused():
    clip = talking((0, 0.0, 8.0))
    assert [len(choose(clip, arrays_of(clip), frames, 9)) for frames in (50, 75, 100, 201)] == [4, 2, 2, 0]
    firsts = choose(clip, arrays_of(clip), 75, 9)
    assert firsts[1] - firsts[0] >= 75


def test_a_window_needs_speech_of_somebody_in_view():
    clip = talking((0, 0.0, 0.3))
    assert choose(clip, arrays_of(clip), 50, 2) == ()


def test_the_reference_frame_shows_every_face_with_mouths_closed():
    clip = factories.clip(frames=50)
    arrays = arrays_of(clip)
    arrays.speaking_NT[:] = 0.9
    arrays.speaking_NT[:, [0, 20, 30]] = 0.1  # frame 0 lacks a face, 20 shows an open mouth
    arrays.pose_NTK3[:, :, 83:91, :2] = 40
    arrays.pose_NTK3[0, 20, [88, 89, 90], 1] += 15
    assert reference_frame(arrays) == 30


def test_turns_are_cut_and_shifted_to_the_window():
    clip = talking((0, 0.5, 1.5), (0, 2.0, 2.6), (1, 0.0, 0.99), (1, 2.5, 7.0))
    clip = replace(clip, offscreen=(SpeechTurn(voice="V9", start_s=0.25, end_s=1.25),))
    window = Window(25, 50, 80, 48)
    item = narrow(clip, window, "k" * 16)
    assert [(t.start_s, t.end_s) for t in item.persons[0].turns] == [(0.0, 0.5), (1.0, pytest.approx(1.6))]
    assert [(t.start_s, t.end_s) for t in item.persons[1].turns] == [(1.5, 2.0)]
    assert item.offscreen == (SpeechTurn(voice="V9", start_s=0.0, end_s=0.25),)
    assert (item.start, item.end) == (clip.start + 1, clip.start + 3)
    assert np.array_equal(spoken_NT(item), spoken_NT(clip)[:, window.span])


def test_boxes_and_poses_scale_with_the_picture_and_absence_stays():
    clip = factories.clip(frames=50)
    arrays = arrays_of(clip)
    scaled = narrow_arrays(arrays, Window(0, 25, 80, 24), (factories.WIDTH, factories.HEIGHT))
    np.testing.assert_allclose(scaled.face_xyxy_NT4[0], arrays.face_xyxy_NT4[0, :25] * [0.5, 0.25, 0.5, 0.25])
    np.testing.assert_allclose(scaled.pose_NTK3[0, 3, 60], arrays.pose_NTK3[0, 3, 60] * [0.5, 0.25, 1])
    assert np.isnan(scaled.face_xyxy_NT4[1, 0]).all()
    assert np.isnan(scaled.pose_NTK3[1, 0, :, :2]).all()
    assert (scaled.pose_NTK3[1, 0, :, 2] == 0).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1280, 720), (640, 360)),
        ((2160, 1080), (640, 320)),
        ((320, 240), (320, 240)),
        ((101, 1001), (64, 640)),
    ],
)
def test_sizes_are_even_and_never_enlarged(size: tuple[int, int], expected: tuple[int, int]):
    assert scaled_size(*size, 640) == expected


def test_voices_are_the_mix_inside_turns_and_silence_outside():
    clip = talking((0, 0.5, 1.5), (1, 1.0, 2.0), frames=75)
    voices_NS = voices(clip, np.ones(3 * AUDIO_HZ, np.float32))
    seconds_S = np.arange(3 * AUDIO_HZ) / AUDIO_HZ
    for voice_S, (start, end) in zip(voices_NS, [(0.5, 1.5), (1.0, 2.0)], strict=True):
        assert not voice_S[(seconds_S < start) | (seconds_S >= end)].any()
        assert (voice_S[(seconds_S >= start + 0.01) & (seconds_S < end - 0.01)] == 1).all()
        assert abs(np.diff(voice_S)).max() < 0.01


# ---- people, split, camera


def test_people_seen_side_by_side_are_never_joined():
    face_D, other_D = np.eye(4, dtype=np.float32)[:2]
    sums = {
        ("s", "P0"): face_D,
        ("s", "P1"): face_D,
        ("t", "P0"): 3 * face_D,
        ("t", "P1"): other_D,
        ("u", "P0"): None,
    }
    names = join_people(sums, [[("s", "P0"), ("s", "P1")], [("t", "P0"), ("t", "P1")]], 0.4)
    assert names[("s", "P0")] != names[("s", "P1")]
    assert names[("t", "P0")] in (names[("s", "P0")], names[("s", "P1")])
    assert len({names[("t", "P1")], names[("u", "P0")], names[("s", "P0")], names[("s", "P1")]}) == 4
    assert names[("s", "P0")] == "H0"


def test_people_are_looked_at_only_where_their_face_was_detected():
    arrays = arrays_of(factories.clip(frames=50))
    arrays.face_score_NT[1, 10:] = 0
    assert sample_frames(arrays, 1) <= set(range(1, 10))
    assert len(sample_frames(arrays, 0)) == 8


def test_clusters_are_chained_by_any_shared_fact():
    found = clusters({"d": ["s3", "H9"], "a": ["s0", "H0"], "b": ["s1", "H0", "H1"], "c": ["s2", "H1"]})
    assert found == {"a": "C0", "b": "C0", "c": "C0", "d": "C1"}


def test_the_draw_takes_a_share_of_the_usable_clusters_and_stays_when_others_are_added():
    cluster_of = {f"k{n}": f"C{n}" for n in range(10)}
    drawn = choose_test(cluster_of, cluster_of, 0.3, 1)
    assert len(drawn) == 3
    assert choose_test(cluster_of, ["k4", "k5"], 0.0, 1) <= {"C4", "C5"}
    renamed = {f"k{n}": f"C{n + 1}" for n in range(10)} | {"a": "C0"}
    assert len({f"C{int(c[1:]) + 1}" for c in drawn} & choose_test(renamed, cluster_of, 0.3, 1)) == 3
    assert {frozenset(choose_test(cluster_of, cluster_of, 0.3, s)) for s in range(5)} != {frozenset(drawn)}


def scenery(move: tuple[float, float], zoom: float = 1.0, frames: int = 26) -> np.ndarray:
    """A textured picture, moved by px a frame and zoomed, with a face-like block that jumps about in front."""
    import cv2

    rng = np.random.default_rng(0)
    still_HWC = cv2.GaussianBlur(rng.integers(0, 255, (400, 600, 3)).astype(np.uint8), (0, 0), 2)
    pictures = []
    for k in range(frames):
        scale = zoom**k
        matrix_23 = np.array([[scale, 0, move[0] * k - 140 * scale], [0, scale, move[1] * k - 110 * scale]])
        picture = cv2.warpAffine(still_HWC, matrix_23, (320, 180))
        x = 120 + 20 * ((k // 5) % 2)
        picture[60:, x : x + 40] = 200
        pictures.append(np.clip(picture + rng.normal(0, 3, picture.shape), 0, 255).astype(np.uint8))
    return np.stack(pictures)


BODY = np.tile(np.array([110, 60, 190, 130], np.float32), (1, 26, 1))


@pytest.mark.parametrize(("move", "zoom"), [((1.0, 0.0), 1.0), ((0.4, 0.4), 1.0), ((0.0, 0.0), 1.008)])
def test_pans_and_zooms_are_camera_motion(move: tuple[float, float], zoom: float):
    measured = camera_motion(scenery(move, zoom), BODY)
    if zoom == 1.0:
        assert measured == pytest.approx(math.hypot(*move) / 320, rel=0.1)
    assert measured > ReleaseConfig(name="").camera_threshold


def test_people_who_move_before_a_still_camera_are_none():
    assert camera_motion(scenery((0.0, 0.0)), BODY) < ReleaseConfig(name="").camera_threshold / 3


def test_a_picture_without_background_tells_nothing_of_the_camera():
    assert math.isnan(camera_motion(np.full((26, 90, 160, 3), 90, np.uint8), BODY))


def test_items_sort_into_subsets(built: Path):
    release = open_release(built)
    for id in release.ids:
        clip, subsets = release.scene(id).clip, release.item(id).subsets
        speakers = int(spoken_NT(clip).any(axis=1).sum())
        assert {"people-2", "small-faces"} <= set(subsets)
        assert ("one-speaks" in subsets) == (speakers == 1)
        assert ("switch" in subsets) == (clip.scores["switches"] > 0)
        assert ("offscreen" in subsets) == bool(clip.offscreen and clip.scores["offscreen_s"] >= 0.2)
        assert "camera-motion" not in subsets


def test_sample_bytes_use_the_canonical_forms(built: Path):
    release = open_release(built)
    scene = release.scene(release.ids[0])
    assert release.member(scene.id, "json") == to_json(scene.clip).encode()
    assert release.member(scene.id, "npz") == clip_arrays_to_npz(scene.arrays)
