"""Self-attention: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.2."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend(qkv: Tensor, heads: int) -> Tensor:
    """Queries, keys and values of T tokens, (N, T, 3 width) in this order -> (N, T, width).

    Each head sees its own width / heads channels: softmax(q kᵀ / sqrt(width / heads)) v.
    """
    n, places, channels = qkv.shape
    apart = qkv.reshape(n, places, 3, heads, channels // (3 * heads))
    q, k, v = apart.permute(2, 0, 3, 1, 4)  # each (N, heads, T, width / heads)
    return scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
