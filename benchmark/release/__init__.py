"""Test releases: frozen item lists cut from annotated clips, split so that no person is in train and test."""

from mitds.benchmark.release.build import BuiltRelease, ReleaseConfig, build_release
from mitds.benchmark.release.read import OpenRelease, open_release

__all__ = ["BuiltRelease", "OpenRelease", "ReleaseConfig", "build_release", "open_release"]
