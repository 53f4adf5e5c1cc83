"""Hyper-connections: several residual streams, mixed per token by a doubly stochastic matrix (Sinkhorn)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from config import ModelConfig
from layers import mean_square, normal_parameter


def _mixes(streams: Tensor, fn: Tensor, eps: float) -> Tensor:
    """[N, C, D] -> [N, rows of fn]; the RMS runs over all streams of a token and is applied after the product."""
    flat = streams.flatten(-2)
    return (flat @ fn.T) * torch.rsqrt(mean_square(flat) + eps)


def sinkhorn(logits: Tensor, iterations: int, eps: float) -> Tensor:
    """[N, C, C]: softmax over the target stream (last index), then columns and rows are normalised in turn."""
    # Tokens last: sums over 4 neighbours are slow, sums over 4 long rows are not.
    comb = logits.permute(1, 2, 0).contiguous().softmax(1) + eps
    comb = comb / (comb.sum(0, keepdim=True) + eps)
    for _ in range(iterations - 1):
        comb = comb / (comb.sum(1, keepdim=True) + eps)
        comb = comb / (comb.sum(0, keepdim=True) + eps)
    return comb.permute(2, 0, 1)


def collapse(streams: Tensor, pre: Tensor) -> Tensor:
    """[N, C, D], [N, C] -> [N, D]."""
    return (pre.unsqueeze(1) @ streams).squeeze(1)


class HyperConnection(nn.Module):
    """Reads one input for a sub-layer from the streams and writes its output back.

    `depth` is the sub-layer's number. Every stream starts as the embedding, so the reading weights start uneven,
    another stream first at each depth: equal streams with equal weights would stay equal.
    """

    def __init__(self, config: ModelConfig, depth: int) -> None:
        super().__init__()
        copies, width = config.hc_mult, config.hc_mult * config.hidden_size
        self.copies, self.config = copies, config
        self.fn = normal_parameter(2 * copies + copies * copies, width, std=width**-0.5)
        self.scale = nn.Parameter(torch.full((3,), 0.1))
        base = torch.zeros(2 * copies + copies * copies)
        base[:copies] = -1.5
        base[depth % copies] = 1.5
        base[2 * copies :] = (torch.eye(copies) * 4.0).flatten()
        self.base = nn.Parameter(base)

    def read(self, streams: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, C, D] -> the sub-layer's input [N, D], write weights [N, C], mixing matrix [N, C, C]."""
        config, copies = self.config, self.copies
        mixes = _mixes(streams, self.fn, config.rms_norm_eps)
        pre, post, comb = mixes.split([copies, copies, copies * copies], dim=-1)
        base = self.base
        pre = torch.sigmoid(pre * self.scale[0] + base[:copies]) + config.hc_eps
        post = 2 * torch.sigmoid(post * self.scale[1] + base[copies : 2 * copies])
        logits = (comb * self.scale[2] + base[2 * copies :]).unflatten(-1, (copies, copies))
        return collapse(streams, pre), post, sinkhorn(logits, config.hc_sinkhorn_iters, config.hc_eps)

    @staticmethod
    def write(streams: Tensor, output: Tensor, post: Tensor, comb: Tensor) -> Tensor:
        """Target k gets post_k * output + sum_j comb[j, k] * stream_j."""
        return torch.baddbmm(post.unsqueeze(2) * output.unsqueeze(1), comb.transpose(1, 2), streams)


class HeadCollapse(nn.Module):
    """The last collapse of the streams, before the final norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.hc_mult * config.hidden_size
        self.config = config
        self.fn = normal_parameter(config.hc_mult, width, std=width**-0.5)
        self.scale = nn.Parameter(torch.full((1,), 0.1))
        self.base = nn.Parameter(torch.zeros(config.hc_mult))

    def forward(self, streams: Tensor) -> Tensor:
        mixes = _mixes(streams, self.fn, self.config.rms_norm_eps)
        return collapse(streams, torch.sigmoid(mixes * self.scale + self.base) + self.config.hc_eps)
