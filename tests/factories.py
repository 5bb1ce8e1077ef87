"""Small valid records, samples and shards for all tests; every one differs only by its arguments."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from mitds.manifests import schemas
from mitds.manifests.codec import clip_arrays_to_npz, to_json
from mitds.manifests.ledger import End, Ledger
from mitds.manifests.records import (
    Binding,
    Clip,
    ClipArrays,
    FaceTrack,
    Person,
    Probe,
    Rights,
    Shot,
    Source,
    SpeakingScores,
    SpeechTurn,
    Turn,
    Voices,
)
from mitds.manifests.shards import ShardWriter
from mitds.manifests.source_labels import SourceLabels, TrackLabels, to_sample
from mitds.store import write_json
from mitds.time import AUDIO_HZ

WIDTH, HEIGHT = 160, 96
SOURCE_ID = "5f" * 32


ABOUT_TRAINING: dict[str, Any] = {
    "origin": {"data": "d" * 16, "autoencoder": "", "stage1": ""}, "data": "d" * 16, "clips": [], "left_out": {},
    "unused": {}, "parameters": 1, "losses": {}, "seconds": 1.5,
}  # fmt: skip
"""What a training says of itself at least."""


def picture(frame: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A grey picture with a white block that moves one step a frame."""
    frame_HWC = np.full((height, width, 3), 90, np.uint8)
    x = frame * 2 % (width - 16)
    frame_HWC[8:24, x : x + 16] = 255
    return frame_HWC


