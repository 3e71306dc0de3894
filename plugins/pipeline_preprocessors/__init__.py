"""Deterministic changes of an image, run once and cached."""

from collections.abc import Mapping

from pipeline import hookimpl


@hookimpl
def register_preprocessors() -> Mapping[str, str]:
    """Names and where their classes are."""
    return {
        "center_crop": "pipeline_preprocessors.center_crop:CenterCrop",
        "greyscale": "pipeline_preprocessors.greyscale:Greyscale",
        "resize": "pipeline_preprocessors.resize:Resize",
    }
