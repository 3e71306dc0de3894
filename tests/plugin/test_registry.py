"""Plugins: found, described, and never able to break the command."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import hookimpl, stage
from pipeline.errors import InputError
from pipeline.plugin import hookspecs
from pipeline.plugin.registry import KINDS, Provider, Registry
from pipeline.recipe.build import build_stage
from pipeline.recipe.catalogue import describe_stage, plugins_table

KIND_NAMES = [
    "dataset", "preprocessor", "augmentation", "codec", "schedule", "spacing", "objective",
    "backbone", "upsampler", "optimizer", "lr_schedule", "sampler", "guidance",
    "features", "metric",
]  # fmt: skip

SAMPLER = '''
from pathlib import Path
from typing import Annotated
from pydantic import Field
from pipeline import IOOnly, Stage, hookimpl, stage

@stage
class Up:
    """Doubles."""

    def __call__(self, channels):
        raise NotImplementedError

@stage
class Mine:
    """A sampler of my own."""

    eta: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How random."""
    steps: int
    where: Annotated[Path | None, IOOnly()] = None
    ups: list[Annotated[object, Stage("upsampler")]] = Field(default_factory=list)
    up: Annotated[object, Stage("upsampler")] = Up()
    order = None

    def nfe(self, num_steps):
        return num_steps

    def __call__(self, denoise, x, levels, draws):
        return x

@hookimpl
def register_samplers():
    return {"mine": Mine}

@hookimpl
def register_upsamplers():
    return {"up": Up}
