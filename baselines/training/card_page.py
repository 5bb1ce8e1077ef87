"""The model card as a page of Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

_WHAT = {
    "covog": (
        "CovOG: a reference U-Net, a denoising U-Net with motion modules, one shared encoder of each person's pose "
        "(MPE), and each person's voice gated by who speaks, inside that person's face (IAD). The published "
        "code's defects are repaired."
    ),
    "covog-without-mpe": "CovOG with all skeletons in one picture, instead of an encoder a person: an ablation.",
    "covog-without-iad": "CovOG without voices: an ablation.",
    "covog-published": "CovOG as its published code behaves, defects included: what repairs are measured against.",
    "animate-anyone": "The trunk of CovOG alone: one picture of all skeletons, no voices.",
    "control-svd": "An image-to-video U-Net with pose control: one picture of all skeletons, no voices.",
}  # fmt: skip

_USE = """\
It makes video of several people who talk with each other, from a reference frame, each person's poses, each
person's voice and who speaks when. It is a baseline for research: to be compared with, taken apart and improved.

- It is no product. Pictures are of {width} x {height} px, and blurred where motion is fast.
- It follows poses that it is given; it does not invent gestures.
- It knows the people, cameras, languages and rooms of its training clips. What it makes of others
  has to be measured (`mitds eval`) before anything is concluded from it.
- Skin tones, ages, head coverings and languages that the clips lack are likely to come out worse."""

_ETHICS = """\
Faces and voices are personal data, and this model moves a face by a voice.

- Use it on people who agreed to be shown saying what they will be shown saying, or on people who do not exist.
- Never use it to deceive, to impersonate, to harass, to identify somebody, or to make a person appear to consent.
- Mark what it makes as generated wherever it is shown.
- A model can give back faces that it was trained on. Whoever asks to be removed from the clips is removed by
  training anew without them; keys of clips and sources above are there to find them by."""


def page(facts: Mapping[str, Any]) -> str:
    """Return a card's facts (`card.facts_of`) as Markdown."""
    return "\n\n".join(block for block in _blocks(facts) if block) + "\n"


def _blocks(facts: Mapping[str, Any]) -> Iterator[str]:
    recipe, data = facts["recipe"], facts["data"]
    yield f"# {facts['model']}, preset {facts['preset']}"
    yield _WHAT[facts["model"]]
    yield "## Intended use and limits"
    yield _USE.format(width=recipe["width"], height=recipe["height"])
    yield "## Rights in the weights"
    yield _rights(facts["rights"])
    yield "## Faces and voices"
    yield _ETHICS
    yield "## Data"
    clips, sources = len(data["clips"]), len(data["sources"])
    yield f"{clips} clips, {data['hours']:g} h, of {sources} sources; digest `{data['digest']}`."
    yield _table(("shard", "sha256"), ((s["name"], f"`{s['sha256']}`") for s in data["shards"]))
    yield _table(
        ("source", "name", "address", "licence", "consent", "identities", "clips", "seconds"),
        (_source_row(source) for source in data["sources"]),
    )
    yield "Identities are names within a source: source and identity together name a person."
    yield _kept_away("Left out for their rights", data["left_out"])
    yield _kept_away("Not used, or not in every stage", data["unused"])
    yield "Clips: " + ", ".join(f"`{key}`" for key in data["clips"]) + "."
    yield "## Training"
    yield f"```sh\n{facts['command']}\n```"
    yield _table(("", ""), _training_rows(facts))
    yield "## Settings"
    yield _table(("setting", "value"), ((name, _value(value)) for name, value in leaves(recipe)))


def _rights(rights: Mapping[str, Any]) -> str:
    lines = [f"- {line}" for line in rights["weights"]]
    lines.append(f"- Licences stated, in clips: {_counts(rights['licences'])}.")
    lines.append(f"- Consents stated, in clips: {_counts(rights['consents'])}.")
    if rights["heeded"]:
        lines.append("- Clips whose stated rights forbid to learn generation from them were left out.")
    else:
        lines.append("- **Stated rights were ignored on request (`data.rights=ignore`).**")
    return "\n".join(lines)


def _source_row(source: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"`{source['sha256'][:16]}`",
        source["name"],
        source["url"] or "a file",
        source["licence"] or "unstated",
        source["consent"] or "unstated",
        ", ".join(source["identities"]),
        str(source["clips"]),
        f"{source['seconds']:g}",
    )


def _kept_away(title: str, reasons: Mapping[str, str]) -> str:
    if not reasons:
        return f"{title}: none."
    return f"{title}:\n\n" + _table(("clip", "why"), ((f"`{key}`", why) for key, why in reasons.items()))


def _training_rows(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "seed", str(facts["seed"])
    yield "parameters of the network", f"{facts['parameters']:,}"
    for name, count in (facts["parts"] or {}).items():
        yield f"of these, {name}", f"{count:,}"
    for stage, loss in (facts["losses"] or {}).items():
        yield f"last loss, {stage}", f"{loss:.5f}"
    if facts["autoencoder"]:
        found = facts["autoencoder"]
        yield "autoencoder", f"{found['psnr_db']} dB over {found['frames']} frames of these clips"
    for what, name in (facts["origin"] or {}).items():
        if name:
            yield f"started from, {what}", f"`{name}`"
    for what, name in (facts["lenders"] or {}).items():
        yield f"digest of the clips of the model that gave its {what}", f"`{name}`"
    if facts["release"]:
        yield (
            "clips left for training by the release",
            f"{facts['release']['name']}, `{facts['release']['digest']}`",
        )
    yield "seconds", f"{facts['seconds']:g}"
    yield "device", f"{facts['device']}, {facts['processes']} processes"
    yield from (facts["versions"] or {}).items()


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{text} ({count})" for text, count in counted.items()) or "none"


def leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each single setting with its full name, "stage1.steps"."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _value(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Return a text from outside as one that cannot break the table or become a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
