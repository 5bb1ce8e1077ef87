"""Licences in the words of the catalogues, and what every dataset of talking people has to say of itself."""

from __future__ import annotations

import re

from mitds.pipeline.export.provenance import Summary

_SPDX = re.compile(
    r"CC0-1\.0|CC-BY(-NC)?(-SA|-ND)?-[1-4]\.[05]|PDDL-1\.0|ODC-By-1\.0|ODbL-1\.0|MIT|Apache-2\.0|BSD-[23]-Clause"
)
_ON_THE_HUB = re.compile(r"CC0-1\.0|CC-BY(-NC)?(-SA|-ND)?-(4\.0|3\.0|2\.0|2\.5)|MIT|Apache-2\.0")

PERSONAL = (
    "Videos of identifiable people with their faces and voices.",
    "Derived from them: face boxes, 133 body points, who speaks when, and labels that join a person's appearances "
    "within one source. No names, no biometric templates; people are not joined across sources.",
)
COLLECTION = (
    "A list of links was fetched, cut into shots, and labelled by machine. Row by row, the table of provenance says "
    "where a clip was fetched, when, under which licence and consent, and by which program and weights."
)
WITHDRAWAL = (
    "Sources and people can be withdrawn (mitds remove); shards are then written anew without them, and their digests "
    "change. Whoever copied this dataset should fetch it again, and delete older copies, when it changes."
)
LIMITS = (
    "All labels are estimates of models; NaN, null or a status word say where one is missing.",
    "Rights are what whoever built the dataset stated; nobody checked them. Null means that nothing was stated.",
)
USES = "Training and evaluation of models of several people talking, within the licence and consent of each clip."


def spdx_url(licence: str) -> str | None:
    """Return the address of a licence that SPDX lists, or of one that is an address; None for other words."""
    if _SPDX.fullmatch(licence):
        return f"https://spdx.org/licenses/{licence}.html"
    return licence if re.fullmatch(r"https?://[\x21-\x7e]+", licence) else None


def hub_licence(summary: Summary) -> str | None:
    """Return the hub's identifier of the one licence that all clips have; None where there is no such one."""
    (licence, *others) = summary.licences or (None,)
    if others or licence is None or not _ON_THE_HUB.fullmatch(licence):
        return None
    return licence.lower()


def plain_line(text: str, limit: int = 200) -> str:
    """Make words from outside fit to stand in a line of a document: printable, one line, no markup."""
    line = re.sub(r"[`|<>\[\]\\*_#]", " ", "".join(c if c.isprintable() else " " for c in text))
    return " ".join(line.split())[:limit]


def licence_counts(summary: Summary) -> list[tuple[str, int]]:
    """Return each stated licence with its number of clips, most frequent first; "not stated" for none."""
    named = [("not stated" if name is None else plain_line(name), n) for name, n in summary.licences.items()]
    return sorted(named, key=lambda pair: (-pair[1], pair[0]))
