"""The model card of an exported run: Markdown with the head that model hubs read."""

from __future__ import annotations

from collections.abc import Sequence

from ..format import metric_name, number
from ..recipe.yaml12 import flow
from ..records import HistoryRecord, RunRecord

CARD = "README.md"


LICENCE = (
    "The licence of the data and of the model is for you to say: add `license: …` to the head of "
    "this file before you publish it."
)


def card(
    record: RunRecord,
    validations: Sequence[HistoryRecord],
    half: bool,
    about: str | None = None,
) -> str:
    """The card: what the model is, how it was made, how good it is, and how to draw from it.

    ``about`` is what its owner says of the data and the licence.
    """
    parts = [
        _head(record),
        f"# {record['name']}",
        "![Samples](samples.png)",
        _what(record, half),
        about or LICENCE,
        "## Draw from it",
        _use(record),
        "## How good it is",
        _scores(record),
        "## How it was made",
        _made(record, validations),
    ]
    return "\n\n".join(parts) + "\n"


def _head(record: RunRecord) -> str:
    task = "unconditional-image-generation"
    lines = ["library_name: diffusion-pipeline", f"pipeline_tag: {task}", "tags:", "- diffusion"]
    return "\n".join(["---", *lines, "---"])


def _what(record: RunRecord, half: bool) -> str:
    recipe = record["recipe"]
    classes = ", told the class of an image" if recipe["train"].get("condition") else ""
    kept = " Its weights are kept as float16." if half else ""
    return (
        f"A diffusion model of {record['parameters']:,} parameters{classes}, trained on the "
        f"dataset `{flow(recipe['dataset'])}`.{kept}"
    )


def _use(record: RunRecord) -> str:
    lines = [
        "```",
        "pip install diffusion-pipeline",
        "pipeline sample FOLDER --num-images 16",
        "```",
        "",
        "FOLDER is where this file is, or the zip of it. Scored, inverted, compared and trained on "
        "(`train.init: FOLDER`) it is in the same way.",
    ]
    if files := record.get("plugin_files"):
        names = ", ".join(f"`{name}`" for name in files)
        lines += [
            "",
            f"It was made with plugin files, {names}. They are code: read them, then give ",
        ]
        lines[-1] += "`--trust-plugins`."
    return "\n".join(lines)


def _scores(record: RunRecord) -> str:
    if not record["scores"]:
        return "It was not scored."
    lines = ["| metric | value | how it was measured |", "| --- | --- | --- |"]
    for name, score in record["scores"].items():
        value = number(score["value"])
        if error := score.get("standard_error"):
            value += f" ± {number(error)}"
        told = {k: v for k, v in score["protocol"].items() if v is not None}
        lines.append(f"| {metric_name(name)} | {value} | {flow(told)} |")
    found = [f"- {finding['what']}" for finding in record["diagnosis"]]
    return "\n".join([*lines, *(["", *found] if found else [])])


def _made(record: RunRecord, validations: Sequence[HistoryRecord]) -> str:
    steps = f"{validations[-1].step:,} steps. " if validations else ""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return (
        f"{steps}`{record['command']}`, {_trained(record)}finished {record['finished'][:10]} on "
        f"{record['machine']['device']} with {versions}. Every option is in "
        "[recipe.yaml](recipe.yaml): `pipeline run recipe.yaml` makes it again. The page with "
        "curves, samples and their nearest neighbours is [report.html](report.html)."
    )


def _trained(record: RunRecord) -> str:
    """Where its training took place, if all of it was on one kind of device."""
    stretches = record.get("training", {}).get("stretches", [])
    places = {f"{stretch['device']} with torch {stretch['torch']}" for stretch in stretches}
    return f"trained on {places.pop()}, " if len(places) == 1 else ""
