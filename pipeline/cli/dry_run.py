"""What ``pipeline run --dry-run`` says."""

from __future__ import annotations

from ..format import byte_size, duration, image_size, number
from ..runs.results import DryRunResult, EstimateRecord


def dry_run_summary(run: DryRunResult) -> str:
    """The sizes that the data has, and what the run will take."""
    probe = run["probe"]
    channels = probe["shape"][0]
    return (
        f"{run['name']}: nothing is wrong\n"
        f"  images      {probe['num_images']}, {probe['num_train']} of them for training, "
        f"{image_size(probe['shape'])} with {channels} channels\n"
        "              only the first that can be read was opened; the run opens all before it\n"
        "              trains, and names those that it cannot use\n"
        f"  network     {probe['num_parameters']:,} parameters\n"
        f"  training    {probe['steps']} steps, {probe['steps_per_epoch']} in an epoch\n"
        f"  time        {_time(run['estimate'], probe['steps'])}\n"
        f"  memory      {_memory(run['estimate'])}\n"
        f"              measured on {_where(run['estimate'])} with random weights"
    )


def _time(expected: EstimateRecord, steps: int) -> str:
    """In all, and what of it is how much."""
    training, evaluating = expected["training_seconds"], expected["evaluation_seconds"]
    compiling = expected.get("compile_seconds", 0.0)
    parts = [
        f"{steps:,} steps of {number(expected['seconds_a_step'])} s in {duration(training)}",
        *([f"compiling in {duration(compiling)}"] if compiling else []),
        f"validation and samples in {duration(evaluating)}",
    ]
    return (
        f"about {duration(training + compiling + evaluating)}: {', '.join(parts)};\n"
        "              preparing images, features and metrics come on top"
    )


def _memory(expected: EstimateRecord) -> str:
    beyond = ", beyond libraries and images" if expected["device"] == "cpu" else ""
    return f"{byte_size(expected['peak_memory'])} at most in a training step{beyond}"


def _where(expected: EstimateRecord) -> str:
    device, threads = expected["device"], expected["threads"]
    return device if device != "cpu" else f"cpu, {threads} thread{'s' * (threads > 1)},"
