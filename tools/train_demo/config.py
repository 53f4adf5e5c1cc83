"""Shapes of a DeepSeek-V4-class model, read from and written to the released config.json keys."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RopeScaling:
    """YaRN parameters; they apply to layers that compress their keys."""

    factor: float
    original_max_position_embeddings: int
    beta_fast: float
    beta_slow: float
    type: str = "yarn"


@dataclass(frozen=True)
class ModelConfig:
    """The fields of config.json that decide what is computed."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_hash_layers: int
    compress_ratios: tuple[int, ...]
    num_attention_heads: int
    head_dim: int
    qk_rope_head_dim: int
    q_lora_rank: int
    o_groups: int
    o_lora_rank: int
    sliding_window: int
    index_n_heads: int
    index_head_dim: int
    index_topk: int
    n_routed_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    routed_scaling_factor: float
    swiglu_limit: float
    hc_mult: int
    hc_sinkhorn_iters: int
    hc_eps: float
    rms_norm_eps: float
    rope_theta: float
    compress_rope_theta: float
    rope_scaling: RopeScaling
    max_position_embeddings: int

    @classmethod
    def from_file(cls, path: Path) -> ModelConfig:
        """Reads config.json and ignores the keys that do not change the arithmetic."""
        raw: dict[str, Any] = json.loads(path.read_text())
        raw["rope_scaling"] = RopeScaling(**raw["rope_scaling"])
        raw["compress_ratios"] = tuple(raw["compress_ratios"][: raw["num_hidden_layers"]])
        return cls(**{name: raw[name] for name in cls.__dataclass_fields__})

    def to_json(self) -> str:
        """The released key set, so that any reader of V4 checkpoints accepts the file."""
        fixed = {
            "architectures": ["DeepseekV4ForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "expert_dtype": "fp4",
            "hidden_act": "silu",
            "initializer_range": 0.02,
            "model_type": "deepseek_v4",
            "n_shared_experts": 1,
            "norm_topk_prob": True,
            "num_key_value_heads": 1,
            "num_nextn_predict_layers": 0,
            "quantization_config": {
                "activation_scheme": "dynamic",
                "fmt": "e4m3",
                "quant_method": "fp8",
                "scale_fmt": "ue8m0",
                "weight_block_size": [128, 128],
            },
            "scoring_func": "sqrtsoftplus",
            "tie_word_embeddings": False,
            "topk_method": "noaux_tc",
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.1",
            "use_cache": True,
        }
        return json.dumps({**fixed, **asdict(self)}, indent=2) + "\n"


def demo_config() -> ModelConfig:
    """The model that ships in tools/demo.

    Every input dimension of a quantised matrix is a multiple of 128, as in the released models. The order of
    attention kinds is Flash's: window only, then ratio 4 and ratio 128 in turn.
    """
    return ModelConfig(
        vocab_size=2048,
        hidden_size=256,
        num_hidden_layers=4,
        num_hash_layers=1,
        compress_ratios=(0, 4, 128, 4),
        num_attention_heads=4,
        head_dim=128,
        qk_rope_head_dim=64,
        q_lora_rank=128,
        o_groups=2,
        o_lora_rank=128,
        sliding_window=64,
        index_n_heads=4,
        index_head_dim=64,
        index_topk=32,
        n_routed_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=128,
        routed_scaling_factor=1.5,
        swiglu_limit=10.0,
        hc_mult=4,
        hc_sinkhorn_iters=20,
        hc_eps=1e-6,
        rms_norm_eps=1e-6,
        rope_theta=10000.0,
        compress_rope_theta=160000.0,
        rope_scaling=RopeScaling(
            factor=16, original_max_position_embeddings=1024, beta_fast=32, beta_slow=1
        ),
        max_position_embeddings=16384,
    )
