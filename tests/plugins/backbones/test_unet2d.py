"""diffusers' UNet2DModel as a backbone."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from pipeline import NO_CLASS, InputError, Rates
from pipeline.plugin.registry import Registry
from pipeline.recipe.build import build_stage

REGISTRY = Registry.load([])


def build(num_classes: int | None = 5, shape=(3, 8, 12), **options) -> nn.Module:
    torch.manual_seed(0)
    spec = {"name": "unet2d", "widths": [8, 16], **options}
    network = build_stage(REGISTRY, "backbone", spec)(shape, num_classes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return network.eval()


def inputs(n: int = 4, dtype=torch.float32) -> tuple[Tensor, Rates[Tensor], Tensor]:
    noise = torch.linspace(0.1, 0.95, n, dtype=dtype)
    x = torch.randn(n, 3, 8, 12, generator=torch.Generator().manual_seed(2)).to(dtype)
    return x, Rates((1 - noise**2).sqrt(), noise), torch.arange(n) - 1


def test_it_is_the_model_at_timesteps_linear_in_log_snr() -> None:
    network = build()
    x, rates, label = inputs()
    other = UNet2DModel(**network.unet.config)
    other.load_state_dict(network.unet.state_dict(), strict=False)
    nn.init.zeros_(other.mid_block.attentions[0].to_k.bias)
    steps = 1000 * (20 - 2 * (rates.signal / rates.noise).log()) / 40
    expected = other(x, steps, label + 1).sample
    torch.testing.assert_close(network(x, rates, label), expected)


def test_every_parameter_learns() -> None:
    network, (x, rates, label) = build().train(), inputs()
    (network(x, rates, label) - x).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 1e-8, name


def test_an_image_does_not_depend_on_its_batch() -> None:
    network, (x, rates, label) = build(), inputs()
    together = network(x, rates, label)
    for i in range(4):
        one = slice(i, i + 1)
        alone = network(x[one], Rates(*(rate[one] for rate in rates)), label[one])
        torch.testing.assert_close(alone, together[one], rtol=1e-5, atol=1e-5)


def test_noise_level_and_class_matter_and_no_label_is_no_class() -> None:
    network, (x, rates, label) = build(), inputs()
    none = torch.full_like(label, NO_CLASS)
    assert torch.equal(network(x, rates), network(x, rates, none))
    assert (network(x, rates) - network(x, rates, none + 1)).abs().max() > 1e-4
    assert (network(x, rates) - network(x, Rates(*reversed(rates)))).abs().max() > 1e-4
    for wrong in (-2, 5):
        with pytest.raises(IndexError):
            network(x, rates, torch.full_like(label, wrong))


def test_without_classes_there_is_no_class() -> None:
    network, (x, rates, label) = build(None), inputs()
    assert torch.equal(network(x, rates), network(x, rates, torch.full_like(label, NO_CLASS)))
    with pytest.raises(IndexError):
        network(x, rates, label)


def test_in_float64_without_memory_copied_and_with_other_widths() -> None:
    network, given = build().double(), inputs(dtype=torch.float64)
    assert network(*given).dtype == torch.float64
    assert torch.equal(copy.deepcopy(network)(*given), network(*given))
    with torch.device("meta"):
        empty = build(None)
        out = empty(torch.empty(2, 3, 8, 12), Rates(torch.empty(2), torch.empty(2)))
    assert out.shape == (2, 3, 8, 12)
    one = build(widths=[8])
    assert sum(p.numel() for p in one.parameters()) < sum(p.numel() for p in network.parameters())


def test_sizes_it_cannot_take_are_refused() -> None:
    for shape in [(3, 7, 8), (3, 8, 9)]:
        with pytest.raises(
            InputError, match=f"{shape[1]}×{shape[2]} pixels cannot be divided by 2"
        ):
            build(shape=shape)
    for widths in ([], [12], [0]):
        with pytest.raises(InputError, match="widths"):
            build(widths=widths)


def test_it_is_found_without_diffusers_and_tells_what_to_install(monkeypatch) -> None:
    code = "import sys, pipeline_backbones.unet2d; print({'diffusers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(InputError, match=r"needs diffusers: pip install 'diffusion-pipeline\[diff"):
        build()


def test_the_other_one_sees_the_timesteps_of_its_schedule() -> None:
    schedule = {"name": "ddpm"}
    spec = {"name": "diffusers_unet2d", "schedule": schedule}
    network = build_stage(REGISTRY, "backbone", spec)((3, 8, 8), None)
    rates = build_stage(REGISTRY, "schedule", schedule)(
        torch.tensor([1, 1.5, 500, 1000], dtype=torch.float64) / 1000
    )
    assert network.timesteps(rates).tolist() == pytest.approx([0, 0.5, 499, 999], abs=1e-6)
    with pytest.raises(InputError, match="knows no classes"):
        build_stage(REGISTRY, "backbone", spec)((3, 8, 8), 2)
    wrong = ({"layers": 2}, "UNet2DModel has no layers"), ({"norm_num_groups": 5}, "config")
    for config, told in wrong:
        with pytest.raises(InputError, match=told):
            build_stage(REGISTRY, "backbone", {**spec, "config": config})((3, 8, 8), None)
