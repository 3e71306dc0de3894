"""Plugins of strangers: the example package, single files, broken packages, and what docs say."""

from __future__ import annotations

import re
from pathlib import Path

import diffusers
import pytest
import torch

from pipeline import CLEAN, InputError, Prediction, Rates
from pipeline.plugin.registry import KINDS, Registry
from pipeline.recipe.build import build_stage
from pipeline_schedules.cosine import Cosine
from tests.helpers.analytic import (
    GaussianData,
    NoDraws,
    exploding,
    flow,
    noisy_levels,
    order_of,
    variance_of,
)
from tests.helpers.paths import ROOT
from tests.helpers.strangers import BROKEN, DOCS, FILES, RECIPE, pipeline

EXAMPLE = ROOT / "examples/pipeline-lms"


def recipe(folder: Path, sampler: str) -> str:
    (folder / f"{sampler}.yaml").write_text(RECIPE.replace("SAMPLER", sampler))
    return f"{sampler}.yaml"


def row(table: str, name: str) -> list[list[str]]:
    """The words of a stage's rows in the table of plugins."""
    return [words for line in table.splitlines() if name in (words := line.split())[1:2]]


# The example: a linear multistep sampler


def test_the_example_is_listed(lms_site: Path, tmp_path: Path) -> None:
    table = pipeline(tmp_path, "plugins", site=lms_site).stdout
    words = ["sampler", "lms", "pipeline_lms", "pipeline-lms", "0.1.0"]
    assert row(table, "lms") == [words]
    assert not row(pipeline(tmp_path, "plugins").stdout, "lms")


def test_a_recipe_runs_with_the_example(lms_site: Path, tmp_path: Path) -> None:
    file = recipe(tmp_path, "lms")
    done = pipeline(tmp_path, "run", file, site=lms_site)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs/tiny/samples.png").is_file()
    missing = pipeline(tmp_path, "run", file)
    assert missing.returncode == 2
    assert f"{file}:10:19: sample.sampler: no sampler is called 'lms'" in missing.stderr
    assert "Traceback" not in missing.stderr


SCHEDULES = {"vp": Cosine(), "ve": exploding, "flow": flow}
EVERY_SCHEDULE = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


@EVERY_SCHEDULE
def test_lms_converges_to_the_exact_solution_with_order_2(lms, schedule) -> None:
    z = torch.linspace(-2, 2, 16, dtype=torch.float64).reshape(2, 2, 2, 2)
    steps, errors = [256, 512, 1024], []
    for num_steps in steps:
        data = GaussianData([0.7, -0.4], [[0.5, 0.3], [0.3, 0.9]])
        levels = noisy_levels(schedule, num_steps)
        end = lms(data.denoise, data.draw(z, levels[0]), levels, NoDraws())
        assert data.calls == num_steps
        errors.append(float((end - data.draw(z, levels[-1])).abs().max()))
    assert lms.order == 2
    assert order_of(errors, steps) == pytest.approx(2, abs=0.1)
    assert errors[-1] < 1e-3


@pytest.mark.parametrize("num_steps", [1, 2, 7])
def test_lms_ends_in_the_last_x0_at_the_declared_cost(lms, num_steps: int) -> None:
    seen = []

    def denoise(x: torch.Tensor, rates: Rates[float]) -> Prediction:
        seen.append(Prediction(x.tanh(), (x - rates.signal * x.tanh()) / rates.noise))
        return seen[-1]

    levels = [*noisy_levels(Cosine(), num_steps)[:-1], CLEAN]
    x = lms(denoise, torch.randn(3, 3, 4, 4), levels, NoDraws())
    assert len(seen) == lms.nfe(num_steps) == num_steps
    assert x.dtype == torch.float32
    assert torch.equal(x, seen[-1].x0)


@pytest.mark.parametrize("count", [2, 5, 20])
def test_lms_is_diffusers_lms(lms, count: int) -> None:
    """Between noisy levels: to a clean one theirs extrapolates once more, ours ends in x0."""
    scheduler = diffusers.LMSDiscreteScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(count)
    scheduler.sigmas = scheduler.sigmas.double()
    scheduler.sigmas[-1] = 0.01
    levels = [Rates(1.0, sigma) for sigma in scheduler.sigmas.tolist()]
    data = GaussianData([0.7, -0.4], [[0.5, 0.3], [0.3, 0.9]])
    z = torch.linspace(-2, 2, 16, dtype=torch.float64).reshape(2, 2, 2, 2)
    x = start = data.draw(z, levels[0])
    for t, rates in zip(scheduler.timesteps, levels, strict=False):
        scheduler.scale_model_input(x, t)
        x = scheduler.step(data.denoise(x, rates).eps, t, x, order=2, return_dict=False)[0]
    torch.testing.assert_close(lms(data.denoise, start, levels, NoDraws()), x, rtol=0, atol=1e-9)


# Broken packages


