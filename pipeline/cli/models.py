"""``pipeline models``: what can be drawn from at once."""

from __future__ import annotations

import click

from .output import as_json, output


@click.command("models", epilog="\b\nExamples:\n  pipeline models\n  pipeline sample flowers32")
@as_json
def models_command(as_json: bool) -> None:
    """List trained models that are installed: draw from them, or train on, by their names."""
    from ..format import byte_size, metric_name, number
    from ..runs.shipped import models

    with output(as_json) as give:
        found = models()
        lines = []
        for model in found:
            scores = model["scores"].items()
            told = ", ".join(f"{metric_name(n)} {number(s['value'])}" for n, s in scores)
            lines += [
                f"{model['name']}: {model['dataset']}, {model['parameters']:,} parameters, "
                f"{byte_size(model['size'])}" + (f"; {told}" if told else ""),
                f"  made by  {model['command']}",
                f"  card     {model['card']}",
            ]
        give(found, "\n".join(lines) or "none is installed")
