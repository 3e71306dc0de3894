"""``benchmarks/samplers.py`` on a tiny run: what it measures, prints, writes and reuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pipeline.plugin.registry import Registry
from pipeline.runs.evaluate import evaluate
from tests.helpers.paths import ROOT
from tests.helpers.tiny import STAGES

sys.path.insert(0, str(ROOT / "benchmarks"))
import samplers as benchmark


def measure(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    """What it prints, and what it says meanwhile."""
    benchmark.main(
        ["tiny", "--plugin", str(STAGES), "--num-images", "8", "--device", "cpu", *words]
    )
    said = capsys.readouterr()
    return said.out, said.err


def test_a_table_numbers_and_a_plot(after_first: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--sampler", "heun", "--sampler", "{name: ddim, eta: 1}", "--nfe", "4,1"]
    words += ["--spacing", "uniform,log_snr"]
    printed, said = measure(capsys, *words)
    data = json.loads(Path("docs/samplers.json").read_text())
    found = {(c["sampler"], c["spacing"], c["budget"]): c for c in data["cells"]}
    assert len(found) == len(data["cells"]) == 8
    assert "8 of 8: {name: ddim, eta: 1}, 4 steps, spacing log_snr" in said
    cell = found["heun", "log_snr", 4]
    assert (cell["num_steps"], cell["nfe"], cell["stochastic"]) == (2, 3, False)
    assert found["{name: ddim, eta: 1}", "uniform", 4]["stochastic"]
    kept = {"sampler": "heun", "num_steps": 2, "spacing": "log_snr", "num_images": 8}
    score = evaluate(Path("tiny"), **kept, plugins=[STAGES], device="cpu")["scores"]["kid"]
    assert cell["kid"] == score["value"]
    assert cell["standard_error"] == score["standard_error"]
    assert {**data["protocol"], **cell["protocol"]} == score["protocol"]
    head, _, *rows = printed.splitlines()
    assert head == "| sampler | spacing | NFE 1 | NFE 4 |"
    assert [row.split(" | ")[0] for row in rows] == ["| `heun`"] * 2 + [
        "| `{name: ddim, eta: 1}`"
    ] * 2
    assert f"{score['value']:.3f} ± {score['standard_error']:.3f}" in rows[1]
    assert rows[1].rstrip("| ").endswith("(3)")
    for budget, column in ((1, 2), (4, 3)):
        scores = [c["kid"] for c in data["cells"] if c["budget"] == budget]
        bold = ["**" in row.split(" | ")[column] for row in rows]
        assert bold == [score == min(scores) for score in scores]
    picture = Path("docs/images/samplers.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 300_000
    stored = sorted(Path(".pipeline").rglob("manifest.json"))
    assert measure(capsys, *words)[0] == printed
    assert stored
    assert sorted(Path(".pipeline").rglob("manifest.json")) == stored


def test_unless_told_it_takes_every_sampler_at_equal_cost() -> None:
    registry = Registry.load()
    made = benchmark.samplers(None, [])
    assert list(made) == sorted(e.name for e in registry.entries("sampler"))
    assert len(made) >= 7
    steps = {name: [benchmark.steps_for(s, n) for n in (5, 10, 20, 50)] for name, s in made.items()}
    assert steps.pop("heun") == [3, 5, 10, 25]
    assert all(found == [5, 10, 20, 50] for found in steps.values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--spacing", "linear"], "no spacing is called 'linear'"),
        (["--sampler", "heun2"], "no sampler is called 'heun2'"),
        (["--nfe", "5,x"], "invalid literal"),
        (["--nfe", "0"], "--nfe 0: no sampler does a step for so little"),
    ],
)
def test_mistakes_are_told_before_any_work(
    after_first: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as end:
        measure(capsys, *words)
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said
    assert " of " not in said.splitlines()[-1]
    assert not Path("docs").exists()
