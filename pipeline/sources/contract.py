"""What each kind of source takes and gives. A kind is a module with `download(url, scratch, config)`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchConfig:
    """How sources are fetched.

    Attributes:
        local: Whether the list may name files of this machine. Refuse them in a list that is a stranger's.
        private_hosts: Whether http(s) may reach hosts that are not on the public internet: this machine, private
            networks, and what a cloud keeps for its own machines.
        file_systems: URL schemes of remote file systems that the list may name, of those that fsspec knows.
        max_bytes: Largest file taken.
        timeout_s: Most seconds one source may take, retries included; waiting for one's turn is not counted.
        connect_s: Seconds to wait for a connection.
        read_s: Seconds to wait for the next bytes.
        least_bytes_per_s: A server that gives fewer, over `read_s`, is given up.
        attempts: How often a transient fault is tried in all.
        backoff_s: First pause after a transient fault; it doubles each time.
        max_pause_s: Longest pause; a server that asks for a longer one is given up.
        host_interval_s: Least seconds between two fetches from one host, over all processes of this machine.
        max_height: Largest picture height asked of sites that offer several.
        formats: yt-dlp's format selection; "{height}" stands for max_height.
        format_order: yt-dlp's sorting of formats, most important first.
    """

    local: bool = True
    private_hosts: bool = False
    file_systems: tuple[str, ...] = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "hf", "memory")
    max_bytes: int = 20 << 30
    timeout_s: float = 3600.0
    connect_s: float = 10.0
    read_s: float = 30.0
    least_bytes_per_s: int = 1000
    attempts: int = 4
    backoff_s: float = 1.0
    max_pause_s: float = 120.0
    host_interval_s: float = 1.0
    max_height: int = 1080
    formats: str = "bv*[height<=?{height}]+ba/b[height<=?{height}]"
    format_order: tuple[str, ...] = ("res", "vcodec:h264", "ext:mp4:m4a")


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What a kind of source gives back.

    Attributes:
        path: The bytes: inside the scratch folder where they were fetched, elsewhere where they lay already.
        name: What the source calls the file; from outside, never a path.
        title: Title, where the source has one.
        licence: Licence as the source states it, where it does.
        notes: Further facts worth keeping, such as an opt-out header.
        fetched: False where the bytes were on this machine before.
    """

    path: Path
    name: str
    title: str | None = None
    licence: str | None = None
    notes: tuple[str, ...] = ()
    fetched: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The bytes of one source, on this machine.

    Attributes:
        path: The file: FOLDER/SHA256.SUFFIX, or the user's own local file where it lies.
        url: The address asked for, without credentials.
        name: What the source calls the file; from outside, never a path.
        title: The user's title, else the source's, else None.
        fetched_at: UTC time of the fetch, ISO 8601; None for local files.
        bytes: Size.
        sha256: Hex digest of the bytes.
        licence: Licence as the source states it (not as the user does); None where it states none.
        notes: Further facts worth keeping, such as an opt-out header.
    """

    path: Path
    url: str
    name: str
    title: str | None
    fetched_at: str | None
    bytes: int
    sha256: str
    licence: str | None
    notes: tuple[str, ...]


class Kind(Protocol):
    """One kind of source."""

    def __call__(self, url: str, scratch: Path, config: FetchConfig) -> Download:
        """Get the bytes behind a URL; files are made in `scratch` only.

        Raises:
            SourceUnreachable: The bytes cannot be had.
            MissingDependency: A package is missing.
        """
