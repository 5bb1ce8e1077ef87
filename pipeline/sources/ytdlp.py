"""Pages: whatever yt-dlp can find a video behind. Used as a library: no configuration files, no updates."""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from mitds.errors import SourceUnreachable
from mitds.pipeline.sources.connections import Connections
from mitds.pipeline.sources.contract import Download, FetchConfig
from mitds.pipeline.sources.site import PROTOCOLS, open_site
from mitds.weights.web import TOO_LONG, Pace


def download(
    url: str,
    scratch: Path,
    config: FetchConfig,
    *,
    notes: tuple[str, ...],
    deadline: float,
    connections: Connections,
) -> Download:
    """Fetch the one video behind a page.

    Args:
        url: The page.
        scratch: Folder for the files.
        config: Limits and choice of format.
        notes: Facts already known of the page.
        deadline: When to give up, on time.monotonic's clock.
        connections: Makes all connections.

    Raises:
        SourceUnreachable: No video, several, a live one, or a refusal, in yt-dlp's words.
    """
    import yt_dlp

    log = _Log()
    options = {**_options(config), "logger": log, "ffmpeg_location": str(scratch / "no-ffmpeg")}
    with open_site(options, connections) as site:
        site.add_progress_hook(_Limits(config, deadline))
        try:
            info = _single(site.extract_info(url, download=False))
            parts = [_part(site, {**info, **track}, scratch, log) for track in _tracks(info)]
        except yt_dlp.utils.YoutubeDLError as error:
            said = TOO_LONG if connections.past() else f"yt-dlp: {_plain(str(error))}"
            raise SourceUnreachable(said) from error
        except SourceUnreachable:
            raise
        except Exception as error:  # a site's page may trip its extractor in any way
            what = f"yt-dlp fails: {type(error).__name__}: {_plain(str(error))}"
            raise SourceUnreachable(what.removesuffix(": ")) from error
    path = parts[0] if len(parts) == 1 else _joined(parts, scratch)
    return Download(
        path=path,
        name=f"{_called(info)}{path.suffix}",
        title=info.get("title"),
        licence=info.get("license"),
        notes=(*notes, *_facts(info)),
    )


def _options(config: FetchConfig) -> dict[str, Any]:
    return {
        "format": config.formats.format(height=config.max_height),
        "format_sort": list(config.format_order),
        "quiet": True,
        "noprogress": True,
        "color": {"stdout": "never", "stderr": "never"},
        "cachedir": False,
        "noplaylist": True,
        # One entry more than we take, so that a page of several is told from a page of one.
        "playlist_items": "1:2",
        "extract_flat": "in_playlist",
        "socket_timeout": config.read_s,
        "retries": config.attempts,
        "fragment_retries": config.attempts,
        "skip_unavailable_fragments": False,
        "max_filesize": config.max_bytes,
        "overwrites": True,
        "fixup": "never",
        # Its own downloaders only: programs would make connections that nobody checks.
        "external_downloader": "native",
    }


def _single(info: dict[str, Any]) -> dict[str, Any]:
    if "entries" in info:
        entries = list(info["entries"])
        if len(entries) != 1 or entries[0].get("_type", "video") != "video":
            raise SourceUnreachable("yt-dlp: several videos or a playlist; list each video by its own URL")
        info = entries[0]
    if info.get("is_live"):
        raise SourceUnreachable("yt-dlp: a live stream, which has no end")
    return info


def _tracks(info: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what to download: one file, or picture and sound apart."""
    return list(info.get("requested_formats") or [{}])


def _part(site: Any, info: dict[str, Any], scratch: Path, log: _Log) -> Path:
    from yt_dlp.utils import determine_protocol

    info.pop("requested_formats", None)
    protocol = determine_protocol(info)
    if protocol not in PROTOCOLS:
        raise SourceUnreachable(f"yt-dlp: the video comes by {protocol}, which needs a program of its own")
    suffix = re.sub(r"[^a-z0-9]", "", str(info.get("ext", "")).lower())[:5] or "mp4"
    path = scratch / f"part-{len(list(scratch.iterdir()))}.{suffix}"
    done, _ = site.dl(str(path), info)
    if not done or not path.is_file():
        raise SourceUnreachable(f"yt-dlp: {_plain(log.last) or 'no file came'}")
    return path


def _joined(parts: list[Path], scratch: Path) -> Path:
    """Put picture and sound into one file by copying packets: no ffmpeg program is needed."""
    import av

    path = scratch / "joined.mp4"
    try:
        with (
            av.open(str(parts[0])) as pictures,
            av.open(str(parts[1])) as sound,
            av.open(str(path), "w") as target,
        ):
            tracks = [pictures.streams.video[0], sound.streams.audio[0]]
            copies = {track.type: target.add_stream_from_template(track) for track in tracks}
            demuxed = [
                container.demux(track) for container, track in zip((pictures, sound), tracks, strict=True)
            ]
            timed = [(packet for packet in packets if packet.dts is not None) for packets in demuxed]
            for packet in heapq.merge(*timed, key=_decode_time):
                packet.stream = copies[packet.stream.type]
                target.mux(packet)
    except (av.error.FFmpegError, IndexError) as error:
        raise SourceUnreachable(f"picture and sound came apart and do not fit together: {error}") from error
    return path


def _decode_time(packet: Any) -> Fraction:
    """Return when a packet is due for decoding, in seconds on its file's clock."""
    return Fraction(packet.dts * packet.time_base)


def _called(info: Mapping[str, Any]) -> str:
    """Name the file by its title, whose slashes part no folders."""
    return re.sub(r"[/\\]", "-", str(info.get("title") or info.get("id") or "video"))


def _facts(info: Mapping[str, Any]) -> tuple[str, ...]:
    named = {
        "extractor": "extractor_key",
        "uploader": "uploader",
        "page": "webpage_url",
        "format": "format_id",
    }
    return tuple(f"{label}: {info[key]}" for label, key in named.items() if info.get(key))


def _plain(text: str) -> str:
    """Take yt-dlp's words without its prefixes and its requests to report bugs."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).removeprefix("ERROR: ")
    return re.split(r"; please report this issue|\. {1,2}Confirm you are on", text)[0].strip()


class _Limits:
    """Ends a download that takes too long or grows too large, told of its progress by yt-dlp."""

    def __init__(self, config: FetchConfig, deadline: float) -> None:
        self._max_bytes, self._done = config.max_bytes, 0
        self._pace = Pace(deadline, config.least_bytes_per_s, config.read_s)

    def __call__(self, event: Mapping[str, Any]) -> None:
        done = event.get("downloaded_bytes") or 0
        # A part that begins anew counts from nothing.
        self._pace.tick(done - self._done if done >= self._done else done)
        self._done = done
        if done > self._max_bytes:
            raise SourceUnreachable(f"gives more than the {self._max_bytes} bytes allowed")


class _Log:
    """Keeps yt-dlp silent, and its last words."""

    last = ""

    def debug(self, message: str) -> None:
        """Keep what it says on its screen, where it tells why it skips a file."""
        self.last = message

    info = warning = error = debug
