"""The same inputs give the same bytes, wherever, whenever and in whatever order they are worked on, by one run."""

from __future__ import annotations

import re
from pathlib import Path

from tests.reliability_tools import Whole, until

ELSEWHERE = {
    "LC_ALL": "tr_TR.UTF-8",
    "LANG": "ar_EG",
    "TZ": "Pacific/Kiritimati",
    "PYTHONHASHSEED": "7",
}


def test_elsewhere_in_another_order_and_with_a_rival_the_same_bytes_come_out(
    whole: Whole, tmp_path: Path
) -> None:
    """Another locale, time zone, umask and number of workers, a clock that jumps, naps, and a second run meanwhile."""
    env = {**ELSEWHERE, "MITDS_TEST_NAPS": "3"}
    folder = tmp_path / "o'ut put ☃"
    command = whole.again(folder, workers=3, env=env, umask=0o077, faults={"clock_s": 40_000_000.5})
    first = command.start()
    assert until(lambda: command.count() > whole.changes // 4 or first.poll() is not None, 120)
    assert first.poll() is None, "it ended before a rival could come"
    code, said = whole.again(folder).run()
    assert code == 2, said
    assert re.search(
        f"another run writes to this output: mitds (ingest|annotate), process {first.pid} ", said
    ), said
    _, said = first.communicate(timeout=240)
    assert first.returncode == 0, said
    whole.compare(command)
