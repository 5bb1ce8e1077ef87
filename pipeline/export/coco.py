"""Poses as COCO-WholeBody JSON (Jin et al. 2020): an image a frame, an annotation a person and frame.

The third value of a keypoint is its confidence 0..1; an absent point is 0, 0, 0, as COCO demands.
The JSON is written piece by piece, because a long source does not fit in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from mitds.manifests.records import Array
from mitds.pipeline.export.reading import ClipRef, SourceClips

PARTS = {
    "keypoints": slice(0, 17),
    "foot_kpts": slice(17, 23),
    "face_kpts": slice(23, 91),
    "lefthand_kpts": slice(91, 112),
    "righthand_kpts": slice(112, 133),
}


def clip_lines(name: str, source: SourceClips) -> Iterator[str]:
    """Yield the JSON of one source's clips, one line an image or annotation; images carry both clocks."""
    info = {
        "description": "Estimated by mitds; third keypoint value: confidence 0..1; absent points: 0,0,0.",
        "source": source.source_name,
    }
    category = {"id": 1, "name": "person", "supercategory": "person"}
    yield f'{{"info":{_text(info)},\n"categories":[{_text(category)}],\n"images":[\n'
    yield from _joined(_images(source))
    yield '\n],\n"annotations":[\n'
    yield from _joined(_annotations(source))
    yield "\n]}\n"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _joined(values: Iterator[dict[str, Any]]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield (",\n" if number else "") + _text(value)


def _images(source: SourceClips) -> Iterator[dict[str, Any]]:
    image = 0
    for ref in source.clips:
        clip = ref.clip()
        for frame in range(clip.frames):
            image += 1
            yield {
                "id": image,
                "file_name": f"{clip.key}/{frame:06d}",
                "width": clip.width,
                "height": clip.height,
                "clip": clip.key,
                "frame": frame,
                "time_s": frame / 25,
                "source_time_s": float(clip.start) + frame / 25,
            }


def _annotations(source: SourceClips) -> Iterator[dict[str, Any]]:
    first_image, number = 1, 0
    for ref in source.clips:
        for frame, person in _people(ref):
            number += 1
            yield {"id": number, "image_id": first_image + frame, "category_id": 1, "iscrowd": 0} | person
        first_image += ref.clip().frames


def _people(ref: ClipRef) -> Iterator[tuple[int, dict[str, Any]]]:
    clip, arrays = ref.clip(), ref.arrays()
    for frame in range(clip.frames):
        for n, person in enumerate(clip.persons):
            values = annotation(arrays.pose_NTK3[n, frame], arrays.face_xyxy_NT4[n, frame])
            if values:
                yield frame, {"identity": person.identity, "track": person.track} | values


def annotation(pose_K3: Array, face_xyxy_4: Array) -> dict[str, Any]:
    """Return the geometry of one person in one frame; empty where neither pose nor face is there."""
    present_K = np.isfinite(pose_K3[:, :2]).all(axis=1) & (pose_K3[:, 2] > 0)
    points_K3 = np.where(present_K[:, None], pose_K3, 0)
    face = [] if np.isnan(face_xyxy_4).any() else _xywh(face_xyxy_4)
    body = _extent(points_K3[present_K]) or face
    if not body:
        return {}
    values: dict[str, Any] = {
        "bbox": body,
        "area": round(body[2] * body[3], 2),
        "num_keypoints": int(present_K[PARTS["keypoints"]].sum()),
        "face_box": face or [0.0, 0.0, 0.0, 0.0],
    }
    for part, span in PARTS.items():
        values[part] = [round(float(v), 3) for v in points_K3[span].ravel()]
        if part != "keypoints":
            values[part.replace("_kpts", "_valid")] = bool(present_K[span].any())
    for hand in ("lefthand", "righthand"):
        span = PARTS[f"{hand}_kpts"]
        values[f"{hand}_box"] = _extent(points_K3[span][present_K[span]]) or [0.0, 0.0, 0.0, 0.0]
    return values


def _extent(points_K3: Array) -> list[float]:
    if not len(points_K3):
        return []
    return _xywh(np.concatenate([points_K3[:, :2].min(axis=0), points_K3[:, :2].max(axis=0)]))


def _xywh(xyxy_4: Array) -> list[float]:
    x1, y1, x2, y2 = (float(v) for v in xyxy_4)
    return [round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1)]
