"""How predictions with a label, without it or of another network make one."""

from pipeline import hookimpl


@hookimpl
def register_guidances() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "autoguidance": "pipeline_guidances.autoguidance:Autoguidance",
        "classifier_free": "pipeline_guidances.classifier_free:ClassifierFree",
        "interval": "pipeline_guidances.interval:Interval",
    }
