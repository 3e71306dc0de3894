"""Between uint8 images and the space the model works in."""

from pipeline import hookimpl


@hookimpl
def register_codecs() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "pixels": "pipeline_codecs.pixels:Pixels",
        "autoencoder_kl": "pipeline_codecs.autoencoder_kl:AutoencoderKL",
    }
