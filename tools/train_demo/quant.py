"""Number formats of the checkpoint: rounding to e4m3 and e2m1 with power-of-two scales, and straight-through training.

The arithmetic works on the bits of float32, so that eager and compiled code, training and export, give the same values.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

E4M3_MAX = 448.0
E2M1_MAX = 6.0
ACTIVATION_FLOOR = 1e-4
FP4_FLOOR = 6.0 * 2.0**-126


def scale_exponent(amax: Tensor, format_max: float, floor: float) -> Tensor:
    """e with 2^e = the smallest power of two that is at least max(amax, floor) * f32(1 / format_max); int32."""
    inverse = torch.tensor(1.0 / format_max, dtype=torch.float32, device=amax.device)
    bits = (amax.clamp_min(floor) * inverse).view(torch.int32)
    return (bits >> 23) - 127 + ((bits & 0x7FFFFF) != 0).to(torch.int32)


def power_of_two(exponent: Tensor) -> Tensor:
    """2^exponent as float32, for exponents of normal numbers."""
    return ((exponent + 127) << 23).view(torch.float32)


def _round_mantissa(x: Tensor, dropped_bits: int) -> Tensor:
    """Rounds to nearest even by dropping mantissa bits; works on the magnitude because the sign is the top bit."""
    bits = x.view(torch.int32)
    rounded = bits.bitwise_right_shift(dropped_bits).bitwise_and_(1)
    rounded.add_((1 << (dropped_bits - 1)) - 1).add_(bits).bitwise_and_(-(1 << dropped_bits))
    return rounded.view(torch.float32)


def round_e4m3(x: Tensor) -> Tensor:
    """Nearest e4m3 value, |x| <= 448. Below 2^-6 the grid is a fixed 2^-9."""
    subnormal = (x + 1.5 * 2.0**14).sub_(1.5 * 2.0**14)
    return torch.where(x.abs() < 2.0**-6, subnormal, _round_mantissa(x, 20))


def round_e2m1(x: Tensor) -> Tensor:
    """Nearest e2m1 value, |x| <= 6. Below 1 the grid is a fixed 0.5."""
    subnormal = (x + 1.5 * 2.0**22).sub_(1.5 * 2.0**22)
    return torch.where(x.abs() < 1.0, subnormal, _round_mantissa(x, 22))


def quantise_groups(x: Tensor, group: int, kind: str, floor: float) -> tuple[Tensor, Tensor]:
    """Splits the last dimension into groups that share a scale; returns (values / scale, exponent).

    The last group may be partial. Values come back as [..., groups, group], padded with zeros.
    """
    padding = -x.shape[-1] % group
    if padding:
        x = torch.nn.functional.pad(x, (0, padding))
    blocks = x.unflatten(-1, (-1, group))
    format_max, rounding = (E4M3_MAX, round_e4m3) if kind == "e4m3" else (E2M1_MAX, round_e2m1)
    exponent = scale_exponent(blocks.abs().amax(-1), format_max, floor)
    # No clamp: scaled values exceed the format's maximum by one rounding at most, and then round to it.
    return rounding(blocks * power_of_two(-exponent).unsqueeze(-1)), exponent


def _dequantise_groups(codes: Tensor, exponent: Tensor, width: int) -> Tensor:
    return (codes * power_of_two(exponent).unsqueeze(-1)).flatten(-2)[..., :width]


def fp8_activation(x: Tensor, group: int) -> Tensor:
    """The model's FP8 rounding of activations: one scale per `group` consecutive values."""
    codes, exponent = quantise_groups(x.float(), group, "e4m3", ACTIVATION_FLOOR)
    return _dequantise_groups(codes, exponent, x.shape[-1])


def fp4_activation(x: Tensor) -> Tensor:
    """The model's FP4 rounding of indexer queries and keys: one scale per 32 values."""
    codes, exponent = quantise_groups(x.float(), 32, "e2m1", FP4_FLOOR)
    return _dequantise_groups(codes, exponent, x.shape[-1])


def fp4_weight_parts(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Expert weights as (e2m1 values [..., out, in], exponents [..., out, in / 32])."""
    codes, exponent = quantise_groups(weight.float(), 32, "e2m1", FP4_FLOOR)
    return codes.flatten(-2), exponent


def fp4_weight(weight: Tensor) -> Tensor:
    codes, exponent = fp4_weight_parts(weight)
    return codes * power_of_two(exponent).repeat_interleave(32, dim=-1)


def fp8_weight_parts(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Projection weights as (e4m3 values [out, in], exponents [ceil(out / 128), ceil(in / 128)])."""
    rows, cols = weight.shape
    padded = torch.nn.functional.pad(weight.float(), (0, -cols % 128, 0, -rows % 128))
    tiles = padded.unflatten(0, (-1, 128)).unflatten(2, (-1, 128))
    exponent = scale_exponent(tiles.abs().amax((1, 3)), E4M3_MAX, FP4_FLOOR)
    scaled = tiles * power_of_two(-exponent)[:, None, :, None]
    codes = round_e4m3(scaled.clamp(-E4M3_MAX, E4M3_MAX))
    return codes.flatten(2).flatten(0, 1)[:rows, :cols], exponent


def bf16_weight(weight: Tensor) -> Tensor:
    return weight.bfloat16().float()


def expand_tile_exponents(exponent: Tensor, rows: int, cols: int) -> Tensor:
    """One exponent per weight from one exponent per 128 x 128 tile."""
    return exponent.repeat_interleave(128, 0).repeat_interleave(128, 1)[:rows, :cols]


def fp8_weight(weight: Tensor) -> Tensor:
    codes, exponent = fp8_weight_parts(weight)
    return codes * power_of_two(expand_tile_exponents(exponent, *weight.shape))


class _StraightThrough(torch.autograd.Function):
    """Forward rounds, backward treats the rounding as the identity."""

    @staticmethod
    def forward(ctx, x: Tensor, rounding: Callable[[Tensor], Tensor]) -> Tensor:  # noqa: ANN001
        return rounding(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN001
        return gradient, None


def straight_through(x: Tensor, rounding: Callable[[Tensor], Tensor]) -> Tensor:
    """rounding(x), computed without a graph."""
    return _StraightThrough.apply(x, rounding)
