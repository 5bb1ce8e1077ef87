"""A small made-up release with entries, rows and results, for the pages that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mitds.benchmark.contracts import Card, SetScore
from mitds.benchmark.evaluation.summary import Anchors, Measured, charged, summarise
from mitds.benchmark.results import Anchor, Results, Row
from mitds.benchmark.site import Entry
from mitds.config import digest
from mitds.manifests.items import Item, Release
from mitds.manifests.records import Turn
from mitds.media import write_video

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>{{ 7*7 }}'
FRAMES = 50
CONTROLS = ("copy", "wrong-voice", "grey")


def card(id: str, title: str, axis: str = "", better: str = "higher", unit: str = "", **changes: Any) -> Card:
    known: dict[str, Any] = {
        "says": f"{title}, over all frames of an item.",
        "needs": "scene",
        "floor": "copy",
        "tolerance": 1e-6,
        "source": "made up",
    }
    return Card(id=id, title=title, axis=axis, better=better, unit=unit, **(known | changes))  # type: ignore[arg-type]


CARDS: dict[str, Card] = {
    c.id: c
    for c in (
        card("psnr@1", "PSNR", unit="dB"),
        card("ssim@1", "SSIM"),
        card("lpips.alex@1", "LPIPS", "likeness", "lower"),
        card("identity.sface@1", "Identity", "identity"),
        card("binding.lip-motion@1", "Binding (lips)", "binding"),
        card("leakage.lip-motion@1", "Leakage (lips)", "silence", "lower"),
        card("lag-onset.lips@1", "Onset lag", "", "closer", "ms"),
        card("interactivity.mesh-eyes@1", "Interactivity", "motion", "closer"),
        card("fvd.i3d400.squash224.t16@1", "FVD", "", "lower", needs="set"),
    )
}
_ENDS = {  # floor, real, what a person's measurement spreads by
    "psnr@1": (14.0, 44.0, 2.0),
    "ssim@1": (0.35, 0.99, 0.04),
    "lpips.alex@1": (0.62, 0.02, 0.05),
    "identity.sface@1": (0.08, 0.97, 0.08),
    "binding.lip-motion@1": (0.0, 0.55, 0.08),
    "leakage.lip-motion@1": (0.5, 0.06, 0.06),
    "lag-onset.lips@1": (400.0, 15.0, 40.0),
    "interactivity.mesh-eyes@1": (0.1, 0.7, 0.1),
}
_OF_PERSONS = ("identity.sface@1", "leakage.lip-motion@1", "lag-onset.lips@1")


def release(items: int = 12) -> Release:
    """Items of one to four people, two to a cluster."""
    return Release(
        name="mitds-bench-test",
        items=tuple(_item(n) for n in range(items)),
        train=(),
        held_out=(),
        config={},
        models={},
    )


def _item(n: int) -> Item:
    people = 1 + n % 4
    return Item(
        id=f"{n:016x}",
        clip=f"{n:016x}",
        source="5f" * 32,
        cluster=f"C{n // 2}",
        people=tuple(f"H{4 * n + k}" for k in range(people)),
        first=0,
        frames=FRAMES,
        width=160,
        height=96,
        reference_frame=0,
        subsets=(f"people-{people}", *(("overlap",) if n % 3 == 0 else ())),
        files={},
        pixels="0" * 32,
    )


def turns(item: Item) -> tuple[tuple[Turn, ...], ...]:
    """Everybody speaks for half a second, one after another."""
    return tuple((Turn(start_s=0.45 * n, end_s=0.45 * n + 0.5),) for n in range(len(item.people)))


def measured(
    release: Release,
    goodness: float | Mapping[str, float],
    seed: int,
    failing: Mapping[str, str] | None = None,
) -> Measured:
    """What a system of some goodness reaches: 0 is the floor, 1 is real footage; by axis where it is a mapping."""
    generator = np.random.default_rng(seed)
    failing = failing or {}
    rows = []
    for item in release.items:
        if failing.get(item.id, "ok") not in ("ok", "no_face"):
            continue
        for metric, (floor, real, spread) in _ENDS.items():
            share = goodness if isinstance(goodness, float) else goodness.get(CARDS[metric].axis, 0.5)
            harder = 1 - 0.08 * (len(item.people) - 1) * (share < 1)
            persons = range(len(item.people)) if metric in _OF_PERSONS else (None,)
            for person in persons:
                noise = float(generator.normal()) * spread * (0.05 if share == 1 else 1)
                value = floor + (real - floor) * share * harder + noise
                lost = metric == "identity.sface@1" and failing.get(item.id) == "no_face"
                rows.append(
                    Row(
                        item=item.id,
                        metric=metric,
                        person=person,
                        value=None if lost else value,
                        charged=None,
                        status="no_face" if lost else "ok",
                        n=FRAMES,
                        detail=_detail(metric, len(item.people), share),
                    )
                )
    fvd = SetScore(
        value=900.0 - 850 * (goodness if isinstance(goodness, float) else 0.5), n=len(release.items)
    )
    return Measured(
        outputs={item.id: failing.get(item.id, "ok").replace("no_face", "ok") for item in release.items},
        messages={},
        rows=tuple(rows),
        sets={"fvd.i3d400.squash224.t16@1": fvd},
        unavailable={"sync-c.syncnet-v2.compat@1": "weights missing: see mitds weights"},
    )


def _detail(metric: str, people: int, share: float) -> str:
    if metric != "binding.lip-motion@1" or people < 2:
        return "{}"
    cells = [[round(0.2 + 0.6 * share * (i == j), 2) for j in range(people)] for i in range(people)]
    return f'{{"matrix":{cells}}}'


def anchors(release: Release) -> Anchors:
    """Both ends of the scale, and a penalty a little below the floor."""
    metrics = {}
    for metric, (floor, real, _) in _ENDS.items():
        worst = floor - 0.1 * (real - floor)
        places = [
            f"{item.id}/{n}" if metric in _OF_PERSONS else item.id
            for item in release.items
            for n in range(len(item.people))
        ]
        metrics[metric] = Anchor(floor=floor, real=real, penalty=dict.fromkeys(places, worst))
    metrics["fvd.i3d400.squash224.t16@1"] = Anchor(floor=900.0, real=20.0, penalty={})
    return Anchors(release=release.digest, metrics=metrics, floor_band=0.12, controls=CONTROLS)


def charged_rows(release: Release, goodness: float, seed: int) -> list[Row]:
    """Charged rows of a made-up system that fails nowhere."""
    return charged(measured(release, goodness, seed), CARDS, anchors(release))


def evaluated(
    release: Release, name: str, goodness: float | Mapping[str, float], seed: int, **changes: Any
) -> tuple[Results, list[Row]]:
    """Results and charged rows of a made-up system."""
    scale = anchors(release)
    found = measured(release, goodness, seed, changes.pop("failing", None))
    rows = charged(found, CARDS, scale)
    kind = changes.pop("kind", "submission")
    return summarise(name, kind, release, scale, found, rows, CARDS, {"seed": seed}), rows


def entry(
    release: Release, slug: str, name: str, goodness: float | Mapping[str, float], seed: int, **changes: Any
) -> Entry:
    results, rows = evaluated(release, name, goodness, seed, failing=changes.pop("failing", None))
    known: dict[str, Any] = {"kind": "submission", "tier": "rescored"}
    return Entry(slug=slug, name=name, results=results, rows=rows, **(known | changes))


def video(path: Path, tint: int, frames: int = FRAMES) -> Path:
    """A picture whose block moves with time; the tint tells systems apart."""
    y, x = np.mgrid[0:96, 0:160]

    def picture(t: int) -> np.ndarray:
        frame_HWC = np.stack([40 + x // 2, 60 + y, np.full_like(x, tint)], axis=2).astype(np.uint8)
        frame_HWC[30:60, 10 + 2 * t : 40 + 2 * t] = (240, 220, 120)
        return frame_HWC

    write_video(path, ((Fraction(t, 25), picture(t)) for t in range(frames)), crf=28)
    return path


def entries(release: Release, videos: Mapping[str, Mapping[str, Path]] | None = None) -> list[Entry]:
    """Four submissions, one of them only claimed and one of a hostile name; three controls; real footage."""
    shown = videos or {}
    one, two = release.items[1].id, release.items[2].id
    about = {
        "contact": "team@example.org",
        "code_commit": "0123abcd",
        "training_data": ["VoxCeleb2", "own footage"],
        "hardware": "8 x H100",
        "seeds": [0, 1, 2],
        "homepage": "javascript:alert(3)",
    }
    weak = {"likeness": 0.0, "identity": 0.9, "binding": 0.9, "silence": 0.6, "motion": 0.3}
    voice = {"likeness": 0.8, "identity": 0.9, "binding": 0.0, "silence": 0.1, "motion": 0.5}
    of = shown.get
    return [
        entry(release, "alpha", "Alpha-DiT (ours)", 0.72, 1, videos=of("alpha", {}), about=about, tier="regenerated"),
        entry(release, "beta", "Beta-Talk", 0.7, 2, videos=of("beta", {}), failing={one: "missing", two: "no_face"}),
        entry(release, "hostile", HOSTILE, 0.35, 3, about={HOSTILE: HOSTILE}, notes=(HOSTILE,), tier="spot-checked"),
        entry(release, "boast", "Boast-XL", 0.98, 4, tier="claimed"),
        entry(release, "copy", "copy of the reference frame", weak, 5, kind="control", tier=""),
        entry(release, "wrong-voice", "wrong voice", voice, 6, kind="control", tier=""),
        entry(release, "grey", "grey", 0.0, 7, kind="control", tier=""),
        entry(release, "real", "Real footage", 1.0, 8, kind="real", tier="", videos=of("real", {})),
    ]  # fmt: skip


def site_arguments(release: Release, entries: Sequence[Entry]) -> dict[str, Any]:
    """Everything `build_site` asks for."""
    scale = anchors(release)
    return {
        "release": release,
        "release_digest": digest(release, scale),
        "entries": entries,
        "cards": CARDS,
        "anchors": scale.metrics,
        "floor_band": scale.floor_band,
        "title": "Multi-human talking video",
        "turns": {item.id: turns(item) for item in release.items},
    }
