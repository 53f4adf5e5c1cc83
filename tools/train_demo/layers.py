"""Building blocks every part of the model uses: numerics switch, norms, quantised linears."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import quant


@dataclass
class Numerics:
    """How a forward pass rounds. One object is shared by all modules of a model.

    round_weights is on for trainable master weights and off for weights read from a checkpoint, which are already
    on their grid. round_activations selects `reference` (on) or `plain` (off).
    """

    round_weights: bool = True
    round_activations: bool = True
    compute_dtype: torch.dtype = torch.float32


def stored_bf16(weight: Tensor, numerics: Numerics) -> Tensor:
    """The value of a weight that the checkpoint keeps in bf16, as float32."""
    if not numerics.round_weights:
        return weight
    return quant.straight_through(weight, quant.bf16_weight)


def mean_square(x: Tensor) -> Tensor:
    """[..., n] -> [..., 1]; one pass over x, where squaring first would write a copy."""
    return torch.linalg.vecdot(x, x).unsqueeze(-1) / x.shape[-1]


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    wide = x.float()
    return wide * torch.rsqrt(mean_square(wide) + eps) * weight


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float, numerics: Numerics) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps, self.numerics = eps, numerics

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, stored_bf16(self.weight, self.numerics), self.eps)


def product(x: Tensor, weight: Tensor, numerics: Numerics) -> Tensor:
    """x @ weight^T in the compute type. FP8 and FP4 values are exact in bf16, only the sums are rounded."""
    return F.linear(x.to(numerics.compute_dtype), weight.to(numerics.compute_dtype))


def round_fp8(x: Tensor, group: int, numerics: Numerics) -> Tensor:
    if not numerics.round_activations:
        return x
    return quant.straight_through(x, lambda v: quant.fp8_activation(v, group).to(v.dtype))


def round_fp4(x: Tensor, numerics: Numerics) -> Tensor:
    if not numerics.round_activations:
        return x
    return quant.straight_through(x, quant.fp4_activation)


def normal_parameter(*shape: int, std: float) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape) * std)


class Fp8Linear(nn.Module):
    """A projection stored as FP8 with one scale per 128 x 128 tile; its input is rounded to FP8 unless told not to."""

    def __init__(self, inputs: int, outputs: int, numerics: Numerics, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = normal_parameter(outputs, inputs, std=gain * inputs**-0.5)
        self.numerics = numerics

    def rounded_weight(self) -> Tensor:
        if not self.numerics.round_weights:
            return self.weight
        return quant.straight_through(self.weight, quant.fp8_weight)

    def forward(self, x: Tensor) -> Tensor:
        return product(round_fp8(x, 128, self.numerics), self.rounded_weight(), self.numerics)


class Bf16Linear(nn.Module):
    """A matrix stored as bf16 whose input is never rounded (compressors, indexer weights, output head)."""

    def __init__(self, inputs: int, outputs: int, numerics: Numerics, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = normal_parameter(outputs, inputs, std=gain * inputs**-0.5)
        self.numerics = numerics

    def forward(self, x: Tensor) -> Tensor:
        return product(x, stored_bf16(self.weight, self.numerics), self.numerics)
