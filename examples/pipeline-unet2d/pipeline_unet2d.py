"""diffusers' UNet2DModel: https://huggingface.co/docs/diffusers/api/models/unet2d."""

from typing import Annotated, ClassVar

from pydantic import Field

from pipeline import NO_CLASS, InputError, hookimpl, stage

Width = Annotated[int, Field(ge=8, multiple_of=8)]  # heads are 8 wide, norms have 4 groups


@stage
class UNet2D:
    """Noise level and class are added in each residual block; self-attention in the middle."""

    widths: Annotated[tuple[Width, ...], Field(min_length=1)] = (32, 64, 96, 128)
    """Channels of each level; each but the last is followed by a halving of the image."""
    examples: ClassVar = ({"widths": [8, 16]},)

    def __call__(self, shape, num_classes):
        from diffusers import UNet2DModel  # here: listing the plugins shall not wait for it

        class Network(UNet2DModel):
            def forward(self, x, rates, label=None):  # row 0 of the classes is "no class"
                rows = x.new_zeros(len(x), dtype=int) if label is None else label - NO_CLASS
                return super().forward(x, 500 - 25 * rates.log_snr, rows).sample  # 0 to 1000

        (channels, height, width), n = shape, len(self.widths)
        if height % (factor := 2 ** (n - 1)) or width % factor:
            raise InputError(f"unet2d: {height}×{width} pixels cannot be divided by {factor}")
        blocks = {"down_block_types": ["DownBlock2D"] * n, "up_block_types": ["UpBlock2D"] * n}
        more = {"norm_num_groups": 4, "num_class_embeds": (num_classes or 0) + 1, **blocks}
        network = Network(None, channels, channels, block_out_channels=self.widths, **more)
        network.mid_block.attentions[0].to_k.bias = None  # it cancels in the softmax
        return network


register_backbones = hookimpl(lambda: {"unet2d": UNet2D}, specname="register_backbones")
