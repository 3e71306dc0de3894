"""The denoising network."""

from pipeline import hookimpl


@hookimpl
def register_backbones() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "adm_unet": "pipeline_backbones.adm_unet:ADMUNet",
        "diffusers_unet2d": "pipeline_backbones.unet2d:DiffusersUNet2D",
        "dit": "pipeline_backbones.dit:DiT",
        "film_unet": "pipeline_backbones.film_unet:FiLMUNet",
        "residual_unet": "pipeline_backbones.residual_unet:ResidualUNet",
        "unet2d": "pipeline_backbones.unet2d:UNet2D",
    }
