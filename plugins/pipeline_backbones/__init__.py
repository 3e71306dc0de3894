"""The denoising network."""

from pipeline import hookimpl


@hookimpl
def register_backbones() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "residual_unet": "pipeline_backbones.residual_unet:ResidualUNet",
    }
