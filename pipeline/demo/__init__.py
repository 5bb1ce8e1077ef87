"""The demo: the main job on real talking video from the package index, with accuracy where the truth is known."""

from mitds.pipeline.demo.run import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
