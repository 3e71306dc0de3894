"""Pretrained networks whose features metrics compare."""

from pipeline import hookimpl


@hookimpl
def register_features() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "efficientnet_lite0": "pipeline_features.efficientnet_lite0:EfficientNetLite0",
        "inception_fid": "pipeline_features.inception_fid:InceptionFID",
        "inception_v3": "pipeline_features.inception_v3:InceptionV3",
    }
