"""``--format mit``: the folder layout of the Multi-human-Talking-Video-Dataset repository (Zhu et al. 2025).

    all_data_config/clips.json              what its loaders are given: four paths a clip
    SOURCE_CLIP_FROMtoTO/                   six digits each: 25 fps frames on the source's clock
        video.mp4, audio.wav                the clip's own bytes
        frames/output_0001.png ...          every picture, counted from 1
        pose_frame/output_0001.png ...      the skeletons of its people
        pose/output_0001.json ...           133 points a person
        speaker_info*.json, meta.json

Their loaders cut pictures by `clip_range` but read poses, sound and scores from the clip's first frame on. Here every
`clip_range` is the whole clip, and every list has a value a frame: frame k is the same instant whatever is asked.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2

from mitds.config import canonical
from mitds.errors import BadShard, UsageError
from mitds.manifests.codec import clip_arrays_from_npz, from_json
from mitds.manifests.records import Clip, ClipArrays
from mitds.manifests.shards import read_member
from mitds.media.pictures import grid_frames
from mitds.pipeline.export.folder import ExportFolder
from mitds.pipeline.export.mit_labels import pose_json, speaker_infos
from mitds.pipeline.export.mit_pictures import Canvas, skeletons
from mitds.pipeline.export.provenance import checked_clips, provenance_row
from mitds.pipeline.export.reading import ClipRef
from mitds.pipeline.work import Member
from mitds.store import storage_errors
from mitds.time import Grid

LIST = "all_data_config/clips.json"
MAX_FRAMES = 9999
"""The layout counts frames with four digits."""

_VERSION = 1
_CLIP = r"[0-9a-f]{16}_[0-9a-f]{16}_\d{6,}to\d{6,}"
_KEY = re.compile(r"[0-9a-f]{16}")
_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]


def export_mit(shards: Sequence[Path], out: Path) -> ExportFolder:
    """Write the folders of all clips; those that stand already, unchanged, are left as they are.

    Raises:
        UsageError: `out` holds something else, or a clip has over `MAX_FRAMES` frames.
        BadShard: A shard is damaged or of another kind.
    """
    with ExportFolder.over(out, "mit", rf"{_CLIP}|all_data_config") as folder:
        # What the shards hold no more goes first: a withdrawn clip must not wait for the others.
        names = {_checked_name(ref, clip) for ref, clip in checked_clips(shards)}
        folder.drop_others("[0-9a-f]*_[0-9a-f]*_[0-9]*to[0-9]*", names)
        with folder.writing(LIST) as path, path.open("w", encoding="ascii") as file:
            for number, (ref, clip) in enumerate(checked_clips(shards)):
                name = _ClipFolder(ref, clip).write(folder)
                file.write((",\n" if number else "[\n") + json.dumps(_entry(name)))
            file.write("\n]\n" if names else "[]\n")
    return folder


def _entry(name: str) -> dict[str, str]:
    """Return what a loader is given of one clip; paths are relative to the export's folder."""
    return {
        "image_dir": f"{name}/frames",
        "pose_dir": f"{name}/pose_frame",
        "speak_info_path": f"{name}/speaker_info_with_instance_bbox.json",
        "audio_embedding_path": f"{name}/audio_embeding.pt",
    }


def _checked_name(ref: ClipRef, clip: Clip) -> str:
    """Return a clip's folder, once it is known to fit the layout."""
    if not _KEY.fullmatch(clip.key):
        raise BadShard(f"clip key {clip.key!r} is no digest", where=str(ref.path))
    if "mp4" not in ref.members:
        raise BadShard(f"clip {clip.key} has no video", where=str(ref.path))
    if clip.frames > MAX_FRAMES:
        raise UsageError(
            f"clip {clip.key} has {clip.frames} frames; the layout counts them with four digits",
            where=str(ref.path),
            remedy="Export shards of shorter clips.",
        )
    return name_of(clip)


