"""What the README, the changelog and the pages in docs/ name is what there is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from keyword import iskeyword

import click
import pytest

from pipeline import commands
from pipeline.cli.main import cli
from pipeline.plugin.kinds import CONTRACTS, members
from pipeline.plugin.registry import KINDS, Registry
from tests.helpers.paths import ROOT

README, CHANGELOG, CONTRIBUTING = (
    (ROOT / f"{name}.md").read_text() for name in ("README", "CHANGELOG", "CONTRIBUTING")
)
DOCS = {page.name: page.read_text() for page in ROOT.glob("docs/*.md")}
PAGES = {"README": README, "CHANGELOG": CHANGELOG, "CONTRIBUTING": CONTRIBUTING, **DOCS}

Words = tuple[str, ...]


def commands_of(group: click.Group, typed: Words = ()) -> Iterator[tuple[Words, click.Command]]:
    """Every command that does something, by the words that are typed for it."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands_of(command, (*typed, name))
        else:
            yield (*typed, name), command


COMMANDS = dict(commands_of(cli))


def parsed(line: str) -> tuple[Words, set[str], list[str]]:
    """The command that a line of the shell calls, the options it may have, and all other words."""
    group: click.Command = cli
    typed, known, words = Words(), {"--help", "--version"}, line.split()[1:]
    while isinstance(group, click.Group) and words and words[0] in group.commands:
        group = group.commands[words[0]]
        typed, known = (*typed, words.pop(0)), known | options(group)
    if isinstance(group, click.Group) and group.invoke_without_command:
        typed = (*typed, "list")
    return typed, known, words


def options(command: click.Command) -> set[str]:
    return {o for parameter in command.params for o in parameter.opts if o.startswith("--")}


def table(page: str, heading: str) -> list[str]:
    """The rows of the table in a section."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


def lines_of_shell(page: str) -> list[str]:
    """Every call of ``pipeline`` that a page shows, in a block or in backticks."""
    fence = re.compile(r"^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
    lines = [line.partition(" #")[0] for block in fence.findall(page) for line in block.split("\n")]
    words = [" ".join(text.split()) for text in re.findall(r"`([^`]+)`", fence.sub("", page))]
    calls = [call.strip() for line in [*lines, *words] for call in re.split(r" && | \| ", line)]
    return [call for call in calls if call.startswith("pipeline ")]


def test_the_readmes_table_has_a_row_for_every_command_with_its_arguments() -> None:
    rows = [re.fullmatch(r"\| `([^`]+)` \| .+ \|", row) for row in table(README, "Commands")]
    calls = [parsed(row[1]) for row in rows if row]
    assert len(calls) == len(rows)
    assert sorted(typed for typed, _, _ in calls) == sorted(COMMANDS)
    for typed, _, words in calls:
        needed = [p for p in COMMANDS[typed].params if isinstance(p, click.Argument)]
        named = [word for word in words if re.fullmatch(r"[A-Z_]+…?", word)]
        assert named == [p.metavar or str(p.name).upper() for p in needed], typed


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_a_page_shows_have_these_options(page: str) -> None:
    for line in lines_of_shell(PAGES[page]):
        typed, known, words = parsed(line)
        assert typed in COMMANDS or (words or ["--help"])[0].startswith("-"), line
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", " ".join(words))) <= known, line


def test_there_are_commands_to_look_at() -> None:
    assert sum(len(lines_of_shell(page)) for page in PAGES.values()) > 60


@pytest.mark.parametrize("page", PAGES)
def test_options_that_a_page_names_alone_are_those_of_a_command(page: str) -> None:
    named = set(re.findall(r"`(--[a-z][a-z-]*)", PAGES[page]))
    assert named <= {"--help"}.union(*map(options, COMMANDS.values()))


def test_the_readme_says_which_commands_have_json() -> None:
    [sentence] = re.findall(r"((?:`[\w ]+`(?:,| and)\s+)+`[\w ]+`)\s+take\s+`--json`", README)
    named = {tuple(text.split()) for text in re.findall(r"`([\w ]+)`", sentence)}
    having = {typed for typed, command in COMMANDS.items() if "--json" in options(command)}
    assert having == {typed for typed in COMMANDS if {typed, typed[:1]} & named}


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page: str) -> None:
    folder = ROOT / "docs" if page in DOCS else ROOT
    for link in re.findall(r"\]\(([^)#\s]+)", PAGES[page]):
        assert link.startswith("https://") or (folder / link).exists(), link
    for name in re.findall(r"`((?:[\w.-]+/)+\w+\.(?:py|md|yaml))`", PAGES[page]):
        assert any((ROOT / place / name).is_file() for place in ("", "pipeline")), name


def functions() -> Mapping[str, list[click.Command]]:
    """The commands that each function of ``pipeline.commands`` is for."""
    found: dict[str, list[click.Command]] = {}
    for typed, command in COMMANDS.items():
        if typed == ("completion",):  # of the shell alone
            continue
        own = {("validate",): "check_recipe"} | {("plugins", n): n for n in ("check", "new")}
        name = own.get(typed, typed[0])
        found.setdefault(name, []).append(command)
    return found


def test_every_command_is_a_function_with_the_same_options() -> None:
    for command_name, called in functions().items():
        name = f"{command_name}_" if iskeyword(command_name) else command_name
        assert name in commands.__all__
        given = {str(parameter.name) for command in called for parameter in command.params}
        takes = inspect.signature(getattr(commands, name)).parameters.keys()
        # Other processes start with the command line; a notebook has its own way to show.
        shell_alone = {"as_json", "processes", "quiet", "verbose"}
        assert given - shell_alone == takes - {"action", "live"}, name


def test_the_readme_names_every_recipe_and_no_page_any_other() -> None:
    recipes = {path.stem for path in ROOT.glob("recipes/*.yaml")}
    assert len(recipes) >= 5
    everywhere = "\n".join(PAGES.values())
    assert set(re.findall(r"\brecipes/(\w+)\.yaml", everywhere)) <= recipes
    assert {name for name in recipes if name not in README} == set()
    [told] = re.findall(r"^- Recipes (.*)\.$", CHANGELOG, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", told)) == recipes


def test_the_changelog_names_every_stage() -> None:
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", CHANGELOG))))
    assert {entry.name for entry in Registry.load().entries()} - words == set()


def test_the_page_for_authors_has_every_kind_with_its_hook_and_members() -> None:
    rows = [row.strip("| ").split(" | ", 2) for row in table(DOCS["plugins.md"], "Contracts")]
    assert {kind: hook.strip("`") for kind, hook, _ in rows} == KINDS
    assert [kind for kind, _, _ in rows] == list(KINDS)
    for kind, _, told in rows:
        for name in set(members(CONTRACTS[kind])) - {"__call__"}:
            assert re.search(rf"`{name}\b", told), f"{kind}: {name}"
