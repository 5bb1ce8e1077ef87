"""Packing: videos, measurements and declarations become one tar whose bytes depend on nothing else."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mitds.benchmark.release.read import OpenRelease, open_release
from mitds.benchmark.results import read_results, read_rows
from mitds.benchmark.submission.bundle import (
    ABOUT,
    ENVIRONMENT,
    FORMAT,
    MANIFEST,
    SCORES,
    SOURCES,
    VIDEOS,
    header,
)
from mitds.benchmark.submission.environment import environment
from mitds.benchmark.submission.integrity import manifest_text
from mitds.benchmark.submission.media_job import check_tracks
from mitds.benchmark.submission.rules import CONSENT, SEEDS
from mitds.benchmark.submission.structure import validated
from mitds.config import canonical
from mitds.errors import InputFault, UsageError
from mitds.manifests.items import Item, Release
from mitds.store import atomic_open, sha256_file
from mitds.time import CLIP_FPS

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class _Output:
    item: Item
    seed: int
    path: Path

    @property
    def name(self) -> str:
        return f"videos/{self.path.name}"


def starter(release: Release, date: str) -> dict[str, Any]:
    """Return a submission.json to be filled in.

    Args:
        release: The release it is for.
        date: Today, YYYY-MM-DD.
    """
    return {
        "schema": FORMAT,
        "system": "",
        "contact": "",
        "date": date,
        "release": {"name": release.name, "digest": release.digest},
        "track": "pose-driven",
        "code": {"url": "", "commit": ""},
        "weights": {},
        "training_data": {"datasets": []},
        "seeds": list(SEEDS),
        "deterministic": False,
        "hardware": "",
        "licence": "",
        "consent": CONSENT,
    }


def pack(videos: Path, evaluation: Path | None, about: Path, release: OpenRelease | Path, out: Path) -> Path:
    """Pack a submission.

    Args:
        videos: Folder of ITEM.mp4 (one seed) or ITEM-SEED.mp4.
        evaluation: What `mitds eval` wrote of these videos (rows.parquet, results.json), or a folder with one such
            folder a seed ("0", "1", "2"); None leaves scoring to the host.
        about: The filled-in submission.json; training-sources.txt is taken from beside it where it declares one.
        release: The release, or its folder.
        out: The .tar to write.

    Returns:
        `out`.

    Raises:
        UsageError: If declarations do not fit their schema, a video is missing, or a file is no MP4.
    """
    listed = (open_release(release) if isinstance(release, Path) else release).release
    if out.suffix != ".tar":
        raise UsageError("a submission is packed as .tar", where=str(out), remedy="Name it NAME.tar.")
    declared = _declared(about)
    outputs = _outputs(videos, listed, declared["seeds"])
    rows, metrics, signature = _scores(evaluation, declared["seeds"])
    parts: dict[str, bytes | Path] = {
        ABOUT: _line(declared),
        VIDEOS: b"".join(_line(_video_row(output)) for output in outputs),
        SCORES: b"".join(_line(row) for row in rows),
        ENVIRONMENT: _line(environment(metrics, signature)),
        **{output.name: output.path for output in outputs},
    }
    if "sources" in declared["training_data"]:
        parts[SOURCES] = _sources(about.with_name(SOURCES))
    parts[MANIFEST] = manifest_text({name: _digest(part) for name, part in parts.items()})
    with atomic_open(out) as file:
        _write_tar(file, parts)
    return out


def _line(value: Any) -> bytes:
    return (canonical(value) + "\n").encode()


def _digest(part: bytes | Path) -> str:
    return sha256_file(part) if isinstance(part, Path) else hashlib.sha256(part).hexdigest()


def _declared(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError("there is no such file", where=str(path), remedy="Write submission.json first.")
    value, problems = validated(ABOUT, path.read_bytes())
    if problems:
        raise UsageError(problems[0].what, where=str(path), remedy=problems[0].remedy)
    declared: dict[str, Any] = value
    return declared


def _sources(path: Path) -> bytes:
    if not path.is_file():
        raise UsageError(
            "the declared list of training sources is missing", where=str(path), remedy="Add it."
        )
    return path.read_bytes()


def _outputs(folder: Path, release: Release, seeds: list[int]) -> list[_Output]:
    outputs = [
        _Output(item, seed, _found(folder, item.id, seed, seeds)) for item in release.items for seed in seeds
    ]
    missing = [output for output in outputs if not output.path.is_file()]
    if missing:
        raise UsageError(
            f"{len(missing)} of {len(outputs)} videos are missing, first {missing[0].path.name}",
            where=str(folder),
            remedy="Generate every item of the release, for every declared seed.",
        )
    return outputs


def _found(folder: Path, item: str, seed: int, seeds: list[int]) -> Path:
    plain = folder / f"{item}.mp4"
    return plain if len(seeds) == 1 and plain.is_file() else folder / f"{item}-{seed}.mp4"


def _video_row(output: _Output) -> dict[str, Any]:
    item = output.item
    try:
        sounds = check_tracks(output.path)
    except InputFault as error:
        raise UsageError(error.what, where=str(output.path), remedy="Encode it as H.264 in mp4.") from error
    return {
        "item": item.id,
        "seed": output.seed,
        "file": output.name,
        "sha256": sha256_file(output.path),
        "bytes": output.path.stat().st_size,
        "frames": item.frames,
        "fps": f"{CLIP_FPS.numerator}/{CLIP_FPS.denominator}",
        "width": item.width,
        "height": item.height,
        "audio": item.files["wav"] if sounds else None,
        "seconds": None,
    }


def _scores(evaluation: Path | None, seeds: list[int]) -> tuple[list[dict[str, Any]], list[str], str | None]:
    """Return the rows of scores.jsonl, the metrics they are of, and the signature of the evaluation."""
    if evaluation is None:
        return [], [], None
    single = (evaluation / "rows.parquet").is_file()
    if single and len(seeds) > 1:
        raise UsageError(
            f"one evaluation is there for {len(seeds)} seeds",
            where=str(evaluation),
            remedy="Give a folder with one evaluation a seed: 0/, 1/, 2/.",
        )
    folders = {seed: evaluation if single else evaluation / str(seed) for seed in seeds}
    rows = [row for seed, folder in sorted(folders.items()) for row in _score_rows(folder, seed)]
    signatures = {found for folder in folders.values() if (found := _signature(folder))}
    return rows, sorted({row["metric"] for row in rows}), " ; ".join(sorted(signatures)) or None


def _score_rows(folder: Path, seed: int) -> Iterator[dict[str, Any]]:
    path = folder / "rows.parquet"
    if not path.is_file():
        raise UsageError("there is no evaluation here", where=str(path), remedy="Run: mitds eval.")
    for row in read_rows(path):
        yield {
            "item": row.item,
            "seed": seed,
            "metric": row.metric,
            "person": row.person,
            "value": row.value,
            "status": row.status,
            "n": row.n,
        }


def _signature(folder: Path) -> str | None:
    path = folder / "results.json"
    return read_results(path).signature if path.is_file() else None


def _write_tar(file: IO[bytes], parts: Mapping[str, bytes | Path]) -> None:
    for name, part in sorted(parts.items()):
        size = part.stat().st_size if isinstance(part, Path) else len(part)
        file.write(header(name, size))
        if isinstance(part, Path):
            with part.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
        else:
            file.write(part)
        file.write(bytes(-size % _BLOCK))
    file.write(bytes(2 * _BLOCK))
