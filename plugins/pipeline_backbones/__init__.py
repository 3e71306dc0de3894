"""The denoising network."""

from pipeline import hookimpl


@hookimpl
def register_backbones() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "adm_unet": "pipeline_backbones.adm_unet:ADMUNet",
        "dit": "pipeline_backbones.dit:DiT",
        "residual_unet": "pipeline_backbones.residual_unet:ResidualUNet",
    }
