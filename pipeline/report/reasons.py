"""Reason codes in words: what happened, and what can be done about it."""

from __future__ import annotations

from dataclasses import dataclass

from mitds.pipeline.ends import REASONS as RULES


@dataclass(frozen=True, slots=True)
class Reason:
    """What a code means, and the remedy; empty where there is nothing to do."""

    what: str
    remedy: str = ""


_KNOWN = {
    "": Reason("kept"),
    "removed": Reason("it was withdrawn"),
    "duplicate_of": Reason(
        "the same bytes came earlier in the list", "Remove the line, or leave it: it costs nothing."
    ),
    "unreachable": Reason(
        "the link is dead, refused or timed out", "Open it in a browser; correct or remove the line."
    ),
    "not_video": Reason(
        "the file holds no moving pictures that can be decoded", "Check what was downloaded; fetch it again."
    ),
    "undecodable": Reason(
        "there is a picture track, but decoding breaks", "Fetch it again, or re-encode it."
    ),
    "bad_input": Reason("the input cannot be used", "See the detail."),
    "bad_shard": Reason("a shard is torn or of another kind", "Run ingest again for this source."),
    "internal": Reason(
        "mitds itself met something it did not expect", "Report it with the detail given under Failures."
    ),
    "crashed": Reason("the process that worked on it died", "Run the same command again with fewer workers."),
    "timeout": Reason("it took longer than the time allowed", "Split the video, or allow more time."),
    "storage": Reason("the output could not be written", "Free space, then run the same command again."),
}


def explain(code: str) -> Reason:
    """Return the words for a reason code; an unknown code is shown as it is."""
    if code in RULES:
        return Reason(RULES[code], "Change the rules, or use --keep-all to write such clips as well.")
    return _KNOWN.get(code, Reason(code.replace("_", " ")))
