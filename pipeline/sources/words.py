"""Words from outside: what servers, sites and drivers call things, made fit to print and to record."""

from __future__ import annotations

import re

MAX_CHARS = 200
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor moves
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # window titles, links
    r"|\x1b[ -/]*[0-~]"
)
_BREAK = re.compile(r"[\t-\r\x85\u2028\u2029]+")
# The last three ranges turn the direction of writing, or are halves of characters that UTF-8 cannot hold.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """Return a text as one line, without terminal escapes and control characters."""
    return _CONTROL.sub("", _BREAK.sub(" ", _ESCAPE.sub("", text))).strip()


def file_name(text: str) -> str:
    """Return the last component of what a source calls a file, clean and of at most 200 characters."""
    name = re.split(r"[/\\]", clean(text).rstrip("/\\"))[-1][:MAX_CHARS]
    return name if name.strip(". ") else "unnamed"