def name_of(clip: Clip) -> str:
    """Return a clip's folder: source, clip and frames, made of digits alone, so no name from outside is a path."""
    first = max(0, int(clip.start * 25 + Fraction(1, 2)))
    return f"{clip.source_id[:16]}_{clip.key}_{first:06d}to{first + clip.frames:06d}"


class _ClipFolder:
    """One clip on its way from its shard to its folder."""

    def __init__(self, ref: ClipRef, clip: Clip) -> None:
        self._ref, self._clip = ref, clip

    def write(self, folder: ExportFolder) -> str:
        """Write the folder unless it stands already, made of the same bytes; return its name."""
        name = name_of(self._clip)
        target = folder.root / name
        members = {ext: read_member(self._ref.path, e) for ext, e in sorted(self._ref.members.items())}
        digest = hashlib.sha256(f"{_VERSION}".encode())
        for ext, data in members.items():
            digest.update(ext.encode() + hashlib.sha256(data).digest())
        if _digest_of(target) == digest.hexdigest():
            return name
        temporary = folder.root / f".tmp-{secrets.token_hex(6)}"
        with storage_errors(target):
            try:
                self._fill(temporary, members, digest.hexdigest())
                shutil.rmtree(target, ignore_errors=True)
                temporary.rename(target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        folder.written += sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
        return name

    def _fill(self, root: Path, members: dict[str, bytes], digest: str) -> None:
        for name in ("frames", "pose_frame", "pose"):
            (root / name).mkdir(parents=True)
        (root / "video.mp4").write_bytes(members["mp4"])
        if "wav" in members:
            (root / "audio.wav").write_bytes(members["wav"])
        clip, arrays = from_json(Clip, members["json"]), clip_arrays_from_npz(members["npz"])
        if len(arrays.pts_T) != clip.frames:
            raise BadShard(
                f"the record and the arrays of {clip.key} disagree on its length", where=str(self._ref.path)
            )
        canvas = Canvas(clip.width, clip.height)
        self._frames(root, canvas, arrays)
        for name, people in speaker_infos(clip, arrays, canvas).items():
            _write_json(root / name, people)
        _write_json(root / "meta.json", {**_meta(self._ref, clip), "digest": digest})

    def _frames(self, root: Path, canvas: Canvas, arrays: ClipArrays) -> None:
        """Write picture, skeletons and points of every frame, under one name counted from 1."""
        footage = Member(self._ref.path, self._ref.members["mp4"])
        pictures = grid_frames(footage, Grid(Fraction(0), self._clip.frames))
        for k, picture_HWC in enumerate(pictures):
            stem = f"output_{k + 1:04d}"
            upright_HWC = picture_HWC[: self._clip.height, : self._clip.width]
            points_NK3 = canvas.points(arrays.pose_NTK3[:, k])
            _write_png(root / "frames" / f"{stem}.png", canvas.picture(upright_HWC))
            _write_png(root / "pose_frame" / f"{stem}.png", skeletons(points_NK3))
            _write_json(root / "pose" / f"{stem}.json", pose_json(points_NK3))


def _meta(ref: ClipRef, clip: Clip) -> dict[str, Any]:
    """Return the layout's five entries, and where the clip comes from."""
    return {
        "source": clip.source_id[:16],
        "video": clip.source_name,
        "period": [float(clip.start), float(clip.end)],
        "num_speaker": len(clip.persons),
        "url": clip.source_url,
        "size": [clip.width, clip.height],
        "provenance": provenance_row(clip, ref.path.name),
    }


def _digest_of(target: Path) -> str | None:
    try:
        told = json.loads((target / "meta.json").read_bytes())
    except (OSError, ValueError):
        return None
    digest = told.get("digest") if isinstance(told, dict) else None
    return digest if isinstance(digest, str) else None


def _write_json(path: Path, value: Any) -> None:
    path.write_bytes(canonical(value).encode())


def _write_png(path: Path, frame_HWC: Any) -> None:
    _, data = cv2.imencode(".png", cv2.cvtColor(frame_HWC, cv2.COLOR_RGB2BGR), _FAST_PNG)
    path.write_bytes(data.tobytes())
