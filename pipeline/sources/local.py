"""Files on this machine, by path or file:// URL; they are used where they lie."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from mitds.errors import SourceUnreachable
from mitds.pipeline.sources.contract import Download, FetchConfig
from mitds.weights.index import local_path


def download(url: str, scratch: Path, config: FetchConfig) -> Download:
    """Find a local file; see `Kind`."""
    if not config.local:
        raise SourceUnreachable(
            "a file of this machine, and fetch.local=false refuses these", remedy="List addresses."
        )
    named = local_path(url)
    if named is not None and urlsplit(url).netloc not in ("", "localhost"):
        raise SourceUnreachable("a file:// URL names another machine")
    path = named or Path(url)
    try:
        if path.is_dir():
            raise SourceUnreachable("this is a folder; list the files in it")
        if path.exists() and not path.is_file():
            raise SourceUnreachable("this is not a regular file")
        with path.open("rb"):
            return Download(path=path, name=path.name, fetched=False)
    except OSError as error:
        raise SourceUnreachable(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL byte, as %00
        raise SourceUnreachable(f"no file can have this name: {error}") from error
