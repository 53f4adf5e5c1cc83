"""Attention with one shared key-value head: sliding window, plus compressed entries in layers with a ratio."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compressor import Compressor, Indexer
from config import ModelConfig
from layers import Fp8Linear, Numerics, RMSNorm, mean_square, product, round_fp8
from rope import rope_tables, rotate


def window_bias(length: int, window: int) -> Tensor:
    """[chunks, window, 1, 2 * window], 0 or -inf: query i of a chunk sees the window - 1 tokens before it and itself.

    Keys of a chunk are the previous chunk followed by the chunk itself; the first chunk has no previous one.
    """
    query = torch.arange(window)[:, None] + window
    key = torch.arange(2 * window)[None, :]
    allowed = (key <= query) & (key > query - window)
    mask = allowed.repeat(length // window, 1, 1)
    mask[0, :, :window] = False
    return torch.zeros(mask.shape).masked_fill(~mask, -math.inf).unsqueeze(2)


def visible_entries(length: int, entries: int, ratio: int) -> Tensor:
    """[length, entries]: an entry exists for a token as soon as that token completes its group."""
    return (torch.arange(entries)[None, :] + 1) * ratio <= torch.arange(length)[:, None] + 1


class Attention(nn.Module):
    def __init__(self, config: ModelConfig, layer: int, numerics: Numerics, out_gain: float) -> None:
        super().__init__()
        self.config, self.numerics = config, numerics
        self.ratio = config.compress_ratios[layer]
        width = config.num_attention_heads * config.head_dim
        self.wq_a = Fp8Linear(config.hidden_size, config.q_lora_rank, numerics)
        self.q_norm = RMSNorm(config.q_lora_rank, config.rms_norm_eps, numerics)
        self.wq_b = Fp8Linear(config.q_lora_rank, width, numerics)
        self.wkv = Fp8Linear(config.hidden_size, config.head_dim, numerics)
        self.kv_norm = RMSNorm(config.head_dim, config.rms_norm_eps, numerics)
        self.wo_a = Fp8Linear(width // config.o_groups, config.o_groups * config.o_lora_rank, numerics)
        self.wo_b = Fp8Linear(config.o_groups * config.o_lora_rank, config.hidden_size, numerics, out_gain)
        self.attn_sink = nn.Parameter(torch.zeros(config.num_attention_heads))
        if self.ratio:
            self.compressor = Compressor(config, self.ratio, config.head_dim, numerics)
        if self.ratio == 4:
            self.indexer = Indexer(config, numerics)
        self._tables: tuple[Tensor, Tensor] | None = None
        self._bias: Tensor | None = None

    def tables(self, length: int) -> tuple[Tensor, Tensor]:
        if self._tables is None or len(self._tables[0]) < length:
            self._tables = rope_tables(self.config, self.ratio, length)
        return self._tables[0][:length], self._tables[1][:length]

    def bias(self, length: int) -> Tensor:
        if self._bias is None or len(self._bias) != length // self.config.sliding_window:
            self._bias = window_bias(length, self.config.sliding_window)
        return self._bias

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, D] float32 -> output [B, T, D] and the indexer's training loss (zero without an indexer)."""
        length, config = x.shape[1], self.config
        # Causal, so tokens added at the end change nothing before them.
        x = F.pad(x, (0, 0, 0, -length % config.sliding_window))
        cos, sin = self.tables(x.shape[1])
        q_a = self.q_norm(self.wq_a(x))
        q = self._queries(q_a, cos, sin)
        kv = rotate(self.kv_norm(self.wkv(x)), cos, sin, config.qk_rope_head_dim)
        kv = self._round_entries(kv)
        loss = x.new_zeros(())
        if self.ratio and length >= self.ratio:
            entries = self._round_entries(self.compressor(x[:, :length], cos, sin))
            scores = self._scores(q, entries)
            visible = visible_entries(x.shape[1], entries.shape[1], self.ratio)
            if self.ratio == 4:
                chosen, loss = self.indexer(x, q_a, cos, sin, scores, visible)
                visible = chosen.unsqueeze(2)
            else:
                visible = visible[None, :, None, :]
            o = self._attend(q, kv, entries, scores.masked_fill(~visible, -math.inf))
        else:
            o = self._attend(q, kv, None, None)
        o = rotate(o, cos[:, None], -sin[:, None], config.qk_rope_head_dim)
        return self._project(o)[:, :length], loss

    def _queries(self, q_a: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        config = self.config
        q = self.wq_b(q_a).unflatten(-1, (config.num_attention_heads, config.head_dim)).float()
        # The attention scale rides on the normalisation: everything after it is linear in q.
        q = q * (torch.rsqrt(mean_square(q) + config.rms_norm_eps) * config.head_dim**-0.5)
        return rotate(q, cos[:, None], sin[:, None], config.qk_rope_head_dim).to(self.numerics.compute_dtype)

    def _round_entries(self, kv: Tensor) -> Tensor:
        """FP8 on everything but the rotary part."""
        keep = kv.shape[-1] - self.config.qk_rope_head_dim
        rounded = torch.cat((round_fp8(kv[..., :keep], 64, self.numerics), kv[..., keep:]), dim=-1)
        return rounded.to(self.numerics.compute_dtype)

    def _scores(self, q: Tensor, entries: Tensor) -> Tensor:
        """[B, T, H, d] x [B, S, d] -> [B, T, H, S] float32; one product, since all heads share the keys."""
        flat = q.flatten(1, 2) @ entries.transpose(1, 2)
        return flat.unflatten(1, q.shape[1:3]).float()

    def _attend(self, q: Tensor, kv: Tensor, entries: Tensor | None, entry_scores: Tensor | None) -> Tensor:
        """One softmax over window keys, compressed entries and the sink (which adds no value)."""
        window, heads = self.config.sliding_window, self.config.num_attention_heads
        batch, length = kv.shape[:2]
        chunks = length // window
        own = kv.unflatten(1, (chunks, window))
        keys = torch.cat((F.pad(own, (0, 0, 0, 0, 1, 0))[:, :-1], own), dim=2).flatten(0, 1)
        scores = q.unflatten(1, (chunks, window)).flatten(2, 3).flatten(0, 1) @ keys.transpose(1, 2)
        scores = scores.unflatten(1, (window, heads)).unflatten(0, (batch, chunks))
        scores = (scores + self.bias(length)).flatten(1, 2)
        sink = self.attn_sink[:, None].expand(batch, length, heads, 1)
        parts = [scores, sink] if entry_scores is None else [scores, entry_scores, sink]
        weights = torch.cat(parts, dim=-1).softmax(-1).to(self.numerics.compute_dtype)
        near = weights[..., : 2 * window].unflatten(1, (chunks, window)).flatten(2, 3).flatten(0, 1)
        o = (near @ keys).unflatten(1, (window, heads)).unflatten(0, (batch, chunks)).flatten(1, 2).float()
        if entries is None:
            return o
        far = weights[..., 2 * window : -1].flatten(1, 2) @ entries
        return o + far.unflatten(1, (length, heads)).float()

    def _project(self, o: Tensor) -> Tensor:
        """Group g of the heads meets its own rows of wo_a, without rounding of its input."""
        config = self.config
        groups = o.flatten(2).chunk(config.o_groups, dim=-1)
        rows = self.wo_a.rounded_weight().chunk(config.o_groups)
        low = torch.cat([product(group, part, self.numerics) for group, part in zip(groups, rows)], dim=-1)
        return self.wo_b(low).float()
