"""The whole model: embedding, layers between hyper-connections, output head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from attention import Attention
from config import ModelConfig
from experts import Experts
from hyper_connection import HeadCollapse, HyperConnection
from layers import Bf16Linear, Numerics, RMSNorm, normal_parameter, stored_bf16


class Block(nn.Module):
    """Attention, then experts, each between a read from and a write to the residual streams."""

    def __init__(self, config: ModelConfig, layer: int, numerics: Numerics) -> None:
        super().__init__()
        # Outputs start small so that depth does not inflate the streams.
        out_gain = (2 * config.num_hidden_layers) ** -0.5
        self.hc_attn = HyperConnection(config, 2 * layer)
        self.attn_norm = RMSNorm(config.hidden_size, config.rms_norm_eps, numerics)
        self.attn = Attention(config, layer, numerics, out_gain)
        self.hc_ffn = HyperConnection(config, 2 * layer + 1)
        self.ffn_norm = RMSNorm(config.hidden_size, config.rms_norm_eps, numerics)
        self.ffn = Experts(config, layer, numerics, out_gain)

    def forward(self, streams: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """streams [B * T, C, D], tokens [B, T] -> new streams and the indexer's loss."""
        x, post, comb = self.hc_attn.read(streams)
        output, loss = self.attn(self.attn_norm(x).view(*tokens.shape, -1))
        streams = self.hc_attn.write(streams, output.flatten(0, 1), post, comb)
        x, post, comb = self.hc_ffn.read(streams)
        return self.hc_ffn.write(streams, self.ffn(self.ffn_norm(x), tokens.flatten()), post, comb), loss


class Model(nn.Module):
    def __init__(self, config: ModelConfig, numerics: Numerics) -> None:
        super().__init__()
        self.config, self.numerics = config, numerics
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embed.weight = normal_parameter(config.vocab_size, config.hidden_size, std=0.5)
        self.layers = nn.ModuleList(Block(config, layer, numerics) for layer in range(config.num_hidden_layers))
        self.hc_head = HeadCollapse(config)
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps, numerics)
        self.head = Bf16Linear(config.hidden_size, config.vocab_size, numerics, gain=0.5)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """tokens [B, T] -> logits [B, T, vocabulary] float32 and the summed indexer loss."""
        x = nn.functional.embedding(tokens.flatten(), stored_bf16(self.embed.weight, self.numerics))
        streams = x.unsqueeze(1).expand(-1, self.config.hc_mult, -1)
        losses = []
        for block in self.layers:
            streams, loss = block(streams, tokens)
            losses.append(loss)
        x = self.norm(self.hc_head(streams))
        return self.head(x).float().view(*tokens.shape, -1), torch.stack(losses).sum()
