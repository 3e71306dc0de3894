"""How noise grows with t."""

from pipeline import hookimpl


@hookimpl
def register_schedules() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "cosine": "pipeline_schedules.cosine:Cosine",
    }