def test_broken_and_ambiguous_packages_are_listed(broken_site: Path, tmp_path: Path) -> None:
    listed = pipeline(tmp_path, "plugins", site=broken_site)
    assert listed.returncode == 0
    lines = listed.stdout.splitlines()
    for package, (_, reason) in BROKEN.items():
        start = f"broken: {package} ({package}-dist 1.5): "
        assert any(line.startswith(start) and reason in line for line in lines), listed.stdout
    assert row(listed.stdout, "ddim") == [
        ["sampler", "ddim", "other_ddim", "other_ddim-dist", "1.5", "ambiguous"],
        ["sampler", "ddim", "pipeline_samplers", "diffusion-pipeline", "0.1.0", "ambiguous"],
    ]
    assert row(listed.stdout, "same")
    assert row(listed.stdout, "too")
    assert [words[0] for words in row(listed.stdout, "ddpm")] == ["schedule", "sampler"]


def test_only_recipes_that_need_them_fail(broken_site: Path, tmp_path: Path) -> None:
    unrelated = pipeline(tmp_path, "validate", recipe(tmp_path, "ddpm"), site=broken_site)
    assert unrelated.returncode == 0, unrelated.stderr
    ambiguous = pipeline(tmp_path, "run", recipe(tmp_path, "ddim"), site=broken_site)
    assert ambiguous.returncode == 2
    packages = "other_ddim (other_ddim-dist 1.5) and by pipeline_samplers (diffusion-pipeline 0.1.0"
    assert f"sampler 'ddim' is ambiguous: provided by {packages}" in ambiguous.stderr
    needed = pipeline(tmp_path, "run", recipe(tmp_path, "theirs"), site=broken_site)
    assert needed.returncode == 2
    for package, (_, reason) in BROKEN.items():
        assert f"{package} ({package}-dist 1.5) failed to load: " in needed.stderr
        assert reason in needed.stderr
    assert "Traceback" not in ambiguous.stderr + needed.stderr


# What docs/plugins.md says


def test_a_stage_is_described(said: dict[str, str]) -> None:
    text = said["pipeline plugins show sampler ddim"]
    assert text.startswith("sampler ddim, from pipeline_samplers (diffusion-pipeline 0.1.0)\n")
    for part in [
        "DDIM: Song et al. 2021, https://arxiv.org/abs/2010.02502.", "Eq. 12: predict x0 and eps",
        "  eta: float >= 0, <= 1, default 0.0\n      0 is DDIM, 1 the ancestral noise",
    ]:  # fmt: skip
        assert part in text


def test_a_plugin_file_is_described_run_and_sampled(said: dict[str, str]) -> None:
    shown, run, sampled, checked = (text for line, text in said.items() if "--plugin" in line)
    assert shown.startswith("sampler churn, from my_sampler.py\n\nEuler's method with churn: Kar")
    assert "  churn: float >= 0, default 10.0\n      How much over all steps" in shown
    assert "mine: done" in run
    assert "samples-churn" in sampled
    assert re.search(r"^sampler churn: all \d+ checks passed$", checked, re.M)


def test_without_the_file_its_stages_are_unknown(tmp_path: Path) -> None:
    done = pipeline(tmp_path, "validate", recipe(tmp_path, "churn"))
    assert done.returncode == 2
    assert "no sampler is called 'churn'" in done.stderr


@EVERY_SCHEDULE
def test_the_documented_sampler_draws_from_the_data(tmp_path: Path, schedule) -> None:
    file = tmp_path / "my_sampler.py"
    file.write_text(FILES[0])
    sampler = build_stage(Registry.load([file]), "sampler", "churn")
    data, steps = GaussianData([0.7], [[0.25]]), [200, 400]
    exact = data.at(noisy_levels(schedule, 1)[-1])[1].item()
    found = [variance_of(sampler, data, noisy_levels(schedule, n)) for n in steps]
    errors = [abs(variance - exact) for variance in found]
    assert errors[-1] < 0.05 * exact
    assert order_of(errors, steps) == pytest.approx(1, abs=0.1)


def test_the_documented_backbone_holds_an_upsampler(tmp_path: Path) -> None:
    file = tmp_path / "my_backbone.py"
    file.write_text(FILES[1])
    registry = Registry.load([file])
    rates = Rates(torch.full((2,), 0.6), torch.full((2,), 0.8))
    for spec in ["one_level", {"name": "one_level", "width": 4, "upsampler": "transposed_conv"}]:
        backbone = build_stage(registry, "backbone", spec)
        network = backbone((3, 6, 10), None)
        assert network(torch.zeros(2, 3, 6, 10), rates).shape == (2, 3, 6, 10)
    assert registry.name_of(backbone.upsampler) == "transposed_conv"
    with pytest.raises(InputError, match="7x8 should be even"):
        backbone((3, 7, 8), None)


def test_the_page_names_every_hook_and_the_example() -> None:
    assert len(FILES) == 2
    for kind, name in KINDS.items():
        assert f"| {kind} | `{name}` |" in DOCS
    [toml] = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    assert toml in (EXAMPLE / "pyproject.toml").read_text()
