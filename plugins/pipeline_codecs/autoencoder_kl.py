"""Latents of an autoencoder: Rombach et al. 2022, https://arxiv.org/abs/2112.10752, section 3.1."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.func import functional_call

from pipeline import InputError, IOOnly, OptionSets, stage

CONFIG, WEIGHTS = "config.json", "diffusion_pytorch_model.safetensors"
_ADDRESS = re.compile(r"hf:/{1,2}([\w.-]+/[\w.-]+)(?:/([\w./-]+))?")
"""A ``Path`` keeps one of the two slashes."""

State = Mapping[str, Tensor]
Shape = tuple[int, int, int]


@stage
class AutoencoderKL:
    """diffusers' AutoencoderKL, as it was trained: x0 is the mean that it gives of each image.

    The model's state holds its configuration and its weights, so that a run draws without the
    folder. Needs the package diffusers.
    """

    weights: Annotated[Path, IOOnly()]
    """A folder with config.json and diffusion_pytorch_model.safetensors, as ``save_pretrained``
    writes it, or hf://user/name, or hf://user/name/folder."""
    to: Literal["unit_variance", "config"] = "unit_variance"
    """unit_variance: x0 has zero mean and unit variance in each channel, by the statistics of
    training images, which schedules and objectives are made for. config: shifted and multiplied
    by the shift_factor and scaling_factor of config.json, as in diffusers' pipelines."""
    batch_size: Annotated[int, Field(ge=1), IOOnly()] = 8
    """Images that are encoded or decoded at once: more take more memory."""

    lossless: ClassVar[bool] = False
    examples: ClassVar[OptionSets] = ({"to": "config"},)

    def latent_shape(self, shape: Shape) -> Shape:
        """(C, H, W) of x0. Raises InputError for images that do not fit."""
        config, (channels, height, width) = self._config(), shape
        wanted = config.get("in_channels", 3)
        factor = 2 ** (len(config.get("block_out_channels", [64])) - 1)
        if channels != wanted:
            raise InputError(f"{self.weights}: takes images of {wanted} channels, not {channels}")
        if height % factor or width % factor:
            raise InputError(
                f"{self.weights}: takes images whose sides are multiples of {factor}, not "
                f"{width}×{height}: set preprocess.resize.size to one"
            )
        return config.get("latent_channels", 4), height // factor, width // factor

    def fingerprint(self, digest: Callable[[Path], str]) -> str:
        """The digests of both files."""
        folder = self._folder()
        return " ".join(digest(folder / name) for name in (CONFIG, WEIGHTS))

    def fit(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        """uint8 (N, C, H, W) batches -> ``config`` (JSON as uint8), ``mean``, ``std``, weights."""
        config, weights = self._config(), self._weights()
        text = json.dumps(config).encode()
        state = {"config": torch.tensor(list(text), dtype=torch.uint8), **weights}
        channels = config.get("latent_channels", 4)
        if self.to == "config":
            shift, scale = config.get("shift_factor") or 0.0, config.get("scaling_factor", 0.18215)
            mean, std = torch.full((channels,), shift), torch.full((channels,), 1 / scale)
        else:
            mean, std = _statistics(self._raw(images, state) for images in batches)
        return {**state, "mean": mean, "std": std}

    def encode(self, images: Tensor, state: State) -> Tensor:
        """uint8 (N, C, H, W) -> float32 x0 of ``latent_shape``."""
        return (self._raw(images, state) - _over(state["mean"])) / _over(state["std"])

    def decode(self, x0: Tensor, state: State) -> Tensor:
        """x0 -> uint8 (N, C, H, W); clips to [0, 1] and rounds once."""
        latents = x0 * _over(state["std"]) + _over(state["mean"])
        return self._each("decode", latents, state, _to_bytes)

    def _raw(self, images: Tensor, state: State) -> Tensor:
        """The autoencoder's own latents."""
        return self._each("encode", images, state, lambda latents: latents)

    @torch.no_grad()
    def _each(
        self,
        way: Literal["encode", "decode"],
        given: Tensor,
        state: State,
        finish: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """Go one way with a few images at a time."""
        module, own = _module(bytes(state["config"].tolist()).decode(), way), state.items()
        weights = {f"vae.{name[4:]}": value for name, value in own if name.startswith("vae.")}
        parts = torch.split(given, self.batch_size)
        return torch.cat([finish(functional_call(module, weights, (part,))) for part in parts])

    def _folder(self) -> Path:
        """Where both files are; those of the hub are in its own cache."""
        found = _ADDRESS.fullmatch(self.weights.as_posix())
        folder = _fetched(*found.groups()) if found else self.weights
        for name in (CONFIG, WEIGHTS):
            if not (folder / name).is_file():
                raise InputError(
                    f"{folder / name}: is not there: weights should be a folder that "
                    "AutoencoderKL.save_pretrained wrote, or hf://user/name"
                )
        return folder

    def _config(self) -> dict[str, Any]:
        """The content of config.json. InputError where it is none of an AutoencoderKL."""
        file = self._folder() / CONFIG
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{file}: is no JSON: {error}") from error
        if not isinstance(config, dict) or config.get("_class_name") != "AutoencoderKL":
            raise InputError(f"{file}: is not of an AutoencoderKL")
        return config

    def _weights(self) -> dict[str, Tensor]:
        """Each as ``vae.…``, float32. InputError where they are not those of the configuration."""
        from safetensors.torch import load_file

        file = self._folder() / WEIGHTS
        wanted = _module(json.dumps(self._config()), "encode").state_dict()
        try:
            found = {f"vae.{name}": value.float() for name, value in load_file(file).items()}
        except Exception as error:  # whatever the damage leads safetensors to
            raise InputError(f"{file}: cannot be read: {error}") from error
        for name in {**wanted, **found}:
            if name not in wanted or name not in found or wanted[name].shape != found[name].shape:
                told = name.removeprefix("vae.")
                raise InputError(f"{file}: {told} is not as its {CONFIG} says: take both from one")
        return found


class _Way(nn.Module):
    """One way through an autoencoder, as what ``functional_call`` can call."""

    def __init__(self, vae: nn.Module, way: Literal["encode", "decode"]) -> None:
        super().__init__()
        self.vae, self.way = vae, way

    def forward(self, given: Tensor) -> Tensor:
        """uint8 images to the mean of their latents, or latents to images in [-1, 1]."""
        vae: Any = self.vae
        if self.way == "encode":
            mean: Tensor = vae.encode(given.float() / 127.5 - 1).latent_dist.mean
            return mean
        images: Tensor = vae.decode(given).sample
        return images


@lru_cache(maxsize=4)
def _module(config: str, way: Literal["encode", "decode"]) -> nn.Module:
    """The autoencoder without weights of its own. InputError where it cannot be built."""
    try:
        from diffusers import AutoencoderKL as Theirs
    except ImportError as error:
        raise InputError(
            "codec autoencoder_kl needs the package diffusers: "
            "pip install 'diffusion-pipeline[diffusers]'"
        ) from error
    try:
        with torch.device("meta"):
            return _Way(Theirs.from_config(json.loads(config)), way).eval()
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{CONFIG}: diffusers cannot make its AutoencoderKL: {error}") from error


def _fetched(address: str, folder: str | None) -> Path:
    """The two files of a model on the hub. InputError where they cannot be had."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise InputError(
            "hf://: needs huggingface_hub: pip install 'diffusion-pipeline[hub]'"
        ) from error
    inside = f"{folder}/" if folder else ""
    try:
        found = snapshot_download(address, allow_patterns=[inside + CONFIG, inside + WEIGHTS])
    except Exception as error:  # what it raises changes with its version
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"hf://{address}: {said}") from error
    return Path(found) / (folder or "")


def _statistics(latents: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel, (C,)."""
    count, total, squares = 0, torch.zeros(()), torch.zeros(())
    for batch in latents:
        values = batch.transpose(0, 1).flatten(1).double()
        count += values.shape[1]
        total = total + values.sum(1)
        squares = squares + values.square().sum(1)
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=1e-8).sqrt()
    return mean.float(), std.float()


def _to_bytes(images: Tensor) -> Tensor:
    return ((images + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)


def _over(values: Tensor) -> Tensor:
    """One value a channel, (C,) -> (C, 1, 1), to broadcast over images."""
    return values[:, None, None]
