"""The steps of the budget, and one row of its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEFAULT_METRICS = (
    *("psnr", "ssim", "lpips.alex", "identity.sface", "binding.lip-motion", "leakage.lip-motion"),
    *("lag-onset.lips", "interactivity", "var-exp", "fvd", "mmd", "fid"),
)
"""One or two of each family; all that see pictures of any size in seconds."""

OUTPUTS = ("wrong-voice", "always-talking", "blurred")
"""Controls whose outputs stand for generated videos, item after item in turn."""

FACELESS = "blurred"
"""Its faces are found on few frames, by luck: any change flips them. Metrics of scenes are not read there."""

BASE = "base"
"""Everything as `mitds eval` does it."""
RAW = "raw"
"""The outputs' pictures as they were before any codec."""

REAL_12 = "real12"
"""The real footage itself as the output, encoded once more: the top of the scale."""

Limit = Literal["zero", "tolerance", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One way in which the same evaluation may be done otherwise.

    Attributes:
        part: Part of the page that it belongs to.
        label: What is done otherwise.
        limit: What it may move: nothing, no more than the card's tolerance, or anything.
        against: What it is compared with.
        varied: The measurement compared, where that is not the step's own.
    """

    part: str
    label: str
    limit: Limit = "none"
    against: str = BASE
    varied: str = ""


STEPS: dict[str, Step] = {
    "mkv": Step(part="container", label="mp4 re-muxed to mkv", limit="zero"),
    "mov": Step(part="container", label="mp4 re-muxed to mov", limit="zero"),
    "decoder": Step(part="decoder", label="decoder with four threads", limit="zero"),
    "held": Step(part="pixels", label="other conversion, chroma repeated"),
    "linear": Step(part="pixels", label="other conversion, chroma interpolated"),
    "crf12": Step(part="codec", label="x264 at crf 12", against=RAW, varied=BASE),
    "crf18": Step(part="codec", label="x264 at crf 18", against=RAW),
    "crf23": Step(part="codec", label="x264 at crf 23", against=RAW),
    "crf28": Step(part="codec", label="x264 at crf 28", against=RAW),
    "real23": Step(part="codec", label="a perfect output at crf 23 instead of 12", against=REAL_12),
    "pixel": Step(part="shift", label="output one pixel to the right"),
    "frame": Step(part="shift", label="output one frame (40 ms) late"),
    "threads": Step(part="numerics", label="networks on two threads", limit="tolerance"),
    "avx2": Step(part="numerics", label="processor without AVX-512", limit="tolerance"),
    "sse": Step(part="numerics", label="processor without any AVX", limit="tolerance"),
    "boxes": Step(part="boxes", label="reference boxes moved by one pixel"),
    "workers": Step(part="order", label="two workers, items in reverse order", limit="zero"),
    "cache": Step(part="order", label="with the judges' cache", limit="zero"),
    "sample": Step(part="sample", label="other items: half of the 95 % interval"),
}
"""From decoding to the mean."""


def judges(needs: str, control: str) -> bool:
    """Tell whether a metric with such needs is read on outputs of a control."""
    return needs != "scene" or control != FACELESS


def short(value: float) -> str:
    """Write a number with two digits, or as a whole one."""
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.2g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """What one step moved in one metric.

    Attributes:
        step: Key of `STEPS`.
        metric: Metric id.
        change: Largest absolute change of a measurement (of an item or a person of it), of their mean, or of the
            distance between the sets; for "sample" half of the mean's interval.
        share: The same over |real - floor| of the release's anchors; None without them.
        values: Measurements that were compared.
        lost: Measurements that are there on one side only: a face is found, or not.
        limit: What `change` may be at most; None for anything.
        items: Items it was measured on.
    """

    step: str
    metric: str
    change: float
    share: float | None
    values: int
    lost: int = 0
    limit: float | None = None
    items: int = 0

    @property
    def holds(self) -> bool:
        """False where more moved than may."""
        return self.limit is None or (self.change <= self.limit and not self.lost)

    @property
    def change_text(self) -> str:
        """`change` as text, with what was lost."""
        return short(self.change) + (f", {self.lost} lost" if self.lost else "")

    @property
    def share_text(self) -> str:
        """`share` in percent."""
        if not self.share:
            return "–" if self.share is None else "0"
        return f"{short(100 * self.share)} %"

    def words(self) -> dict[str, str]:
        """Return the row as texts."""
        return {
            "step": STEPS[self.step].label,
            "metric": self.metric,
            "change": self.change_text,
            "share": self.share_text,
            "limit": "–" if self.limit is None else short(self.limit),
            "holds": "yes" if self.holds else "NO",
        }
