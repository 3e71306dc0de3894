"""Pretrained networks whose features metrics compare."""

from pipeline import hookimpl


@hookimpl
def register_features() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "efficientnet_lite0": "pipeline_features.efficientnet_lite:EfficientNetLite0",
        "efficientnet_lite2": "pipeline_features.efficientnet_lite:EfficientNetLite2",
        "inception_fid": "pipeline_features.inception_fid:InceptionFID",
        "inception_v3": "pipeline_features.inception_v3:InceptionV3",
    }
