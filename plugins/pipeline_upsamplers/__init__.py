"""How a U-Net goes back up."""

from pipeline import hookimpl


@hookimpl
def register_upsamplers() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "bilinear": "pipeline_upsamplers.bilinear:Bilinear",
        "nearest": "pipeline_upsamplers.nearest:Nearest",
        "pixel_shuffle": "pipeline_upsamplers.pixel_shuffle:PixelShuffle",
        "transposed_conv": "pipeline_upsamplers.transposed_conv:TransposedConv",
    }
