"""What the network regresses."""

from pipeline import hookimpl


@hookimpl
def register_objectives() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "denoising": "pipeline_objectives.denoising:Denoising",
        "flow_matching": "pipeline_objectives.flow_matching:FlowMatching",
    }
