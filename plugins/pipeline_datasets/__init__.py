"""Where images come from."""

from collections.abc import Mapping

from pipeline import hookimpl


@hookimpl
def register_datasets() -> Mapping[str, str]:
    """Names and where their classes are."""
    return {
        "flowers102": "pipeline_datasets.flowers102:Flowers102",
        "hf": "pipeline_datasets.hf:HF",
        "image_folder": "pipeline_datasets.image_folder:ImageFolder",
        "procedural_flowers": "pipeline_datasets.procedural_flowers:ProceduralFlowers",
    }
