"""Compressed key-value entries, and the indexer that chooses among them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from config import ModelConfig
from layers import Bf16Linear, Fp8Linear, Numerics, RMSNorm, normal_parameter, round_fp4
from rope import rotate


class Compressor(nn.Module):
    """Pools each group of `ratio` tokens into one entry, with a softmax per column.

    Ratio 4 overlaps: an entry pools the first half of the columns over the previous group and the second half over
    its own group. Other ratios have neither overlap nor halves.
    """

    def __init__(self, config: ModelConfig, ratio: int, width: int, numerics: Numerics) -> None:
        super().__init__()
        self.ratio, self.width, self.rope_dim = ratio, width, config.qk_rope_head_dim
        self.overlap = ratio == 4
        columns = 2 * width if self.overlap else width
        self.wkv = Bf16Linear(config.hidden_size, columns, numerics)
        self.wgate = Bf16Linear(config.hidden_size, columns, numerics, gain=0.5)
        self.norm = RMSNorm(width, config.rms_norm_eps, numerics)
        self.ape = normal_parameter(ratio, columns, std=0.02)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """x [B, T, D] -> rotated entries [B, T // ratio, width] float32, not yet rounded."""
        groups = x.shape[1] // self.ratio
        x = x[:, : groups * self.ratio]
        values = self.wkv(x).float().unflatten(1, (groups, self.ratio))
        gates = self.wgate(x).float().unflatten(1, (groups, self.ratio)) + self.ape
        if self.overlap:
            values, gates = self._overlapped(values, 0.0), self._overlapped(gates, -math.inf)
        entries = self.norm((values * gates.softmax(2)).sum(2))
        stop = groups * self.ratio
        return rotate(entries, cos[: stop : self.ratio], sin[: stop : self.ratio], self.rope_dim)

    def _overlapped(self, columns: Tensor, absent: float) -> Tensor:
        """[B, G, R, 2w] -> [B, G, 2R, w]: the previous group's first half above the own group's second half."""
        earlier, own = columns.split(self.width, dim=-1)
        earlier = F.pad(earlier, (0, 0, 0, 0, 1, 0), value=absent)[:, :-1]
        return torch.cat((earlier, own), dim=2)


def hadamard(width: int) -> Tensor:
    """The natural-order Hadamard matrix, scaled to be orthonormal."""
    matrix = torch.ones(1, 1)
    while len(matrix) < width:
        matrix = torch.cat((torch.cat((matrix, matrix), 1), torch.cat((matrix, -matrix), 1)))
    return matrix * width**-0.5


class Indexer(nn.Module):
    """Scores compressed entries cheaply and keeps the best `index_topk`.

    The choice has no gradient. The scores are trained to predict where the attention itself would look: the loss is
    the cross entropy between the heads' mean attention over all visible entries and the softmax of the scores.
    """

    def __init__(self, config: ModelConfig, numerics: Numerics) -> None:
        super().__init__()
        self.config, self.numerics = config, numerics
        width = config.index_head_dim
        self.wq_b = Fp8Linear(config.q_lora_rank, config.index_n_heads * width, numerics)
        self.weights_proj = Bf16Linear(config.hidden_size, config.index_n_heads, numerics)
        self.compressor = Compressor(config, 4, width, numerics)
        self.register_buffer("rotation", hadamard(width), persistent=False)

    def forward(
        self, x: Tensor, q_a: Tensor, cos: Tensor, sin: Tensor, attention_scores: Tensor, visible: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns the chosen entries as a mask [B, T, S] and the training loss. The inputs get no gradient."""
        length = attention_scores.shape[-1] * 4
        scores = self.scores(x.detach(), q_a.detach(), cos, sin, length).masked_fill(~visible, -math.inf)
        chosen = visible.expand_as(scores)
        if scores.shape[-1] > self.config.index_topk:
            # A stable sort keeps the lower index where two entries tie.
            order = torch.sort(scores.detach(), dim=-1, descending=True, stable=True).indices
            best = torch.zeros_like(chosen).scatter_(2, order[..., : self.config.index_topk], True)
            chosen = best & visible
        return chosen, self._loss(scores, attention_scores.detach(), visible) if self.training else x.new_zeros(())

    def scores(self, x: Tensor, q_a: Tensor, cos: Tensor, sin: Tensor, length: int) -> Tensor:
        """[B, T, S] float32, before any masking; entries cover the first `length` tokens."""
        config = self.config
        rope_dim, dtype = config.qk_rope_head_dim, self.numerics.compute_dtype
        q = self.wq_b(q_a).unflatten(-1, (config.index_n_heads, config.index_head_dim)).float()
        q = round_fp4(rotate(q, cos[:, None], sin[:, None], rope_dim) @ self.rotation, self.numerics)
        keys = self.compressor(x[:, :length], cos, sin) @ self.rotation
        keys = round_fp4(keys, self.numerics)
        scale = (config.index_head_dim * config.index_n_heads) ** -0.5
        weights = self.weights_proj(x).float() * scale
        products = q.flatten(1, 2).to(dtype) @ keys.transpose(1, 2).to(dtype)
        heads = products.unflatten(1, q.shape[1:3]).float().relu()
        return (weights.unsqueeze(-1) * heads).sum(2)

    @staticmethod
    def _loss(scores: Tensor, attention_scores: Tensor, visible: Tensor) -> Tensor:
        rows = visible.any(-1)
        attention = attention_scores[:, rows].masked_fill(~visible[rows].unsqueeze(1), -math.inf)
        target = attention.softmax(-1).mean(2)
        predicted = scores[:, rows].log_softmax(-1).masked_fill(~visible[rows], 0.0)
        return -(target * predicted).sum(-1).mean()
