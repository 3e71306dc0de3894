"""Tables and commands in the README and in docs/ are those of the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipeline import commands
from pipeline.cli.main import cli
from pipeline.plugin.registry import KINDS, Registry

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = {"README.md": README, **{p.name: p.read_text() for p in (ROOT / "docs").glob("*.md")}}


def leaves(
    group: click.Group, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, by the words that are typed."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, (*words, name))
        else:
            yield (*words, name), command


LEAVES = dict(leaves(cli))


def rows(text: str, heading: str) -> list[str]:
    """The rows of the first table below a heading."""
    lines = text.partition(f"\n{heading}\n")[2].splitlines()
    table = [line for line in lines if line.startswith("|")]
    end = next((i for i, line in enumerate(lines) if line.startswith("#")), len(lines))
    return [line for line in table if lines.index(line) < end][2:]


def options(command: click.Command) -> set[str]:
    return {opt for parameter in command.params for opt in parameter.opts if opt.startswith("--")}


def test_the_readme_has_a_row_for_every_command() -> None:
    named = set()
    for row in rows(README, "## Commands"):
        first = row.split(" | ")[0].replace("\\|", "|")
        for words in re.findall(r"`(?:pipeline )?([a-z][^`]*)`", first):
            head, *rest = words.split()
            group = cli.commands[head] if head in cli.commands else cli.commands["cache"]
            if not isinstance(group, click.Group):
                named.add((head,))
                continue
            inner = rest[0].strip("[").split("|") if rest else ["list"]
            parent = head if head in cli.commands else "cache"
            named |= {(parent, name) for name in (inner if head in cli.commands else [head])}
    assert named | {("plugins", "list")} == LEAVES.keys()


@pytest.mark.parametrize("page", PAGES)
def test_options_in_docs_are_options_of_the_command(page: str) -> None:
    """Wherever a command is written out in backticks or a code block."""
    text = PAGES[page].replace("\\|", "|")
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    lines = [line.strip().partition(" #")[0] for block in blocks for line in block.splitlines()]
    lines += re.findall(r"`(pipeline [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for line in (line for line in lines if line.startswith("pipeline ")):
        words = line.split()[1:]
        if not re.fullmatch(r"[a-z]+", words[0]):
            continue  # such as --help
        assert words[0] in cli.commands, line
        command = cli.commands[words[0]]
        known = options(command) | {"--help", "--version"}
        if isinstance(command, click.Group):
            known |= {
                opt for path, leaf in LEAVES.items() if path[0] == words[0] for opt in options(leaf)
            }
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", line)) <= known, line


def test_the_readme_names_every_recipe_and_no_other() -> None:
    recipes = {path.stem for path in ROOT.glob("recipes/*.yaml")}
    assert len(recipes) >= 5
    named = set(re.findall(r"recipes/(\w+)\.yaml", "\n".join(PAGES.values())))
    assert named <= recipes
    assert all(name in README for name in recipes)
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert all(f"`{name}`" in changelog for name in recipes)


def test_the_changelog_names_every_stage() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    missing = {e.name for e in Registry.load().entries() if f"`{e.name}" not in changelog}
    assert {name for name in missing if name not in changelog} == set()


def test_the_page_about_plugins_has_a_row_for_every_kind() -> None:
    found = {}
    for row in rows(PAGES["plugins.md"], "## Contracts"):
        kind, hook = (cell.strip().strip("`") for cell in row.split(" | ")[:2])
        found[kind.strip("| ")] = hook
    assert found == KINDS


def test_every_command_is_a_function_of_its_name() -> None:
    names = {"validate": "check_recipe", "check": "check"}
    for path in LEAVES:
        name = path[-1] if path == ("plugins", "check") else path[0]
        assert names.get(name, name) in commands.__all__, path
