"""Rectified flow's straight line: Liu et al. 2023, https://arxiv.org/abs/2209.03003, eq. 1.

Also the optimal-transport path of Lipman et al. 2023, https://arxiv.org/abs/2210.02747, eq. 20.
"""

from __future__ import annotations

from torch import Tensor

from pipeline import Rates, stage

from .ends import squeezed


@stage
class Flow:
    """signal = 1 - t, noise = t, each squeezed from [0, 1] by 4.6e-5 at either end.

    Still a straight line, signal + noise = 1, and |log_snr| < 19.98. No options.
    """

    def __call__(self, t: Tensor) -> Rates[Tensor]:
        """The rates at times ``t`` in [0, 1], any shape: of the same shape and dtype."""
        return Rates(squeezed(1 - t), squeezed(t))
