"""Which files are videos, by name."""

from __future__ import annotations

from pathlib import Path

VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts")
"""Suffixes of files that are taken for videos in a folder; a file that is named itself may have any."""


def videos_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the videos in a folder and what else lies in it, by name; hidden files are neither."""
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    videos = [path for path in found if path.suffix.lower() in VIDEOS and path.is_file()]
    return videos, [path for path in found if path not in videos]
