"""diffusers' UNet2DModel: https://huggingface.co/docs/diffusers/api/models/unet2d."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline import InputError, OptionSets, Rates, Schedule, Stage, stage

from .conditioning import refuse_classes, timestep
from .sizes import check_halvings

Width = Annotated[int, Field(ge=8, multiple_of=8)]  # heads are 8 wide, norms have 4 groups


@stage
class UNet2D:
    """Noise level and class are added in each residual block; self-attention in the middle.

    Needs the package diffusers, for which ``pipeline export --to diffusers`` writes such a network.
    """

    widths: Annotated[tuple[Width, ...], Field(min_length=1)] = (32, 64, 96, 128)
    """Channels of each level; each but the last is followed by a halving of the image."""

    examples: ClassVar[OptionSets] = ({"widths": [8, 16]},)

    def __call__(self, shape: tuple[int, int, int], num_classes: int | None) -> nn.Module:
        """The network for images of ``shape`` (C, H, W), with fresh weights."""
        (channels, *size), levels = shape, len(self.widths)
        check_halvings("unet2d", levels, *size)
        unet = _model("unet2d")(
            sample_size=size,
            in_channels=channels,
            out_channels=channels,
            down_block_types=["DownBlock2D"] * levels,
            up_block_types=["UpBlock2D"] * levels,
            block_out_channels=self.widths,
            norm_num_groups=4,
            num_class_embeds=(num_classes or 0) + 1,  # row 0 is "no class"
        )
        unet.mid_block.attentions[0].to_k.bias = None  # it cancels in the softmax
        return Wrapped(unet, timestep, num_classes is not None)


@stage
class DiffusersUNet2D:
    """A UNet2DModel as diffusers' own config.json describes it: what ``pipeline import`` makes.

    It knows no classes, and is told the noise level as the timestep it was trained with.
    """

    config: dict[str, Any] = Field(
        default_factory=lambda: {
            "block_out_channels": [32, 64],
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
            "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        }
    )
    """UNet2DModel's options; those of sizes and channels follow from the images."""
    schedule: Annotated[Schedule, Stage("schedule", "ddpm")]
    """The schedule whose time t is timestep 1000 t - 1, if the config has 1,000 of them."""
    timesteps: Annotated[int, Field(ge=2)] = 1000
    """How many timesteps t from 0 to 1 stands for."""

    examples: ClassVar[OptionSets] = (
        {
            "config": {
                "block_out_channels": [8, 16],
                "down_block_types": ["DownBlock2D", "DownBlock2D"],
                "up_block_types": ["UpBlock2D", "UpBlock2D"],
                "norm_num_groups": 4,
            },
            "schedule": {"name": "ddpm", "betas": "squaredcos_cap_v2", "used": 990},
            "timesteps": 990,
        },
    )

    def __call__(self, shape: tuple[int, int, int], num_classes: int | None) -> nn.Module:
        """The network for images of ``shape`` (C, H, W), with fresh weights."""
        if num_classes is not None:
            raise InputError("diffusers_unet2d: knows no classes; leave out train.condition")
        channels, *size = shape
        widths = self.config.get("block_out_channels", (224, 448, 672, 896))  # their default
        check_halvings("diffusers_unet2d", len(widths), *size)
        given = {"sample_size": size, "in_channels": channels, "out_channels": channels}
        model = _model("diffusers_unet2d")
        if unknown := set(self.config) - set(signature(model.__init__).parameters):
            # diffusers would leave them out without a word.
            raise InputError(f"diffusers_unet2d: config: UNet2DModel has no {', '.join(unknown)}")
        try:
            unet = model(**{**self.config, **given})
        except (TypeError, ValueError, KeyError, NotImplementedError) as error:
            raise InputError(f"diffusers_unet2d: config: {error}") from error
        return Wrapped(unet, Timesteps(self.schedule, self.timesteps), False)


class Timesteps(nn.Module):
    """forward(rates (N,)) -> (N,): timestep i at t = (i + 1) / count, and between by log-SNR."""

    def __init__(self, schedule: Schedule, count: int) -> None:
        super().__init__()
        t = torch.linspace(0, 1, count + 1, dtype=torch.float64)
        self.register_buffer("rising", -schedule(t).log_snr, persistent=False)
        self.rising: Tensor

    def forward(self, rates: Rates[Tensor]) -> Tensor:
        """From 0; what is cleaner than the first timestep is seen as that."""
        seen = -rates.log_snr.to(self.rising.dtype)
        above = torch.searchsorted(self.rising, seen).clamp(1, len(self.rising) - 1)
        low, high = self.rising[above - 1], self.rising[above]
        place = (above - 1) + (seen - low) / (high - low)
        return (place - 1).clamp(0, len(self.rising) - 2).to(rates.noise.dtype)


class Wrapped(nn.Module):
    """forward(x (N, C, H, W), rates (N,), label (N,) or None) -> (N, C, H, W)."""

    def __init__(
        self,
        unet: nn.Module,
        timesteps: Callable[[Rates[Tensor]], Tensor],
        knows_classes: bool,
    ) -> None:
        super().__init__()
        self.unet, self.timesteps, self.knows_classes = unet, timesteps, knows_classes
        self.rows = getattr(unet, "class_embedding", None) is not None

    def forward(self, x: Tensor, rates: Rates[Tensor], label: Tensor | None = None) -> Tensor:
        """Noise levels are seen as diffusers' timesteps, from 0 to 1000."""
        rows = None
        if self.rows:
            rows = x.new_zeros(len(x), dtype=torch.int64) if label is None else label + 1
        else:
            refuse_classes(label)
        return cast("Tensor", self.unet(x, self.timesteps(rates), rows).sample)

    def to_diffusers(self, rates: Rates[Tensor]) -> nn.Module:
        """A UNet2DModel that says at timestep i what this network says at the i-th rates (T,).

        Its timesteps have a learned embedding, whose rows are those of these rates; "no class"
        is a part of a bias. Raises InputError for a network with classes.
        """
        if self.knows_classes:
            raise InputError("diffusers' pipelines of UNet2DModel know no classes")
        mine = cast("Any", self.unet)
        state = {name: value.clone() for name, value in self.unet.state_dict().items()}
        steps = self.timesteps(Rates(*(rate.float() for rate in rates)))
        state["time_proj.weight"] = mine.time_proj(steps)
        if self.rows:
            state["time_embedding.linear_2.bias"] += state.pop("class_embedding.weight")[0]
        other = _model("unet2d")(
            **{
                **mine.config,
                "num_class_embeds": None,
                "time_embedding_type": "learned",
                "num_train_timesteps": len(steps),
            }
        )
        for name, value in other.state_dict().items():
            if name.endswith("to_k.bias"):
                state.setdefault(name, torch.zeros_like(value))
        other.load_state_dict(state)
        return cast("nn.Module", other.eval())


def _model(name: Literal["unet2d", "diffusers_unet2d"]) -> Any:
    try:
        from diffusers import UNet2DModel  # here: it takes seconds, and is an extra
    except ImportError as error:
        raise InputError(
            f"{name}: needs diffusers: pip install 'diffusion-pipeline[diffusers]'"
        ) from error
    return UNet2DModel
