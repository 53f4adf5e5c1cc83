"""Rotary tables: plain for window-only layers, YaRN for layers that compress."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from config import ModelConfig, RopeScaling


def _plain_frequencies(rope_dim: int, base: float) -> np.ndarray:
    exponents = np.arange(0, rope_dim, 2, dtype=np.float32) / np.float32(rope_dim)
    powers = np.power(np.float64(base), exponents.astype(np.float64)).astype(np.float32)
    return np.float32(1.0) / powers


def _yarn(frequencies: np.ndarray, rope_dim: int, base: float, scaling: RopeScaling) -> np.ndarray:
    def dimension_of(rotations: float) -> float:
        turns = scaling.original_max_position_embeddings / (rotations * 2 * math.pi)
        return rope_dim * math.log(turns) / (2 * math.log(base))

    low = max(math.floor(dimension_of(scaling.beta_fast)), 0)
    high = min(math.ceil(dimension_of(scaling.beta_slow)), rope_dim - 1)
    index = np.arange(rope_dim // 2, dtype=np.float32)
    ramp = np.clip((index - np.float32(low)) / np.float32(max(high - low, 0.001)), 0, 1).astype(np.float32)
    keep = np.float32(1.0) - ramp
    return (frequencies / np.float32(scaling.factor)) * ramp + frequencies * keep


def rope_tables(config: ModelConfig, ratio: int, positions: int) -> tuple[Tensor, Tensor]:
    """cos and sin, each [positions, rope_dim / 2] float32, for a layer with the given compression ratio."""
    base = config.compress_rope_theta if ratio else config.rope_theta
    frequencies = _plain_frequencies(config.qk_rope_head_dim, base)
    if ratio:
        frequencies = _yarn(frequencies, config.qk_rope_head_dim, base, config.rope_scaling)
    # The angle is a float32 product; sine and cosine of it are taken in double because angles grow to a million.
    angles = np.arange(positions, dtype=np.float32)[:, None] * frequencies[None, :].astype(np.float32)
    wide = angles.astype(np.float64)
    return torch.from_numpy(np.cos(wide).astype(np.float32)), torch.from_numpy(np.sin(wide).astype(np.float32))


def rotate(x: Tensor, cos: Tensor, sin: Tensor, rope_dim: int) -> Tensor:
    """Rotates interleaved pairs of the last `rope_dim` values; cos and sin broadcast over x[..., rope_dim / 2]."""
    turn = torch.view_as_complex(x[..., -rope_dim:].float().unflatten(-1, (-1, 2)).contiguous())
    turned = torch.view_as_real(turn * torch.complex(cos, sin)).flatten(-2)
    return torch.cat((x[..., :-rope_dim], turned.to(x.dtype)), dim=-1)
