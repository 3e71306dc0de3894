"""What the shell completes beside names of commands and options, and how it is switched on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

VARIABLE = "_PIPELINE_COMPLETE"
"""The environment variable by which the shell asks for completions."""


Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _from(names: Callable[[click.Context], Iterable[str]], files: str = "") -> Complete:
    """Completes the names, and ``file`` or ``dir`` where a path may be given too."""

    def complete(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in names(ctx) if name.startswith(typed)]
        return [*found, CompletionItem(typed, type=files)] if files else found

    return complete


def _packaged(_: click.Context) -> Iterable[str]:
    from ..recipe.merge import packaged

    return packaged()


def _finished(_: click.Context) -> Iterable[str]:
    return sorted(path.parent.name for path in Path("runs").glob("*/run.json"))


def _kinds(_: click.Context) -> Iterable[str]:
    from ..plugin.registry import KINDS

    return KINDS


def _stages(ctx: click.Context) -> Iterable[str]:
    from ..plugin.registry import Registry

    return [entry.name for entry in Registry.load().entries(ctx.params.get("kind"))]


recipes, runs = _from(_packaged, "file"), _from(_finished, "dir")
kinds, stages = _from(_kinds), _from(_stages)


@click.command(
    "completion",
    epilog="""\b
    Examples:
      eval "$(pipeline completion bash)"              in ~/.bashrc
      eval "$(pipeline completion zsh)"               in ~/.zshrc
      pipeline completion fish                        (a file for ~/.config/fish/completions)""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print what makes SHELL complete commands, options, recipes, runs and stages."""
    cls = get_completion_class(shell)
    assert cls
    source = cls(click.Group(), {}, "pipeline", VARIABLE)
    click.echo(source.source_template % source.source_vars())
