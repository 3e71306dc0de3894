"""From noise to images."""

from pipeline import hookimpl


@hookimpl
def register_samplers() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "ddim": "pipeline_samplers.ddim:DDIM",
        "ddpm": "pipeline_samplers.ddpm:DDPM",
    }
