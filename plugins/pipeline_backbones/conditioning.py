"""Noise level and class as one vector, which blocks turn into scales and shifts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from pipeline import MAX_LOG_SNR, NO_CLASS, InputError, Rates


class Condition(nn.Module):
    """forward(rates (N,), label (N,) or None) -> (N, dims), ``dims`` even.

    Sines and cosines of the noise level through two linear layers, plus a learned vector of the
    class: Dhariwal & Nichol 2021, section 3.1; one more vector stands for "no class" (Ho &
    Salimans 2022, https://arxiv.org/abs/2207.12598, section 3.2).
    """

    def __init__(self, dims: int, num_classes: int | None) -> None:
        super().__init__()
        exponents = torch.arange(dims // 2, dtype=torch.float64) / (dims // 2)
        self.register_buffer("speeds", (10_000**-exponents).float(), persistent=False)
        self.speeds: Tensor
        self.enter = nn.Linear(dims, dims)
        self.leave = nn.Linear(dims, dims)
        self.classes = None if num_classes is None else nn.Embedding(num_classes + 1, dims)

    def forward(self, rates: Rates[Tensor], label: Tensor | None) -> Tensor:
        """The vectors. Raises IndexError for an unknown class, InputError where none are known."""
        angles = timestep(rates)[:, None] * self.speeds
        waves = torch.cat([angles.cos(), angles.sin()], dim=1)
        seen: Tensor = self.leave(silu(self.enter(waves)))
        if self.classes is None:
            refuse_classes(label)
            return seen
        if label is None:
            label = torch.full(rates.noise.shape, NO_CLASS, device=rates.noise.device)
        # "No class" is row 0, so that a label beyond the last class finds no row.
        return seen + self.classes(label - NO_CLASS)  # type: ignore[no-any-return]


def timestep(rates: Rates[Tensor]) -> Tensor:
    """The noise level between 0 (clean) and 1000, for which the embedding of section 3.5 of
    Vaswani et al. 2017 was made: linear in log_snr, which tells small noise rates apart.

    The rates are those of x / c. Levels beyond |log_snr| = 20, 0 noise too, are seen as the bound.
    """
    log_snr = rates.log_snr.clamp(-MAX_LOG_SNR, MAX_LOG_SNR)
    return (MAX_LOG_SNR - log_snr) * (1000 / (2 * MAX_LOG_SNR))


def refuse_classes(label: Tensor | None) -> None:
    """Raise InputError for any label but NO_CLASS: a network without classes would ignore it."""
    if label is not None and not label.is_meta and bool((label != NO_CLASS).any()):
        raise InputError("this network was made without classes: its labels can only be NO_CLASS")
