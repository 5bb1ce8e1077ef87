"""A release of real people: who is who across sources, and whether mouths of a control talk, with real weights."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from mitds.annotators.asd.lip_motion import LipMotion
from mitds.annotators.faces.tracker import YuNetTracker
from mitds.annotators.faces.yunet import YuNet
from mitds.annotators.pose.face_mesh import FaceMesh
from mitds.annotators.pose.face_points import IBUG68
from mitds.annotators.pose.skeleton import FACE
from mitds.baselines.controls import AlwaysTalking, Copy
from mitds.benchmark.release import OpenRelease, ReleaseConfig, build_release, open_release
from mitds.benchmark.release.people import match
from mitds.manifests.codec import clip_arrays_to_npz, to_json
from mitds.manifests.items import Control, Request
from mitds.manifests.records import ClipArrays, FaceTrack, Turn
from mitds.manifests.shards import ShardWriter
from mitds.media import Sound, grid_frames, read_sound, write_video, write_wav16k
from mitds.time import AUDIO_HZ, CLIP_FPS, Grid
from mitds.weights import resolve
from tests import factories

pytestmark = pytest.mark.media

FRAMES, SIDE = 130, 320


def filmed(name: str, start: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Read 5.2 s of a demo clip: square pictures, and the sound."""
    path = resolve(name)
    grid = Grid(Fraction(start), FRAMES)
    frames = [
        cv2.resize(_square(f), (SIDE, SIDE), interpolation=cv2.INTER_AREA) for f in grid_frames(path, grid)
    ]
    sound = read_sound(path)
    assert sound is not None
    return frames, sound.part(grid.start, grid.end).mono()


def _square(frame_HWC: np.ndarray) -> np.ndarray:
    height, width = frame_HWC.shape[:2]
    side = min(height, width)
    x, y = (width - side) // 2, (height - side) // 2
    return np.ascontiguousarray(frame_HWC[y : y + side, x : x + side])


def labelled(frames: list[np.ndarray]) -> ClipArrays:
    """Find the faces and lips of a clip, left to right; the first person speaks, as far as labels go."""
    tracks = [t for t in YuNetTracker().track(iter(frames)) if len(t.score_T) == len(frames)]
    tracks.sort(key=lambda t: float(t.xyxy_T4[0, 0]))
    mesh, shape = FaceMesh(), (len(tracks), len(frames))
    pose_NTK3 = np.full((*shape, 133, 3), (np.nan, np.nan, 0), np.float32)
    for n, track in enumerate(tracks):
        for k, frame_HWC in enumerate(frames):
            mesh_P3, _ = mesh.points(frame_HWC, track.xyxy_T4[k], track.landmarks_T52[k])
            pose_NTK3[n, k, FACE, :2] = mesh_P3[list(IBUG68), :2]
    speaking_NT = np.full(shape, 0.1, np.float32)
    speaking_NT[0] = 0.9
    return ClipArrays(
        face_xyxy_NT4=np.stack([t.xyxy_T4 for t in tracks]),
        face_score_NT=np.stack([t.score_T for t in tracks]),
        speaking_NT=speaking_NT,
        pose_NTK3=pose_NTK3,
        visible_NT=np.ones(shape, bool),
        pts_T=np.arange(len(frames)) / 25,
    )


def write_clip(
    writer: ShardWriter, folder: Path, number: int, frames: list[np.ndarray], wave_S: np.ndarray
) -> None:
    arrays = labelled(frames)
    people = range(len(arrays.visible_NT))
    turns = {0: (Turn(start_s=0.0, end_s=FRAMES / 25),)}
    clip = replace(
        factories.clip(number, frames=FRAMES, source_id=f"{number:064x}"),
        persons=tuple(factories.person(n, turns=turns.get(n, ())) for n in people),
        width=frames[0].shape[1],
        height=frames[0].shape[0],
    )
    sound = Sound(wave_S[None], AUDIO_HZ, Fraction(0))
    write_video(folder / "clip.mp4", ((k / CLIP_FPS, f) for k, f in enumerate(frames)), sound=sound)
    write_wav16k(folder / "clip.wav", wave_S)
    members = {ext: (folder / f"clip.{ext}").read_bytes() for ext in ("mp4", "wav")}
    writer.add(clip.key, members | {"json": to_json(clip).encode(), "npz": clip_arrays_to_npz(arrays)})


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> OpenRelease:
    """Three sources: an anchor beside another man; the anchor alone, seconds later; a woman at a podium."""
    folder = tmp_path_factory.mktemp("real")
    anchor, wave_S = filmed("media.syncnet_example", 0)
    other, _ = filmed("media.introduction", 0)
    with ShardWriter("clips-%06d.tar", folder) as writer:
        write_clip(writer, folder, 0, [np.hstack(pair) for pair in zip(anchor, other, strict=True)], wave_S)
        write_clip(writer, folder, 1, *filmed("media.syncnet_example", 7))
        write_clip(writer, folder, 2, *filmed("media.podium", 2))
    config = ReleaseConfig(name="real", test_share=1.0, items_per_clip=1)
    build_release([str(folder / "clips-*.tar")], folder / "release", config)
    return open_release(folder / "release")


def test_a_person_of_two_sources_has_one_name_and_others_have_theirs(release: OpenRelease):
    by_clip = {item.clip: item for item in release.release.items}
    pair, anchor, woman = (by_clip[f"{n:016x}"] for n in range(3))
    assert pair.people[0] == anchor.people[0]
    assert len({*pair.people, *woman.people}) == 3
    assert pair.cluster == anchor.cluster != woman.cluster
    assert release.release.models.keys() == {"faces.yunet", "identity.sface"}


def talking(request: Request, control: Control) -> list[float]:
    """Return each face's mean probability of speaking, as lips and sound tell."""
    frames = list(control.spoil(request, np.zeros((0,), np.uint8)))
    k, shape = request.reference_frame, (request.frames, 1)
    boxes_N4 = request.face_xyxy_NT4[:, k]
    tracks = []
    for n, landmarks_52 in enumerate(match(YuNet().detect(frames[0]), boxes_N4)):
        assert landmarks_52 is not None
        known = FaceTrack(
            track=n,
            first=0,
            xyxy_T4=np.tile(boxes_N4[n], shape),
            score_T=np.ones(request.frames, np.float32),
            landmarks_T52=np.tile(landmarks_52, (request.frames, 1, 1)),
            detected_T=np.ones(request.frames, bool),
            embedding_D=None,
        )
        tracks.append(known)
    scores = LipMotion().score(frames, tracks, request.mix_S)
    return [float(np.nanmean(score.probability_T)) for score in scores]


def test_every_mouth_of_the_control_talks_and_none_of_a_held_frame(release: OpenRelease):
    pair = next(item for item in release.release.items if len(item.people) == 2)
    request = release.request(pair.id)
    assert min(talking(request, AlwaysTalking())) > 0.5
    assert max(talking(request, Copy())) < 0.1
