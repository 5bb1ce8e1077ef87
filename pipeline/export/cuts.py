"""Cut lists: the frame index of each new shot's first frame, and its time in seconds."""

from __future__ import annotations

from collections.abc import Iterator

from mitds.manifests.source_labels import SourceLabels


def source_lines(name: str, labels: SourceLabels) -> Iterator[str]:
    """Yield a line for every shot that a cut opens: not the first, and no further piece of a long one."""
    for shot in labels.shots[1:]:
        if shot.continues:
            continue
        yield f"{shot.first_frame} {float(shot.start):.6f}\n"
