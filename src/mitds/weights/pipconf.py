"""What pip is configured for, read as pip reads it: files from general to particular, then PIP_* variables.

Own reading, because environments made by other tools hold no pip to ask.
Precedence: https://pip.pypa.io/en/stable/topics/configuration/
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mitds.errors import UsageError
from mitds.weights.web import Web

PYPI = "https://pypi.org/simple"
_SECTIONS = ("global", "install", "download")
_TRUE = {"1", "true", "yes", "on", "y", "t"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PipConfig:
    """Where packages come from.

    Attributes:
        indexes: Simple indexes in the order pip lists them; URLs or folders.
        find_links: Folders or pages that link to archives; they come before the indexes.
        web: How requests are made: certificates, proxy, trusted hosts, patience.
    """

    indexes: tuple[str, ...] = (PYPI,)
    find_links: tuple[str, ...] = ()
    web: Web = field(default_factory=Web)


def read_pip_config() -> PipConfig:
    """Read pip's configuration files and environment."""
    options = {**_from_files(), **_from_environment(os.environ)}
    listed = (options.get("index-url") or PYPI, *options.get("extra-index-url", "").split())
    offline = options.get("no-index", "").lower() in _TRUE
    cert = options.get("cert")
    return PipConfig(
        indexes=() if offline else tuple(dict.fromkeys(listed)),
        find_links=tuple(options.get("find-links", "").split()),
        web=Web(
            verify=str(Path(cert).expanduser()) if cert else True,
            proxy=options.get("proxy") or None,
            trusted_hosts=tuple(options.get("trusted-host", "").split()),
            read_s=_seconds(options),
        ),
    )


def _seconds(options: Mapping[str, str]) -> float:
    text = options.get("timeout") or options.get("default-timeout") or "30"
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(f"pip's timeout is {text!r}", remedy="Make it a number of seconds.") from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    named = {k[4:].lower().replace("_", "-"): v for k, v in environment.items() if k.startswith("PIP_")}
    return {k: v for k, v in named.items() if v}


def _from_files() -> dict[str, str]:
    by_section: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for path in _files():
        parser = _parse(path)
        for section in _SECTIONS:
            if parser.has_section(section):
                pairs = parser.items(section)
                by_section[section] |= {k.lstrip("-").lower().replace("_", "-"): v for k, v in pairs}
    return {k: v for section in _SECTIONS for k, v in by_section[section].items()}


def _parse(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text())
    except (configparser.Error, UnicodeDecodeError) as error:
        # The parser quotes the line it stumbles over, which may hold a password.
        raise UsageError(
            "pip's configuration cannot be read", where=str(path), remedy="Correct it."
        ) from error
    except OSError:
        pass  # pip leaves out files that it may not read, too
    return parser


def _files() -> Iterator[Path]:
    chosen = os.environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return
    candidates = [*_system_files(), *([] if chosen and Path(chosen).exists() else _user_files())]
    candidates += [Path(sys.prefix) / "pip.conf", *([Path(chosen)] if chosen else [])]
    yield from (path for path in candidates if path.is_file())


def _system_files() -> list[Path]:
    if sys.platform == "darwin":
        return [Path("/Library/Application Support/pip/pip.conf")]
    folders = (os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    return [*(Path(folder) / "pip" / "pip.conf" for folder in folders), Path("/etc/pip.conf")]


def _user_files() -> list[Path]:
    home = Path.home()
    modern = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip"
    if sys.platform == "darwin" and (native := home / "Library" / "Application Support" / "pip").is_dir():
        modern = native
    return [home / ".pip" / "pip.conf", modern / "pip.conf"]
