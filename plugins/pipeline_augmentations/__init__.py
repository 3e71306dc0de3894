"""Random changes of training images, run in every step."""

from collections.abc import Mapping

from pipeline import hookimpl


@hookimpl
def register_augmentations() -> Mapping[str, str]:
    """Names and where their classes are."""
    return {"horizontal_flip": "pipeline_augmentations.horizontal_flip:HorizontalFlip"}
