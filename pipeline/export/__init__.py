"""Labels in other tools' formats: RTTM, AVA-ActiveSpeaker CSV, cut lists, COCO-WholeBody JSON."""

from mitds.pipeline.export.exporter import FORMATS, TIMELINES, Exported, export

__all__ = ["FORMATS", "TIMELINES", "Exported", "export"]
