"""Whose stated rights forbid to learn generation from a clip.

Rights are free text that the user wrote. What is looked for:

- a licence, consent or note that says no to derived works, to adaptation, to generation, to synthetic media, or
  to training: "CC BY-NC-ND 4.0", "NoDerivatives", "no AI training", "may not be used to generate ...", "NoAI";
- a licence that reserves all rights;
- a consent that was withdrawn, refused or not given.

A text that says neither yes nor no refuses nothing, and nothing stated at all is no refusal either, but counted:
see `unstated`. This reads what people usually write; it is no legal advice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mitds.manifests.records import Clip, Rights

_NO = (
    r"(?:no|not|never|without|cannot|prohibit\w*|forbid\w*|exclud\w+|disallow\w*|opt(?:s|ed)?[ -]out(?: of)?)"
)
_BETWEEN = (
    r"(?:\s+(?:to|for|be|of|in|on|with|by|any|all|or|and|the|a|an|use|used|using|allow\w*|permit\w*|purposes?|"
    r"create|creating|creation|make|making|produce|producing|(?:re)?distribut(?:e|ion)|resale|sharing|publication|"
    r"commercial|further)\b,?){0,7}"
)
"""What people write between a no and what it is about: "may not be used, in any way, to create ..."."""
_ACT = (
    r"(?:derivatives?|derivs|derived works?|adapt\w*|modif\w+|remix\w*|generat(?:e|ion|ive|ing)\b|synthetic|"
    r"synthes\w+|deep[ -]?fakes?|train(?:ing)?\b|(?:(?:generative )?ai|machine[ -]learning|ml|(?:ai )?model)[ -]"
    r"(?:training|use|models?|generation|development|learning))"
)
_FORBIDDEN = (
    r"(?:prohibited|forbidden|excluded|disallowed|not\s+(?:be\s+)?(?:allowed|permitted|licensed|granted))"
)
_FREE = re.compile(
    r"\b(?:no|without)\s+(?:any\s+)?(?:\w+\s+)?(?:restrictions?|limits?|limitations?|objections?)\b"
)

_FORBIDS = {
    "derived works or generation": re.compile(
        rf"\b{_NO}{_BETWEEN}[\s-]+{_ACT}|\b{_ACT}(?:\s+\w+){{0,4}}?\s+{_FORBIDDEN}\b"
    ),
    "derived works": re.compile(r"\bby(?:[ -]nc)?[ -]nd\b|\bno-?deriv\w*"),
    "use by AI": re.compile(r"\bno-?(?:image-?)?ai\b|\bno ai\b(?!-|\s*generated)|\btdm[ -]reserv\w+"),
}
_RESERVED = re.compile(r"\ball rights reserved\b")
_REFUSED = re.compile(
    r"^no\b|\bno consent\b|\bwithdr\w+|\brevoked\b|\brefused\b|\bden(?:ied|ies)\b|\bdeclined\b|\bobjects\b|"
    r"\b(?:not|never)\s+(?:yet\s+)?(?:given|granted|obtained|asked|signed|consent\w*)\b|\bwithout consent\b"
)
_NOTHING = re.compile(r"(?:unstated|unknown|unspecified|none|n/?a|nan|null|-|\?)?(?:\s*\(.*\))?")


def refusals(clips: Iterable[Clip]) -> dict[str, str]:
    """Return, by key, why a clip must not be learned from; clips whose rights forbid nothing are not in it."""
    why = ((clip.key, refusal(clip.rights)) for clip in clips)
    return {key: reason for key, reason in why if reason}


def unstated(clips: Iterable[Clip]) -> int:
    """Count the clips of which neither a licence nor a consent is stated."""
    return sum(not _stated(c.rights.licence) and not _stated(c.rights.consent) for c in clips)


def refusal(rights: Rights) -> str:
    """Return what forbids it, quoting the statement; empty where nothing does."""
    return next(_reasons(rights), "")


def _reasons(rights: Rights) -> Iterator[str]:
    for field in ("licence", "consent", "note"):
        text = getattr(rights, field) or ""
        for thing, pattern in _FORBIDS.items():
            if pattern.search(_plain(text)):
                yield f"its {field} forbids {thing}: {text!r}"
    if _RESERVED.search(_plain(rights.licence)):
        yield f"its licence reserves all rights: {rights.licence!r}"
    if _REFUSED.search(_plain(rights.consent)):
        yield f"its consent is refused: {rights.consent!r}"


def _plain(text: str | None) -> str:
    """Return a statement in lower case with single spaces, without "no restrictions" and the like."""
    return _FREE.sub(
        "", " ".join(re.sub(r"[_/]", " ", (text or "").lower()).replace("–", "-").split())
    ).strip()


def _stated(text: str | None) -> bool:
    return not _NOTHING.fullmatch((text or "").strip().lower())
