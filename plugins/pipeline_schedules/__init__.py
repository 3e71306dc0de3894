"""How noise grows with t."""

from pipeline import hookimpl


@hookimpl
def register_schedules() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "cosine": "pipeline_schedules.cosine:Cosine",
        "cosine_nichol": "pipeline_schedules.cosine_nichol:CosineNichol",
        "ddpm": "pipeline_schedules.ddpm:DDPM",
        "flow": "pipeline_schedules.flow:Flow",
        "karras": "pipeline_schedules.karras:Karras",
        "linear": "pipeline_schedules.linear:Linear",
        "sigmoid": "pipeline_schedules.sigmoid:Sigmoid",
    }
