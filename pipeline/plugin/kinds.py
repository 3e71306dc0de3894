"""Every kind of stage with its contract, and what a stage lacks of it."""

from __future__ import annotations

from collections.abc import Mapping

from . import contracts, data

CONTRACTS: Mapping[str, type] = {
    "dataset": data.Dataset,
    "preprocessor": data.Preprocessor,
    "augmentation": data.Augmentation,
    "codec": data.Codec,
    "schedule": contracts.Schedule,
    "spacing": contracts.Spacing,
    "objective": contracts.Objective,
    "backbone": contracts.Backbone,
    "upsampler": contracts.Upsampler,
    "optimizer": contracts.Optimizer,
    "lr_schedule": contracts.LrSchedule,
    "sampler": contracts.Sampler,
    "guidance": contracts.Guidance,
    "features": contracts.Features,
    "metric": contracts.Metric,
}
"""Kind of stage -> the Protocol that a stage of this kind keeps."""


def missing(kind: str, stage: object) -> list[str]:
    """The members of the kind's contract that a built stage lacks, in the contract's order."""
    return [name for name in members(CONTRACTS[kind]) if not hasattr(stage, name)]


def members(contract: type) -> list[str]:
    """The methods and attributes that a contract names."""
    return [name for name in vars(contract) if name == "__call__" or not name.startswith("_")]
