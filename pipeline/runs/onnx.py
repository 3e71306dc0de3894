"""``pipeline export --to onnx``: the network of a run, for programs that know no Python."""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..diffusion.model import Model
from ..errors import Failed, InputError
from ..plugin.values import Rates
from ..store.folders import replacing
from ..store.weights import read_state
from .finished import Run

SUFFIX = ".onnx"
NEAR = 1e-4
"""How far what ONNX's runtime computes may be from what torch does."""
BATCHES = (1, 3)
"""Numbers of images that are tried."""


class Exported(nn.Module):
    """The network with plain tensors: x (N, C, H, W), signal and noise (N,), perhaps label (N,)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, x: Tensor, signal: Tensor, noise: Tensor, label: Tensor | None = None
    ) -> Tensor:
        """What the network says."""
        output: Tensor = self.network(x, Rates(signal, noise), label)
        return output


def write_onnx(run: Run, out: Path) -> None:
    """Write the averaged network of the best checkpoint into a new file, and try it.

    Its inputs are those of ``Backbone`` in the contracts, rates as two; its metadata holds the
    stages, the codec's state and the class names. InputError without the packages, Failed for a
    network that cannot be exported or computes otherwise there.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"--to onnx: needs {error.name}: pip install 'diffusion-pipeline[onnx]'"
        ) from error
    model = run.model()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.onnx"
        _export(model, file, run.name)
        _compare(model, file)
        made = onnx.load(file)
        entry = made.metadata_props.add()
        entry.key, entry.value = "pipeline", json.dumps(_facts(run, model))
        with replacing(out) as partial:
            onnx.save(made, str(partial))


def _inputs(model: Model, count: int) -> dict[str, Tensor]:
    """Inputs such as the network is given."""
    draw = torch.Generator().manual_seed(0)
    noise = torch.linspace(0.1, 0.9, count)
    inputs = {
        "x": torch.randn(count, *model.shape, generator=draw),
        "signal": (1 - noise**2).sqrt(),
        "noise": noise,
    }
    if model.class_names is not None:
        inputs["label"] = torch.arange(count) % len(model.class_names)
    return inputs


def _export(model: Model, file: Path, name: str) -> None:
    inputs = _inputs(model, 2)
    batch = torch.export.Dim("batch", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                Exported(model.network.cpu().float()).eval(),
                tuple(inputs.values()),
                str(file),
                input_names=list(inputs),
                output_names=["output"],
                dynamic_shapes={key: {0: batch} for key in inputs},
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Failed(f"the network of {name} cannot be exported to ONNX: {said}") from error


def _compare(model: Model, file: Path) -> None:
    """Failed unless ONNX's runtime computes what torch does, for one image and for several."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for count in BATCHES:
        inputs = _inputs(model, count)
        try:
            [said] = session.run(None, {key: value.numpy() for key, value in inputs.items()})
        except Exception as error:
            raise Failed(f"the exported network takes no batch of {count}: {error}") from error
        with torch.no_grad():
            away = float((Exported(model.network)(**inputs) - torch.from_numpy(said)).abs().max())
        if not away <= NEAR:
            raise Failed(f"the exported network computes otherwise, by up to {away:.2g}")


def _facts(run: Run, model: Model) -> dict[str, Any]:
    facts = read_state(run.artifact("model").path / "best")
    state = {k: v.tolist() for k, v in model.codec_state.items() if v.numel() <= 64}
    told = {"run": run.name, "stages": facts["stages"], "class_names": facts["class_names"]}
    return {**told, "shape": list(model.shape), "codec_state": state}
