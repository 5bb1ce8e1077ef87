"""Real runs that lose a worker, Ray's server, the disk, the driver, the power: the same command again ends them.

One of each is here; tests/long has fifty kills, and every single change of the file system while shards are published.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.reliability_tools import Whole, cut_everywhere, cut_power, strike


def test_a_run_that_meets_one_disaster_after_the_other_ends_as_an_unbroken_one(
    whole: Whole, tmp_path: Path
) -> None:
    broken, step = whole.again(tmp_path / "broken"), whole.changes // 8
    assert strike(broken, step, "all") == -9
    assert not (broken.folder / "clips").exists()
    full = whole.again(broken.folder, faults={"full_at": broken.count() + step})
    code, said = full.run()
    assert (code, said.startswith("error[storage]"), "the disk is full" in said) == (3, True, True), said
    assert strike(broken, broken.count() + 2 * step, "driver") == -9
    assert not list(broken.folder.glob("clips/*.tar")), "half a dataset is there for readers"
    until_published = {"die_on": "replace /clips/clips-000000.tar"}
    if strike(replace(broken, faults=until_published), broken.count() + step, "server") != -9:
        cut_power(broken, **until_published)
    cut_everywhere(whole, broken, tmp_path / "cut", range(1, 12, 5))
    broken.finish()
    whole.compare(broken, twice=8)
    before = broken.count()
    broken.finish()
    assert not [line for line in broken.changes()[before:] if ".tar" in line or ".done" in line]


def test_a_run_survives_the_loss_of_a_worker(whole: Whole, tmp_path: Path) -> None:
    hurt = whole.again(tmp_path / "hurt")
    assert strike(hurt, whole.changes // 3, "worker") == 0
    whole.compare(hurt, twice=2)
