"""How near two sets of images are, in the space of a pretrained network's features."""

from pipeline import hookimpl


@hookimpl
def register_metrics() -> dict[str, str]:
    """Names and classes."""
    return {"kid": "pipeline_metrics.kid:KID"}
