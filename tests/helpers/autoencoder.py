"""A tiny autoencoder of diffusers, in a folder as ``save_pretrained`` leaves it."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL

TINY = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "mid_block_add_attention": False,
}
"""Halves the sides."""


def save(folder: Path, seed: int = 0, **config: object) -> AutoencoderKL:
    """One with random weights."""
    torch.manual_seed(seed)
    vae = AutoencoderKL(**{**TINY, **config}).eval()
    vae.save_pretrained(folder)
    return vae


def learn(vae: AutoencoderKL, images: torch.Tensor, steps: int) -> None:
    """Teach it to give back images, float (N, C, H, W) in [-1, 1]."""
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        latents = vae.encode(images).latent_dist.mean
        torch.nn.functional.mse_loss(vae.decode(latents).sample, images).backward()
        optimizer.step()
