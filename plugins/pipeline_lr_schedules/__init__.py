"""How the learning rate changes with the step."""

from pipeline import hookimpl


@hookimpl
def register_lr_schedules() -> dict[str, str]:
    """Names and where their classes are."""
    return {
        "constant": "pipeline_lr_schedules.constant:Constant",
        "cosine": "pipeline_lr_schedules.cosine:Cosine",
        "warmup_stable_decay": "pipeline_lr_schedules.warmup_stable_decay:WarmupStableDecay",
    }