def mp4_bytes(frames: int = 50, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for k in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(k, width, height), "rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def wav_bytes(frames: int = 50) -> bytes:
    wave_S = np.sin(np.arange(frames * AUDIO_HZ // 25) / 20).astype(np.float32) * 0.25
    buffer = io.BytesIO()
    soundfile.write(buffer, wave_S, AUDIO_HZ, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def rights(**changes: Any) -> Rights:
    return replace(Rights(licence="CC-BY-4.0", consent="broadcast", note="synthetic"), **changes)


def probe(**changes: Any) -> Probe:
    known = Probe(
        container="mp4",
        start=Fraction(0),
        duration=Fraction(12),
        fps=Fraction(25),
        vfr=False,
        width=WIDTH,
        height=HEIGHT,
        rotation=0,
        sample_aspect=Fraction(1),
        interlaced=False,
        video_codec="h264",
        pixel_format="yuv420p",
        video_tracks=1,
        audio_codec="aac",
        audio_rate=48000,
        audio_channels=2,
        audio_tracks=1,
    )
    return replace(known, **changes)


def source(**changes: Any) -> Source:
    known = Source(
        row=1,
        url="https://example.org/talk.mp4",
        id=SOURCE_ID,
        name="talk.mp4",
        title="A talk",
        rights=rights(),
        fetched_at="2026-01-02T03:04:05Z",
        bytes=1234,
        probe=probe(),
        status="kept",
    )
    return replace(known, **changes)


def shot(index: int = 0, start: int = 0, seconds: int = 6, **changes: Any) -> Shot:
    known = Shot(
        key=f"{SOURCE_ID[:16]}-s{index:04d}",
        source_id=SOURCE_ID,
        index=index,
        start=Fraction(start),
        end=Fraction(start + seconds),
        first_frame=start * 25,
        frames=seconds * 25,
        cut_score=None if index == 0 else 31.5,
        detector="pyscenedetect",
    )
    return replace(known, **changes)


def boxes(person: int, frames: int) -> np.ndarray:
    x = 20.0 + 70 * person + np.arange(frames, dtype=np.float32) * 0.1
    y = np.full(frames, 30, np.float32)
    return np.stack([x, y, x + 30, y + 36], axis=1).astype(np.float32)


def speaking(person: int, frames: int) -> np.ndarray:
    """Persons take turns of a second each."""
    talks = (np.arange(frames) // 25) % 2 == person % 2
    return np.where(talks, 0.9, 0.1).astype(np.float32)


def face_track(track: int = 0, frames: int = 20, **changes: Any) -> FaceTrack:
    rng = np.random.default_rng(track)
    known = FaceTrack(
        track=track,
        first=3,
        xyxy_T4=boxes(track, frames),
        score_T=rng.random(frames, dtype=np.float32),
        landmarks_T52=rng.random((frames, 5, 2), dtype=np.float32) * 50,
        detected_T=np.arange(frames) % 3 > 0,
        embedding_D=None if track % 2 else rng.random(128, dtype=np.float32),
        identity=f"P{track}" if track else None,
    )
    return replace(known, **changes)


def voices() -> Voices:
    rng = np.random.default_rng(0)
    return Voices(
        voices=("V0", "V1"),
        turns=(
            SpeechTurn(voice="V0", start_s=0.1, end_s=1.3),
            SpeechTurn(voice="V1", start_s=1.2, end_s=2.5),
        ),
        activity_FV=rng.random((40, 2), dtype=np.float32),
        speech_F=rng.random(40, dtype=np.float32),
        hop_s=0.0619375,
        embedding_VD=rng.random((2, 192), dtype=np.float32),
        model="segmentation-ecapa",
    )


def speaking_scores(track: int = 0, frames: int = 20) -> SpeakingScores:
    probability_T = speaking(track, frames)
    probability_T[0] = np.nan
    return SpeakingScores(
        track=track,
        logit_T=np.log(probability_T / (1 - probability_T)).astype(np.float32),
        probability_T=probability_T,
        model="lr-asd",
    )


def person(track: int = 0, **changes: Any) -> Person:
    known = Person(
        track=track,
        identity=f"P{track}",
        voice=f"V{track}",
        voice_probability=0.93,
        voice_status="bound",
        turns=(Turn(start_s=float(track % 2), end_s=float(track % 2 + 1)),),
        speaking_model="lr-asd",
    )
    return replace(known, **changes)


def clip(number: int = 0, persons: int = 2, frames: int = 50, **changes: Any) -> Clip:
    known = Clip(
        key=f"{number:016x}",
        source_id=SOURCE_ID,
        source_name="talk.mp4",
        source_url="https://example.org/talk.mp4",
        rights=rights(),
        shot=f"{SOURCE_ID[:16]}-s0000",
        start=Fraction(1, 3),
        end=Fraction(1, 3) + Fraction(frames, 25),
        frames=frames,
        width=WIDTH,
        height=HEIGHT,
        persons=tuple(person(n) for n in range(persons)),
        offscreen=(SpeechTurn(voice="V9", start_s=0.25, end_s=0.75),),
        unassigned=(SpeechTurn(voice="V8", start_s=0.5, end_s=0.6),),
        status="kept",
        reasons=(),
        scores={"speech_share": 0.9, "overlap_share": 0.1, "min_face_side": 30.0},
        models={"faces": "yunet", "speech": "segmentation-ecapa", "asd": "lr-asd", "pose": "mediapipe"},
        digests={"config": "0123456789abcdef", "faces.yunet": "ab" * 32},
    )
    return replace(known, **changes)


def pose(face_xyxy_T4: np.ndarray) -> np.ndarray:
    """A plausible body under each face: 133 points; the left foot (17-19) is always absent."""
    frames = len(face_xyxy_T4)
    rng = np.random.default_rng(7)
    spread_K2 = rng.random((133, 2), dtype=np.float32) * (40, 60) - (5, 5)
    pose_TK3 = np.ones((frames, 133, 3), np.float32)
    pose_TK3[..., :2] = face_xyxy_T4[:, None, :2] + spread_K2
    pose_TK3[:, 17:20] = (np.nan, np.nan, 0)
    return pose_TK3


def clip_arrays(clip: Clip) -> ClipArrays:
    """Arrays of a clip; the last person's face is out of view in frame 0."""
    persons, frames = len(clip.persons), clip.frames
    face_xyxy_NT4 = np.zeros((persons, frames, 4), np.float32)
    pose_NTK3 = np.zeros((persons, frames, 133, 3), np.float32)
    speaking_NT = np.zeros((persons, frames), np.float32)
    for n in range(persons):
        face_xyxy_NT4[n], speaking_NT[n] = boxes(n, frames), speaking(n, frames)
        pose_NTK3[n] = pose(face_xyxy_NT4[n])
    visible_NT = np.ones((persons, frames), bool)
    visible_NT[-1:, 0] = False
    face_xyxy_NT4[-1:, 0] = np.nan
    pose_NTK3[-1:, 0] = (np.nan, np.nan, 0)
    return ClipArrays(
        face_xyxy_NT4=face_xyxy_NT4,
        face_score_NT=visible_NT.astype(np.float32) * np.float32(0.9),
        speaking_NT=speaking_NT,
        pose_NTK3=pose_NTK3,
        visible_NT=visible_NT,
        pts_T=np.arange(frames) / 25,
    )


def clip_sample(clip: Clip, *, sound: bool = True) -> dict[str, bytes]:
    """The members of one sample of a clips shard."""
    members = {
        "mp4": mp4_bytes(clip.frames, clip.width, clip.height),
        "json": to_json(clip).encode(),
        "npz": clip_arrays_to_npz(clip_arrays(clip)),
    }
    return members | ({"wav": wav_bytes(clip.frames)} if sound else {})


def write_clips(folder: Path, *clips: Clip, per_shard: int = 2) -> list[Path]:
    """Write ``clips-NNNNNN.tar``; three clips of two persons unless told otherwise."""
    with ShardWriter("clips-%06d.tar", folder, max_samples=per_shard) as writer:
        for each in clips or tuple(clip(number) for number in range(3)):
            writer.add(each.key, clip_sample(each))
    return writer.paths


def track_labels(shot: int = 0, track: int = 0, frames: int = 150, **changes: Any) -> TrackLabels:
    probability_T = speaking(track, frames)
    known = TrackLabels(
        shot=shot,
        track=track,
        first=0,
        identity=f"P{track}",
        xyxy_T4=boxes(track, frames),
        score_T=np.full(frames, 0.9, np.float32),
        detected_T=np.ones(frames, bool),
        speaking_T=probability_T,
        logit_T=np.log(probability_T / (1 - probability_T)).astype(np.float32),
    )
    return replace(known, **changes)


def source_labels(**changes: Any) -> SourceLabels:
    """Two shots of six seconds with two faces each; P0 and P1 are heard as V0 and V1, V9 is off-screen."""
    known = SourceLabels(
        source=source(),
        shots=(shot(0), shot(1, start=6)),
        tracks=tuple(track_labels(s, t) for s in range(2) for t in range(2)),
        turns=(
            SpeechTurn(voice="V0", start_s=0.0, end_s=1.0),
            SpeechTurn(voice="V1", start_s=1.0, end_s=2.0),
            SpeechTurn(voice="V9", start_s=2.5, end_s=2.75),
        ),
        bindings=(
            Binding(identity="P0", voice="V0", probability=0.97, abstained=False, evidence_s=4.2),
            Binding(identity="P1", voice="V1", probability=0.91, abstained=False, evidence_s=3.0),
            Binding(identity=None, voice="V9", probability=0.4, abstained=True, evidence_s=0.2),
        ),
        models={"shots": "pyscenedetect", "faces": "yunet", "asd": "lr-asd"},
        digests={"config": "0123456789abcdef"},
    )
    return replace(known, **changes)


def write_sources(folder: Path, *labels: SourceLabels) -> list[Path]:
    """Write ``sources-NNNNNN.tar``."""
    with ShardWriter("sources-%06d.tar", folder) as writer:
        for each in labels or (source_labels(),):
            writer.add(each.key, to_sample(each))
    return writer.paths


def write_run(folder: Path, *clips: Clip) -> Path:
    """Write everything annotate leaves in its folder: two kept clips, one candidate left out, one failure."""
    kept = clips or (clip(0), clip(1, start=Fraction(6), end=Fraction(8)))
    dropped = clip(9, start=Fraction(3), end=Fraction(6), status="filtered", reasons=("too_short",))
    shards = write_clips(folder, *kept)
    write_sources(folder)
    lost = source(row=2, url="https://example.org/gone", id=None, name="gone", status="failed", probe=None)
    schemas.write_sources(folder / "sources.parquet", [source(), replace(lost, reason="unreachable")])
    rows = [(each, shards[0].name) for each in kept]
    schemas.write_clips(folder / "clips.parquet", [*rows, (dropped, None)])
    ledger = Ledger(folder / "ledger.jsonl")
    ledger.append(End(kind="source", item=SOURCE_ID[:16], stage="annotate", status="kept"))
    for each in (shot(0), shot(1, start=6)):
        ledger.append(End(kind="shot", item=each.key, stage="speaking", status="kept", seconds=6.0))
    for clip_ in kept:
        ledger.append(End(kind="clip", item=clip_.key, stage="clips", status="kept", seconds=2.0))
    why = {"reason": "too_short", "detail": "the same people stay in view for too short a time"}
    ledger.append(
        End(kind="clip", item=dropped.key, stage="selection", status="filtered", seconds=3.0, **why)
    )
    what = {"reason": "internal", "detail": "Boom: <b>"}
    ledger.append(End(kind="clip", item="f" * 16, stage="poses", status="failed", **what))
    weights = {"faces.yunet": "8f2383e4" * 8, "mine": "ab" * 32}
    run = {"command": "annotate", "config": {"profile": "standard"}, "config_digest": "0" * 16}
    write_json(folder / "run.json", {**run, "weights": weights})
    return folder
