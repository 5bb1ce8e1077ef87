"""Labels in other tools' formats, and clips in the layouts of other datasets.

Files: RTTM, AVA-ActiveSpeaker CSV, cut lists, COCO-WholeBody JSON. Folders: Croissant, the MIT repository's, Hugging
Face datasets.
"""

from mitds.pipeline.export.exporter import FOLDERS, FORMATS, TIMELINES, Exported, export

__all__ = ["FOLDERS", "FORMATS", "TIMELINES", "Exported", "export"]
