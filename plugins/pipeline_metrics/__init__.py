"""How near two sets of images are, in the space of a pretrained network's features."""

from pipeline import hookimpl


@hookimpl
def register_metrics() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "fid": "pipeline_metrics.fid:FID",
        "inception_score": "pipeline_metrics.inception_score:InceptionScore",
        "kid": "pipeline_metrics.kid:KID",
        "precision_recall": "pipeline_metrics.precision_recall:PrecisionRecall",
    }