'''


def hooks(name: str, result: str) -> str:
    return f"from pipeline import hookimpl\n@hookimpl\ndef {name}():\n    return {result}\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_each_hook_is_a_kind() -> None:
    assert Registry().kinds() == KIND_NAMES
    assert set(KINDS.values()) == {h for h in vars(hookspecs) if h.startswith("register_")}


def test_a_package_is_found_and_named(site) -> None:
    site("pipeline-heun", "test_plugin_heun", SAMPLER)
    registry = Registry.load()
    entry = registry.find("sampler", "mine")
    assert str(entry.provider) == "test_plugin_heun (pipeline-heun 1.0)"
    assert entry.load().__name__ == "Mine"
    assert "ddim" in [e.name for e in registry.entries("sampler")]
    assert "sampler  " in plugins_table(registry)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def :", "SyntaxError"),
        (
            hooks("register_sampler", "{}"),
            "no hook register_sampler; did you mean register_samplers",
        ),
        (
            hooks("register_samplers", "['x']"),
            "register_samplers returned ['x'] instead of a mapping",
        ),
        (hooks("register_samplers", "{'x': 'a.b'}"), "'x' is 'a.b', not a class or 'module:Class'"),
        (hooks("register_samplers", "{'x': 1}"), "'x' is 1, not a class"),
        (hooks("register_samplers", "1 / 0"), "ZeroDivisionError"),
        (hooks("register_samplers", "{}").replace("()", "(x)"), "PluginValidationError"),
    ],
)
def test_a_broken_package_is_kept_with_its_reason(site, source: str, reason: str) -> None:
    site("broken-one", "test_plugin_broken", source)
    sys.modules.pop("test_plugin_broken", None)
    registry = Registry.load()
    assert [b.provider.package for b in registry.broken] == ["test_plugin_broken"]
    assert reason in registry.broken[0].reason
    assert "broken: test_plugin_broken (broken-one 1.0): " in plugins_table(registry)
    assert registry.find("sampler", "ddim")
    with pytest.raises(InputError, match=r"no sampler .*; test_plugin_broken .* failed to load: "):
        registry.find("sampler", "theirs")


def test_a_name_of_two_packages_is_refused_where_it_is_used(site) -> None:
    source = hooks("register_samplers", "{'twice': 'a:B'}")
    site("dist-one", "test_plugin_one", source, point="same")
    site("dist-two", "test_plugin_two", source, point="same")
    registry = Registry.load()
    assert plugins_table(registry).count("ambiguous") == 2
    with pytest.raises(InputError) as error:
        registry.find("sampler", "twice")
    assert "test_plugin_one (dist-one 1.0) and by test_plugin_two (dist-two 1.0)" in str(
        error.value
    )


def test_an_unknown_name_is_told_with_what_there_is() -> None:
    registry = Registry.load()
    with pytest.raises(
        InputError, match=r"no sampler is called 'ddimm'; did you mean 'ddim'[?] There"
    ):
        registry.find("sampler", "ddimm")
    with pytest.raises(InputError, match=r"no kind of stage 'samplr'; did you mean 'sampler'[?]"):
        registry.find("samplr", "ddim")


def test_what_is_no_stage_is_told_when_it_is_used(tmp_path: Path) -> None:
    registry = Registry()
    plugin = SimpleNamespace(register_samplers=hookimpl(lambda: {
        "plain": Path, "gone": "pathlib:Gone", "absent": "no_such_module:X"}))  # fmt: skip
    registry.add(plugin, Provider("bad", "bad-dist", "2"))  # type: ignore[arg-type]
    said = {"plain": "not a class made by @stage", "gone": "no attribute", "absent": "No module"}
    for name, reason in said.items():
        with pytest.raises(InputError, match=rf"sampler '{name}' of bad \(bad-dist 2\) .*{reason}"):
            registry.find("sampler", name).load()


def test_a_plugin_file(tmp_path: Path) -> None:
    file = write(tmp_path / "my sampler.py", SAMPLER)
    registry = Registry.load([file])
    made = build_stage(
        registry, "sampler", {"name": "mine", "steps": 2, "ups": ["up"], "where": "x"}
    )
    assert pickle.loads(pickle.dumps(made)) == made
    spec = {
        "name": "mine", "eta": 0.5, "steps": 2, "where": "x",
        "ups": [{"name": "up"}], "up": {"name": "up"},
    }  # fmt: skip
    assert registry.spec(made) == spec
    assert build_stage(registry, "sampler", spec) == made
    again = Registry.load([file])
    assert again.spec(made) == spec  # though its class was made anew
    described = registry.describe(made)
    assert "where" not in described
    assert set(described) == {"name", "eta", "steps", "ups", "up", "code"}
    assert set(described["up"]) == {"name", "code"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("gone.py", None, "no such file"),
        ("bad.py", "def :", "SyntaxError"),
        ("text.txt", "hello", "not a Python file"),
        ("empty.py", "x = 1", "registers nothing"),
        ("typo.py", hooks("register_sampler", "{}"), "did you mean register_samplers"),
    ],
)
def test_a_useless_plugin_file_is_an_error(
    tmp_path: Path, name: str, text: str | None, said
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError) as error:
        Registry.load([file])
    assert str(error.value).startswith(f"plugin {file}: ")
    assert said in str(error.value)


def test_build_tells_all_that_is_wrong(tmp_path: Path) -> None:
    registry = Registry.load([write(tmp_path / "s.py", SAMPLER)])
    with pytest.raises(InputError) as error:
        build_stage(registry, "sampler", {"name": "mine", "eta": 2, "stepz": 1, "up": "upp"})
    said = str(error.value).splitlines()
    assert sorted(line.split(": ")[1] for line in said) == [
        "sampler.eta", "sampler.steps", "sampler.stepz", "sampler.up"
    ]  # fmt: skip
    with pytest.raises(InputError, match="should be the name of a sampler"):
        build_stage(registry, "sampler", {"eta": 1})


@stage
class Loose:
    size: int = 1


def test_a_class_that_nobody_registered_is_named_by_its_place() -> None:
    spec = Registry().spec(Loose())
    assert spec == {"name": f"{__name__}:Loose", "size": 1}


def test_a_stage_is_described(tmp_path: Path) -> None:
    file = write(tmp_path / "s.py", SAMPLER)
    text = describe_stage(Registry.load([file]), "sampler", "mine")
    for part in [
        f"sampler mine, from {file}", "A sampler of my own.",
        "  eta: float >= 0, <= 1, default 0.5",
        "      How random.", "  steps: int, required", "  where: Path | null, default null",
        "  ups: list of upsampler stage, default []", "  up: upsampler stage, default up",
    ]:  # fmt: skip
        assert part in text.splitlines()


def test_looking_for_plugins_imports_no_torch() -> None:
    code = (
        "import sys; from pipeline.plugin.registry import Registry; r = Registry.load();"
        "assert not r.broken, r.broken; assert r.entries(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
