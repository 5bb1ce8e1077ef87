"""Whole-body pose of given people: 133 COCO-WholeBody keypoints a person and frame."""
