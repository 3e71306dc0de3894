"""What is done otherwise on other systems, as far as this one can tell."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline import system
from tests.helpers.paths import ROOT
from tests.helpers.tiny import STAGES, run

SOURCES = [*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("plugins/**/*.py")]
POSIX = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "syslog", "posix", "readline"}

ELSEWHERE = """
import sys
import click, h5py, numpy, psutil, PIL.Image, pydantic, rich.progress, safetensors, scipy.stats
import torch, torchvision.transforms.v2  # all of them know how to do without
for name in {missing}:
    sys.modules[name] = None  # to import it is an ImportError
import os, signal
for name in {unknown}:
    for place in (os, signal):
        if hasattr(place, name):
            delattr(place, name)
from pipeline.__main__ import main
for words in {commands}:
    sys.argv = ["pipeline", *words]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""
"""Commands one after another that find none of the modules and names that Windows lacks."""

UNKNOWN = ["SIGHUP", "SIGUSR2", "uname", "getuid", "geteuid", "sched_getaffinity", "killpg", "fork"]


def elsewhere(*commands: list[str]) -> str:
    code = ELSEWHERE.format(
        missing=sorted(POSIX - {"posix"}), unknown=UNKNOWN, commands=list(commands)
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=500, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_goes_its_way_without_the_modules_of_posix(here: Path) -> None:
    plugin = ["--plugin", str(STAGES), "--device", "cpu"]
    compared = ["--swap", "train.max_steps=2,3", "--seeds", "1", "--jobs", "2", "--metric", "kid"]
    said = elsewhere(
        ["run", "tiny.yaml", *plugin],
        ["run", "tiny.yaml", *plugin],
        ["sample", "tiny", "--num-images", "2", *plugin],
        ["compare", "tiny.yaml", *compared, *plugin],
        ["cache", "gc"],
        ["export", "tiny", "tiny.zip"],
    )
    assert said.count("reused") > 5
    assert Path("tiny.zip").is_file()


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).split(".")[0])
    return found


def test_only_one_module_imports_what_not_all_systems_have() -> None:
    assert len(SOURCES) > 200
    only_here = ROOT / "pipeline/system.py"
    assert {file: imports(file) & POSIX for file in SOURCES if imports(file) & POSIX} == {
        only_here: {"resource"}
    }


def texts(file: Path) -> list[str]:
    """Calls that read or write text in whatever encoding a system has."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        told = any(keyword.arg == "encoding" for keyword in node.keywords)
        most = {"read_text": 0, "write_text": 1}.get(name)
        if most is not None and not told and len(node.args) == most:
            found.append(f"{file.name}:{node.lineno}")
    return found


def test_all_text_is_utf_8() -> None:
    assert [line for file in SOURCES for line in texts(file)] == []


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "cp932"])
def test_any_console_can_show_what_is_told(encoding: str, here: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    words = [sys.executable, "-m", "pipeline", "run", "tiny.yaml", "--plugin", str(STAGES)]
    done = subprocess.run([*words, "--dry-run"], capture_output=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert b"16" in done.stdout
    done.stdout.decode(encoding)


def test_everything_that_is_written_has_a_name_for_every_system(here: Path) -> None:
    run("seed=3")
    run("sample.sampler={name: ddim, eta: 0.5}")
    paths = [path for place in (".pipeline", "runs") for path in Path(place).rglob("*")]
    assert len(paths) > 50
    assert {path.name: why for path in paths if (why := system.unfit(path.name))} == {}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("con", "device"), ("Nul.txt", "device"), ("LPT9", "device"), ("a ", "does not allow"),
        ("a.", "does not allow"), ("a?b", "does not allow"), ("a\x07", "does not allow"),
        ("x" * 121, "121 characters"),
    ],
)  # fmt: skip
def test_names_that_some_system_refuses(name: str, why: str) -> None:
    assert why in str(system.unfit(name))
    fitting = system.fit(name)
    assert system.unfit(fitting) is None or "device" in why


def test_long_names_stay_apart() -> None:
    first, second = (system.fit("x" * 200 + end) for end in "ab")
    assert first != second
    assert system.fit("flowers_ddim-2") == "flowers_ddim-2"


def test_a_process_is_known_by_its_begin() -> None:
    own = system.began(os.getpid())
    assert own == system.began(os.getpid()) != system.began(1)
    assert system.is_running(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert not system.is_running(child.pid)
    assert system.began(child.pid) == ""


def test_where_the_kernel_tells_nothing_psutil_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "Path", lambda _: Path("/nowhere"))
    assert float(system.began(os.getpid())) > 1e9
    monkeypatch.setattr(system, "STATUS", Path("/nowhere"))
    assert system.peak_of_this_process() > 10**7
    monkeypatch.setitem(sys.modules, "resource", None)
    assert system.peak_of_this_process() > 10**7


def test_windows_opens_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "WINDOWS", True)
    (tmp_path / "file").touch()
    opened, real = [], os.open

    def noting(path: Path, flags: int) -> int:
        opened.append((path, flags))
        return real(path, flags)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", noting)
        system.sync(tmp_path)
        system.sync(tmp_path / "file")
    assert opened == [(tmp_path / "file", os.O_RDWR)]
    assert system.c_library() is None


def test_the_oldest_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    floors = dict(line.split(">=") for line in project["dependencies"])
    lines = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    oldest = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert oldest.keys() == floors.keys()
    for name, version in oldest.items():
        assert (version + ".").startswith(floors[name] + "."), name
