"""In other precisions only the network computes: all that is kept stays float32."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline import Rates
from pipeline.diffusion import generate as generate_module, precision
from pipeline.diffusion.generate import generate
from pipeline.diffusion.precision import at_precision, computing
from pipeline.errors import Failed
from pipeline_backbones.adm_unet import ADMUNet
from pipeline_backbones.dit import DiT
from pipeline_backbones.residual_unet import ResidualUNet
from pipeline_objectives.denoising import Denoising
from tests.helpers.tiny import built, history, main, model, run, same, trained

FP16 = "train.precision=fp16"


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device has every precision: a CPU imitates fp16, which we refuse."""
    monkeypatch.setattr(precision, "check_precision", lambda *_: None)
    monkeypatch.setattr("pipeline.runs.precision.check_precision", lambda *_: None)


@pytest.fixture
def flags() -> Iterator[tuple[Any, Any]]:
    """CUDA's switches for TF32, as torch has them at first."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    matmul.allow_tf32, cudnn.allow_tf32 = False, True
    yield matmul, cudnn
    matmul.allow_tf32, cudnn.allow_tf32 = False, True


def test_only_the_network_computes_in_bf16(
    here: Path, first: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[torch.dtype]] = {"inside": set(), "losses": set()}
    loss = Denoising.loss

    def spied(self: Denoising, network: Any, *arguments: Any) -> dict[str, Tensor]:
        losses = loss(self, network, *arguments)
        seen["losses"] |= {value.dtype for value in losses.values()}
        return losses

    def look(module: nn.Module, given: Any, output: Any) -> None:
        if isinstance(module, nn.Conv2d) and output.device.type == "cpu":  # the probe's is meta
            seen["inside"].add(output.dtype)

    monkeypatch.setattr(Denoising, "loss", spied)
    hook = nn.modules.module.register_module_forward_hook(look)
    found = run("train.precision=bf16", "sample.precision=bf16", "evaluate.precision=bf16")
    hook.remove()
    assert seen == {"inside": {torch.bfloat16}, "losses": {torch.float32}}, "validation too"
    assert {t.dtype for t in trained(found).values()} <= {torch.float32, torch.int64}
    assert not same(trained(found), trained(first))
    for line, usual in zip(history(found), history(first), strict=True):
        assert line["validation_loss"] == pytest.approx(usual["validation_loss"], rel=0.02)
        assert line["protocol"]["kid"]["precision"] == "bf16"
    assert found["scores"]["kid"]["protocol"]["precision"] == "bf16"
    assert first["scores"]["kid"]["protocol"]["precision"] == "float32"


def test_each_precision_is_in_its_own_key(here: Path, first: dict[str, Any]) -> None:
    run(name="tiny")
    pictures = run("sample.precision=bf16", "evaluate.precision=float32")
    assert built(pictures).keys() == {"samples", "trace", "neighbours"}
    scored = built(run("evaluate.precision=bf16"))
    assert scored.keys() == {"scored samples", "features of scored samples", "kid"}
    assert scored["scored samples"] == "precision changed: float32 -> bf16"
    spelt = run("train.precision=float32", "train.accumulate=1", name="spelt")
    assert not built(spelt), "what is named is what goes without saying"
    assert "train.precision changed: float32 -> bf16" in built(run("train.precision=bf16"))["model"]


def test_a_stopped_training_in_bf16_comes_to_the_same_end(here: Path, capsys) -> None:
    straight = run("train.precision=bf16", store=here / "straight", name="straight")
    trip = ["--set", "augment.trip.step=4", "--set", "train.precision=bf16"]
    assert main("run", "tiny.yaml", "--device", "cpu", *trip) == 143
    found = run("train.precision=bf16")
    assert "training goes on from step 5" in capsys.readouterr().err
    assert same(trained(found), trained(straight))
    assert history(found) == history(straight)


def scaler(store: Path) -> dict[str, Any]:
    """The scaler's state in the newest checkpoint."""
    (folder,) = (store / "workspaces/training").iterdir()
    return json.loads(max(folder.rglob("step-*.json")).read_text())["scaler"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scaler that grows after every second step."""
    usual = torch.amp.GradScaler.__init__

    def start(self: Any, device: str, **options: Any) -> None:
        usual(self, device, init_scale=2.0**10, growth_interval=2, **options)

    monkeypatch.setattr(torch.amp.GradScaler, "__init__", start)


@pytest.mark.usefixtures("everywhere", "impatient")
def test_the_scale_of_fp16_goes_on_where_it_was(here: Path, capsys) -> None:
    straight = run(FP16, store=here / "straight", name="straight")
    trip = ["--set", "augment.trip.step=4", "--set", FP16]
    trip += ["--set", f"augment.trip.signal={int(signal.SIGTERM)}"]
    assert main("run", "tiny.yaml", "--device", "cpu", *trip) == 143
    assert scaler(here / ".pipeline")["scale"] == 2.0**12, "grown after steps 2 and 4"
    assert scaler(here / ".pipeline")["_growth_tracker"] == 1
    found = run(FP16)
    assert "training goes on from step 5" in capsys.readouterr().err
    assert scaler(here / ".pipeline") == scaler(here / "straight")
    assert same(trained(found), trained(straight))


@pytest.mark.usefixtures("everywhere")
def test_a_step_that_overflows_fp16_is_left_out(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = torch.amp.GradScaler.__init__

    def start(self: Any, device: str, **options: Any) -> None:
        usual(self, device, init_scale=2.0**120, **options)

    monkeypatch.setattr(torch.amp.GradScaler, "__init__", start)
    run(FP16, "train.clip_gradients=1.0")
    assert scaler(here / ".pipeline")["scale"] == 2.0**113, "halved in each of 7 steps"


class Echo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        return self.layer(x)


def test_a_network_in_float32_is_called_as_it_is() -> None:
    network = Echo()
    assert at_precision(network, "float32", "cpu") is network


@pytest.mark.parametrize(
    "backbone",
    [
        ResidualUNet(widths=(8, 8), block_depth=1),
        ResidualUNet(widths=(8, 8), block_depth=1, norm="group"),
        ADMUNet(widths=(16, 16), block_depth=1, attention=(8,), head_width=8),
        DiT(patch_size=4, width=32, depth=1, heads=2),
    ],
    ids=["residual_unet", "group norm", "adm_unet", "dit"],
)
def test_every_backbone_learns_in_bf16(backbone: Any) -> None:
    torch.manual_seed(0)
    network = backbone((3, 16, 16), 3)
    x, label = torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, -1])
    rates = Rates(torch.linspace(0.1, 0.9, 4), torch.linspace(0.9, 0.1, 4))
    output = at_precision(network, "bf16", "cpu")(x, rates, label)
    assert output.dtype == torch.float32
    assert output.shape == x.shape
    torch.testing.assert_close(output, network(x, rates, label), rtol=0.1, atol=0.1)
    (output - x).square().mean().backward()
    for parameter in network.parameters():
        assert parameter.grad is None or parameter.grad.dtype == torch.float32
        assert parameter.grad is None or parameter.grad.isfinite().all()


@pytest.mark.parametrize(("asked", "on"), [("float32", False), ("bf16", False), ("tf32", True)])
def test_tf32_is_on_for_matrices_and_convolutions_only_where_asked(
    flags: tuple[Any, Any], asked: str, on: bool
) -> None:
    seen = []

    @computing(asked)
    def fail() -> None:
        seen.extend(module.allow_tf32 for module in flags)
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert seen == [on, on]
    assert [module.allow_tf32 for module in flags] == [False, True], "as before"


@pytest.mark.usefixtures("everywhere")
def test_tf32_of_samples_does_not_reach_who_takes_them(
    here: Path, flags: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    during, between = [], []
    decode = generate_module.Model.decode

    def spied(self: Any, x0: Tensor) -> Tensor:
        during.append([module.allow_tf32 for module in flags])
        return decode(self, x0)

    def watched(*arguments: Any) -> Iterator[Tensor]:
        for batch in generate(*arguments):
            between.append([module.allow_tf32 for module in flags])
            yield batch

    monkeypatch.setattr(generate_module.Model, "decode", spied)
    monkeypatch.setattr("pipeline.artifacts.sample.generate", watched)
    run("sample.precision=tf32", "train.validate.metrics=[]", "evaluate=null")
    assert [True, True] in during
    assert between == [[False, True]]


def test_compiling_is_told_and_changes_no_key(
    here: Path, first: dict[str, Any], capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_ = nn.Module.compile
    calls: list[nn.Module] = []

    def traced(self: nn.Module) -> None:  # by dynamo alone: inductor takes half a minute
        calls.append(self)
        compile_(self, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", traced)
    found = run("train.compile=true", name="tiny")
    said = capsys.readouterr().err
    assert len(calls) == 1
    assert said.count("compiling the network: the first step may take a minute or more") == 1
    assert said.count("compiled: the first step took") == 1
    assert found["artifacts"]["model"]["key"] == first["artifacts"]["model"]["key"]
    assert trained(found).keys() == trained(first).keys(), "names in the state stay"
    weights, usual = model(found), model(first)
    assert all(torch.allclose(weights[name], usual[name], atol=1e-5) for name in usual)
    assert found["training"]["stretches"][0]["compiled"] is True
    assert "compiled" not in first["training"]["stretches"][0]


def test_a_network_that_cannot_be_compiled_is_told_with_the_key(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_ = nn.Module.compile

    def broken(*_: Any) -> None:
        raise RuntimeError("no compiler here")

    monkeypatch.setattr(nn.Module, "compile", lambda self: compile_(self, backend=broken))
    with pytest.raises(Failed, match=r"^train\.compile: .*no compiler here.*leave it out"):
        run("train.compile=true")
