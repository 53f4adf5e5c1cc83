"""Muon for matrices, Adam for everything else, under one learning-rate factor."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from model import Model


def orthogonalise(gradient: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration towards the nearest (semi-)orthogonal matrix; [..., rows, cols], batched, in bf16."""
    x = gradient.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    # Quintic coefficients that lift small singular values fast; the result lies within about 0.3 of 1.
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return (x.mT if tall else x).float()


class Muon(Optimizer):
    """Momentum, orthogonalised per matrix. A step's size follows the matrix's shape, so one rate fits all."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float, decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalise(p.grad.lerp(buffer, group["momentum"]))
                scale = max(1.0, p.shape[-2] / p.shape[-1]) ** 0.5
                p.mul_(1 - group["lr"] * group["decay"]).add_(update, alpha=-group["lr"] * scale)


def build_optimisers(model: Model, matrix_lr: float, other_lr: float) -> list[Optimizer]:
    """Each group remembers its own rate as base_lr; the schedule multiplies it."""
    matrices, tables, mixers, others = [], [], [], []
    for name, p in model.named_parameters():
        if "embed" in name or name.startswith("head"):
            tables.append(p)
        elif name.endswith(".fn"):
            mixers.append(p)
        elif p.ndim < 2 or any(part in name for part in ("hc_", ".ape", ".gate.", "weights_proj")):
            others.append(p)
        else:
            matrices.append(p)
    adam = torch.optim.AdamW(
        [
            {"params": tables, "lr": 2 * other_lr},
            # Rows of 1024 small weights: at the full rate they would move by a tenth of themselves per step.
            {"params": mixers, "lr": 0.2 * other_lr},
            {"params": others, "lr": other_lr},
        ],
        betas=(0.9, 0.95),
        weight_decay=0.0,
        fused=True,
    )
    optimisers: list[Optimizer] = [Muon(matrices, matrix_lr, momentum=0.95, decay=0.05), adam]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["base_lr"] = group["lr"]
    return optimisers


def set_rate(optimisers: list[Optimizer], factor: float) -> None:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["base_lr"] * factor
