"""A small release, honest answers to it, and bundles of them, for tests to damage."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import soundfile

from mitds.benchmark.footage import read_footage
from mitds.benchmark.submission.bundle import MANIFEST
from mitds.benchmark.submission.integrity import manifest_text
from mitds.benchmark.submission.pack import pack, starter
from mitds.manifests.items import Item, Release
from mitds.manifests.shards import ShardWriter
from mitds.media import Sound, write_video
from mitds.store import write_json
from mitds.time import AUDIO_HZ
from tests import factories

FRAMES, WIDTH, HEIGHT = 50, 160, 96
DATE = "2026-01-02"
CLIP = "c" * 16


def picture(number: int, x: float, y: float, mood: float = 0.0, actor: int = 0) -> np.ndarray:
    """A textured head before a textured wall, drawn anew for each item; what it does with its face is the actor's."""
    rng = np.random.default_rng(number)
    wall = cv2.resize(rng.integers(60, 120, (12, 20, 3), np.uint8), (WIDTH, HEIGHT))
    rate_HWC = np.random.default_rng(1 + actor).uniform(0.5, 2, (7, 7, 3))
    face = rng.integers(90, 255, (7, 7, 3)) + 80 * np.sin(rate_HWC * mood)
    head = cv2.resize(np.clip(face, 0, 255).astype(np.uint8), (40, 40))
    left, top = round(60 + x), round(26 + y)
    wall[top : top + 40, left : left + 40] = head
    return wall


def real_frames(number: int) -> list[np.ndarray]:
    return [
        picture(number, 40 * np.sin(k / 6 + number), 15 * np.cos(k / 5), k / 3, number) for k in range(FRAMES)
    ]


def honest_frames(number: int, seed: int = 0) -> list[np.ndarray]:
    """Looks like the real footage, and moves as it likes."""
    return [
        picture(number, 30 * np.cos(k / 4 + seed), 12 * np.sin(k / 3 + number), k / 3, 100 + number)
        for k in range(FRAMES)
    ]


def wave(number: int) -> np.ndarray:
    rng = np.random.default_rng(1000 + number)
    noise_S = np.convolve(rng.normal(size=FRAMES * AUDIO_HZ // 25), np.ones(8) / 8, "same")
    return (0.2 * noise_S).astype(np.float32)


def write_mp4(
    path: Path, frames: Sequence[np.ndarray], wave_S: np.ndarray | None = None, crf: int = 12
) -> Path:
    sound = None if wave_S is None else Sound(wave_S[None], AUDIO_HZ, Fraction(0))
    write_video(path, ((Fraction(k, 25), f) for k, f in enumerate(frames)), sound=sound, crf=crf)
    return path


def item_id(number: int) -> str:
    return f"{number:016x}"


Take = tuple[Sequence[np.ndarray], np.ndarray]
"""Real footage of an item: pictures and sound."""


def make_release(folder: Path, items: int, takes: Sequence[Take] = ()) -> Path:
    """Write release.json and a test shard: synthetic items, or the takes given."""
    takes = takes or [(real_frames(number), wave(number)) for number in range(items)]
    made = []
    with ShardWriter("test-%06d.tar", folder) as writer:
        for number, take in enumerate(takes):
            members = _members(folder, number, take)
            writer.add(item_id(number), members)
            made.append(_item(number, take, members))
    release = Release(name="tiny-2026.1", items=tuple(made), train=(), held_out=(CLIP,), config={}, models={})
    write_json(folder / "release.json", release)
    return folder


def _members(folder: Path, number: int, take: Take) -> dict[str, bytes]:
    frames, wave_S = take
    height, width, _ = frames[0].shape
    clip = factories.clip(number, frames=len(frames), source_id=f"{number:064x}", width=width, height=height)
    video = write_mp4(folder / "item.mp4", frames, wave_S)
    png = cv2.imencode(".png", read_footage(video).frames_THWC[0][:, :, ::-1])[1].tobytes()
    members = factories.clip_sample(clip) | {"mp4": video.read_bytes(), "png": png}
    video.unlink()
    voices_SN = np.stack([wave_S, 0 * wave_S], axis=1)
    return members | {"wav": _sound(wave_S, "WAV"), "flac": _sound(voices_SN, "FLAC")}


def _sound(wave_SN: np.ndarray, kind: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave_SN, AUDIO_HZ, format=kind, subtype="PCM_16")
    return buffer.getvalue()


def _item(number: int, take: Take, members: dict[str, bytes]) -> Item:
    height, width, _ = take[0][0].shape
    return Item(
        id=item_id(number),
        clip=f"{number + 100:016x}",
        source=f"{number:064x}",
        cluster=f"C{number}",
        people=("H0", "H1"),
        first=0,
        frames=len(take[0]),
        width=width,
        height=height,
        reference_frame=0,
        subsets=("people-2",),
        files={ext: hashlib.sha256(data).hexdigest() for ext, data in members.items()},
        pixels=read_footage(members["mp4"]).digest,
    )


def about(release: Release, **changes: Any) -> dict[str, Any]:
    filled = starter(release, DATE) | {
        "system": "Talker 2.0",
        "contact": "team@example.org",
        "hardware": "one CPU",
        "licence": "CC-BY-4.0",
        "seeds": [0],
        "deterministic": True,
    }
    return filled | changes


def make_bundle(folder: Path, release: Path, evaluation: Path | None = None, **changes: Any) -> Path:
    """Generate honest answers, and pack them."""
    from mitds.manifests.codec import from_json

    record = from_json(Release, (release / "release.json").read_bytes())
    declared = about(record, **changes)
    write_json(folder / "submission.json", declared)
    (folder / "answers").mkdir(exist_ok=True)
    for number in range(len(record.items)):
        for seed in declared["seeds"]:
            path = folder / "answers" / f"{item_id(number)}-{seed}.mp4"
            if not path.is_file():
                write_mp4(path, honest_frames(number, seed), wave(number))
    return pack(folder / "answers", evaluation, folder / "submission.json", release, folder / "talker.tar")


# ---- damaging


def unpacked(tar: Path, folder: Path) -> Path:
    with tarfile.open(tar) as archive:
        archive.extractall(folder, filter="data")
    return folder


def seal(folder: Path) -> Path:
    """Write MANIFEST.sha256 anew, as a careful cheat would."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != MANIFEST]
    digests = {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    (folder / MANIFEST).write_bytes(manifest_text(digests))
    return folder


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_bytes().splitlines()]


def write_rows(folder: Path, name: str, found: Sequence[dict[str, Any]]) -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in found))


def change_rows(folder: Path, name: str, change: Callable[[list[dict[str, Any]]], Any]) -> Path:
    found = rows(folder, name)
    change(found)
    write_rows(folder, name, found)
    return seal(folder)


def put_video(folder: Path, number: int, data: bytes | Path, seed: int = 0) -> Path:
    """Replace a video, with digests as a careful cheat would write them."""
    data = data.read_bytes() if isinstance(data, Path) else data
    (folder / "videos" / f"{item_id(number)}-{seed}.mp4").write_bytes(data)

    def change(found: list[dict[str, Any]]) -> None:
        for row in found:
            if (row["item"], row["seed"]) == (item_id(number), seed):
                row.update(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))

    return change_rows(folder, "videos.jsonl", change)


def change_about(folder: Path, **changes: Any) -> Path:
    path = folder / "submission.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return seal(folder)


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def tar_of(members: Sequence[tuple[tarfile.TarInfo, bytes]], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
