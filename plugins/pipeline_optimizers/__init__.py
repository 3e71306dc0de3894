"""How gradients change the weights."""

from pipeline import hookimpl


@hookimpl
def register_optimizers() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "adam": "pipeline_optimizers.adam:Adam",
        "adamw": "pipeline_optimizers.adamw:AdamW",
        "muon": "pipeline_optimizers.muon:Muon",
    }
