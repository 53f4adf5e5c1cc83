"""Mixture of experts: hash or score routing, FP4 routed experts, one FP8 shared expert."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import quant
from config import ModelConfig
from layers import Fp8Linear, Numerics, normal_parameter, product, round_fp8, stored_bf16


def swiglu(gate: Tensor, up: Tensor, limit: float) -> Tensor:
    """The gate is clamped from above only, `up` on both sides."""
    return F.silu(gate.float().clamp(max=limit)) * up.float().clamp(-limit, limit)


class Gate(nn.Module):
    """Chooses experts. Hash layers take them from a table by token id; the weights always come from the scores."""

    def __init__(self, config: ModelConfig, hashed: bool, numerics: Numerics) -> None:
        super().__init__()
        self.config, self.numerics = config, numerics
        self.weight = normal_parameter(config.n_routed_experts, config.hidden_size, std=config.hidden_size**-0.5)
        if hashed:
            table = torch.zeros(config.vocab_size, config.num_experts_per_tok, dtype=torch.int64)
            self.register_buffer("tid2eid", table)
        else:
            # Moved by load, not by gradient: see Experts.balance.
            self.register_buffer("bias", torch.zeros(config.n_routed_experts))

    @property
    def hashed(self) -> bool:
        return hasattr(self, "tid2eid")

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """x [N, D], tokens [N] -> chosen experts [N, k] and their weights [N, k]."""
        scores = F.softplus(x.float() @ stored_bf16(self.weight, self.numerics).T).sqrt()
        if self.hashed:
            chosen = self.tid2eid[tokens]
        else:
            # A stable sort keeps the lower index where two experts tie.
            order = torch.sort(scores.detach() + self.bias, dim=-1, descending=True, stable=True).indices
            chosen = order[:, : self.config.num_experts_per_tok]
        weights = scores.gather(1, chosen)
        return chosen, weights / weights.sum(-1, keepdim=True) * self.config.routed_scaling_factor


class RoutedExperts(nn.Module):
    """All experts of a layer, stacked, stored as FP4 with one scale per 32 inputs."""

    def __init__(self, config: ModelConfig, numerics: Numerics, out_gain: float) -> None:
        super().__init__()
        count, hidden, inner = config.n_routed_experts, config.hidden_size, config.moe_intermediate_size
        self.numerics = numerics
        self.w1 = normal_parameter(count, inner, hidden, std=hidden**-0.5)
        self.w3 = normal_parameter(count, inner, hidden, std=hidden**-0.5)
        self.w2 = normal_parameter(count, hidden, inner, std=out_gain * inner**-0.5)

    def rounded(self, weight: Tensor) -> Tensor:
        if not self.numerics.round_weights:
            return weight
        return quant.straight_through(weight, quant.fp4_weight)


class SharedExpert(nn.Module):
    def __init__(self, config: ModelConfig, numerics: Numerics, out_gain: float) -> None:
        super().__init__()
        hidden, inner = config.hidden_size, config.moe_intermediate_size
        self.w1 = Fp8Linear(hidden, inner, numerics)
        self.w3 = Fp8Linear(hidden, inner, numerics)
        self.w2 = Fp8Linear(inner, hidden, numerics, out_gain)


class Experts(nn.Module):
    """The feed-forward sub-layer."""

    def __init__(self, config: ModelConfig, layer: int, numerics: Numerics, out_gain: float) -> None:
        super().__init__()
        self.config, self.numerics = config, numerics
        self.gate = Gate(config, layer < config.num_hash_layers, numerics)
        self.experts = RoutedExperts(config, numerics, out_gain)
        self.shared_experts = SharedExpert(config, numerics, out_gain)
        self.load = torch.zeros(config.n_routed_experts)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        """x [N, D] float32, tokens [N] -> [N, D]."""
        chosen, weights = self.gate(x, tokens)
        # Both expert kinds read the same rounded input.
        rounded = round_fp8(x, 128, self.numerics).to(self.numerics.compute_dtype)
        return self._shared(rounded) + self._routed(rounded, chosen, weights)

    def _shared(self, rounded: Tensor) -> Tensor:
        shared, numerics = self.shared_experts, self.numerics
        gate = product(rounded, shared.w1.rounded_weight(), numerics)
        up = product(rounded, shared.w3.rounded_weight(), numerics)
        return shared.w2(swiglu(gate, up, self.config.swiglu_limit))

    def _routed(self, rounded: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """Sorts (token, expert) pairs by expert, so that each expert is one matrix product over its tokens."""
        config, dtype = self.config, self.numerics.compute_dtype
        pairs = chosen.flatten()
        order = torch.argsort(pairs, stable=True)
        counts = torch.bincount(pairs, minlength=config.n_routed_experts)
        self.load = counts.float()
        sizes = counts.tolist()
        experts = self.experts
        gate_up = torch.cat((experts.rounded(experts.w1), experts.rounded(experts.w3)), dim=1).to(dtype)
        down = experts.rounded(experts.w2).to(dtype)
        rows = rounded[order // config.num_experts_per_tok].split(sizes)
        gate, up = torch.cat([F.linear(r, w) for r, w in zip(rows, gate_up)]).chunk(2, dim=-1)
        # The routing weight enters before the rounding in front of w2.
        inner = swiglu(gate, up, config.swiglu_limit) * weights.flatten()[order, None]
        inner = round_fp8(inner, 128, self.numerics).to(dtype)
        outputs = torch.cat([F.linear(r, w) for r, w in zip(inner.split(sizes), down)])
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        return outputs[back].float().unflatten(0, (-1, config.num_experts_per_tok)).sum(1)

    @torch.no_grad()
    def balance(self, speed: float) -> None:
        """Raises the bias of experts with less than the average load and lowers the others (no auxiliary loss)."""
        if not self.gate.hashed:
            self.gate.bias += speed * torch.sign(self.load.mean() - self.load)
