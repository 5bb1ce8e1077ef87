"""The stable codes of everything a check may find. A code never changes its meaning; docs/submission.md lists all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means and what to do about it."""

    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a bundle.

    Attributes:
        code: Stable, one of `CODES`.
        file: File of the bundle; "" for the bundle itself.
        row: Line of the file, from 1; None where it is no line's fault.
        what: What is wrong, with the values found.
        remedy: What to do about it.
    """

    code: str
    file: str
    row: int | None
    what: str
    remedy: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.row}" if self.row is not None else self.file
        return f"{self.code}  {f'{place}: ' if place else ''}{self.what}. {self.remedy}"


def problem(code: str, what: str, file: str = "", row: int | None = None) -> Problem:
    """Return a problem with its code's remedy; what comes from the bundle is made harmless to print."""
    return Problem(code=code, file=printable(file), row=row, what=printable(what), remedy=CODES[code].remedy)


def printable(text: str, limit: int = 400) -> str:
    """Return text in which nothing can steer a terminal or hide: other characters are shown escaped, long ends cut."""
    shown = "".join(c if c.isprintable() and c.isascii() else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


_REPACK = "Pack it again: mitds submission pack."

CODES: dict[str, Code] = {
    # S: structure and schema
    "S-BUNDLE": Code(
        "The bundle is neither a folder nor a readable tar.", "Give the folder or the .tar that `pack` wrote."
    ),
    "S-TAR": Code(
        "A member is not a plain file with the header that `pack` writes: a link, device, sparse or extended member, "
        "an absolute or long name, a size beyond the archive, or a cut-off archive.",
        _REPACK,
    ),
    "S-NAME": Code(
        "A file has a name that the format does not know.",
        "Keep only the files of the format; videos are videos/ITEM-SEED.mp4.",
    ),
    "S-FILE": Code(
        "Something in the folder is no plain file of its own: a link, a hard link, a device, a pipe.",
        "Replace it by a copy of the file.",
    ),
    "S-DUPLICATE": Code("Two members have one name, or names that differ only by case.", "Keep one of them."),
    "S-SIZE": Code(
        "A file, or the bundle, is larger than the format allows, or has too many files.",
        "Encode the videos smaller; remove what does not belong.",
    ),
    "S-MISSING": Code("A file of the format is missing.", _REPACK),
    "S-JSON": Code(
        "Not strict JSON: not UTF-8, a byte order mark, a key twice, NaN or Infinity, a number out of range, "
        "nested too deeply, or too long.",
        "Write plain JSON; absence is null.",
    ),
    "S-TEXT": Code(
        "A text holds control, invisible or direction-changing characters.",
        "Write it in plain printable characters.",
    ),
    "S-VERSION": Code(
        "The format is of a version that this mitds does not know.",
        "Pack it with this version of mitds, or update mitds.",
    ),
    "S-SCHEMA": Code(
        "A key is unknown or missing, or a value is of the wrong type or form. Averages are not part of the format.",
        "Correct the row as docs/submission.md shows.",
    ),
    # C: completeness
    "C-MISSING": Code(
        "An item of the release has no video for a seed.", "Generate it: every item, for every seed."
    ),
    "C-EXTRA": Code("A row is of an item or a seed that is not asked for.", "Remove the row and its file."),
    "C-DUPLICATE": Code(
        "Two rows are of the same item and seed, or of the same measurement.", "Keep one of them."
    ),
    "C-SCORES": Code(
        "A metric has rows for some items, seeds or people only, or, where rows are measured again, a metric of an "
        "axis has none.",
        "Give a row for every item, seed and person, whatever its status, or none for that metric.",
    ),
    # M: media
    "M-CONTAINER": Code(
        "The file is no MP4 of one picture track and at most one sound track, or players could show it differently: "
        "two headers, a disabled track, pixels that are not square, a display matrix, bytes outside of boxes.",
        "Write H.264 pictures and AAC sound into an mp4 anew, and nothing else.",
    ),
    "M-CODEC": Code(
        "The pictures or the sound are in a codec that is not accepted.",
        "Use H.264, HEVC, VP9 or AV1, and AAC, Opus, MP3, FLAC or ALAC.",
    ),
    "M-UNREADABLE": Code("The pictures or the sound do not decode to the end.", "Encode it anew."),
    "M-SHAPE": Code(
        "Frame count, frame rate or size is not the item's.",
        "Generate every frame of the item, at its size, at 25 frames a second.",
    ),
    "M-ROW": Code("The row says other frames, size or rate than the item has.", _REPACK),
    "M-SOUND": Code(
        "The sound track is not the sound of the item.",
        "Mux the item's .wav unchanged, from time 0, or leave the sound out.",
    ),
    "M-CRASH": Code(
        "Decoding the file killed its process or used up its memory.", "Encode it anew, as H.264 in mp4."
    ),
    "M-TIMEOUT": Code("Decoding the file takes too long.", "Encode it anew, as H.264 in mp4."),
    # I: integrity
    "I-MANIFEST": Code(
        "MANIFEST.sha256 is malformed, or does not list exactly the files that are there.", _REPACK
    ),
    "I-DIGEST": Code("A file's bytes are not those that are listed.", _REPACK),
    "I-SHARED": Code("Two items have the same video.", "Generate every item by itself."),
    "I-REFERENCE": Code(
        "The video is the real footage, or follows it more closely than any generation can.",
        "Submit what the system generated from the request.",
    ),
    "I-ITEM": Code(
        "The video is the real footage of another item.", "Submit what the system generated from the request."
    ),
    "I-OTHER": Code(
        "The video is one of a submission that was accepted before.", "Submit what your own system generated."
    ),
    "I-SEEDS": Code(
        "Two seeds of an item give the same video although the system is not declared deterministic.",
        "Pass the seed on to the system, or declare it deterministic and hand in one seed.",
    ),
    # V: values
    "V-METRIC": Code(
        "There is no such metric, or it has no rows per item.", "Use the metric ids of this version of mitds."
    ),
    "V-STATUS": Code(
        "A value without status ok, or the status ok without a value.",
        "A value stands exactly where the status is ok.",
    ),
    "V-RANGE": Code("A value lies outside the range of its metric.", "Score the videos with mitds."),
    "V-COUNT": Code(
        "A measurement rests on more frames or windows than its item can have.",
        "Score the videos with mitds.",
    ),
    "V-UNDEFINED": Code(
        "A measurement is undefined where the real footage has one, or the reverse, or differs in this between seeds; "
        "only the release decides that.",
        "Score the videos with mitds.",
    ),
    "V-RECOMPUTED": Code(
        "Scored again, a row differs by more than the tolerance of its metric.",
        "Score the submitted videos, with the versions in environment.json.",
    ),
    # R: rules
    "R-RELEASE": Code("The bundle is for another release.", "Generate and pack it for this release."),
    "R-TRACK": Code("There is no such track.", "Use pose-driven or audio-driven."),
    "R-NAME": Code(
        "The system has a name that the board uses itself, such as that of a control.",
        "Give the system another name.",
    ),
    "R-SEEDS": Code(
        "The number of seeds is not the one the rules ask for.",
        "Hand in seeds 0, 1 and 2; one seed for a deterministic system.",
    ),
    "R-TRAINING": Code(
        "The system was trained on footage of the release.", "Train it again without the listed sources."
    ),
    "R-DATE": Code("The date does not exist or lies in the future.", "Write the day of packing, YYYY-MM-DD."),
    "R-CONSENT": Code(
        "The consent statement is not the one asked for.",
        "Copy the statement from docs/submission.md word for word.",
    ),
}
"""By code; the letter is the group: structure, completeness, media, integrity, values, rules."""
