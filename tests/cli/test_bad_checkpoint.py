"""Damaged checkpoints of every kind: one line on stderr that names the thing, exit code 1, no crash."""
import shutil

import pytest

from support import Shard, edit_json, expect_error

SHARD = "model-00002-of-00003.safetensors"
INDEX = "model.safetensors.index.json"


# Each takes the model's directory, damages it and returns the words that the message must hold.

def missing_shard(model):
    (model / SHARD).unlink()
    return [SHARD]


def truncated_shard(model):
    data = (model / SHARD).read_bytes()
    (model / SHARD).write_bytes(data[:-1000])
    return [SHARD]


def shard_cut_in_its_header(model):
    data = (model / SHARD).read_bytes()
    (model / SHARD).write_bytes(data[:100])
    return [SHARD]


def empty_shard(model):
    (model / SHARD).write_bytes(b"")
    return [SHARD]


def shard_is_a_directory(model):
    (model / SHARD).unlink()
    (model / SHARD).mkdir()
    return [SHARD]


def header_length_2_63(model):
    Shard(model / SHARD).write(length=2**63)
    return [SHARD]


def header_length_2_64_minus_1(model):
    Shard(model / SHARD).write(length=2**64 - 1)
    return [SHARD]


def header_is_no_json(model):
    Shard(model / SHARD).write(header_text="{" * 50)
    return [SHARD]


def header_is_a_list(model):
    Shard(model / SHARD).write(header_text="[]")
    return [SHARD]


def header_nested_a_million_deep(model):
    Shard(model / SHARD).write(header_text="[" * 1_000_000 + "]" * 1_000_000)
    return [SHARD]


def header_of_many_values(model):
    Shard(model / SHARD).write(header_text="[" + "0," * 20_000_000 + "0]")
    return [SHARD]


def wrong_shape(model):
    shard = Shard(model / SHARD)
    name = shard.find("attn.wo_b.weight")
    rows, cols = shard.header[name]["shape"]
    shard.header[name]["shape"] = [rows * 2, cols // 2]
    shard.write()
    return [name, f"[{rows * 2}, {cols // 2}]", f"[{rows}, {cols}]"]


def shape_contradicts_bytes(model):
    shard = Shard(model / SHARD)
    name = shard.find("attn.wo_b.weight")
    shard.header[name]["shape"][0] += 1
    shard.write()
    return [SHARD, name]


def shape_overflows(model):
    shard = Shard(model / SHARD)
    name = shard.find("attn.wo_b.weight")
    shard.header[name]["shape"] = [2**32, 2**32]
    shard.write()
    return [SHARD, name]


def negative_shape(model):
    shard = Shard(model / SHARD)
    name = shard.names()[0]
    shard.header[name]["shape"][0] = -1
    shard.write()
    return [SHARD, name]


def wrong_dtype(model):
    shard = Shard(model / SHARD)
    name = shard.find("attn.wo_b.weight")
    shard.header[name]["dtype"] = "U8"
    shard.write()
    return [name]


def dtype_nobody_knows(model):
    shard = Shard(model / SHARD)
    name = shard.find("attn.wo_b.weight")
    shard.header[name]["dtype"] = "F7_E9M9"
    shard.write()
    return [name, "F7_E9M9"]


def overlapping_offsets(model):
    shard = Shard(model / SHARD)
    first, second = sorted(shard.names(), key=lambda n: shard.header[n]["data_offsets"])[:2]
    begin, end = shard.header[second]["data_offsets"]
    shard.header[second]["data_offsets"] = [shard.header[first]["data_offsets"][0],
                                            shard.header[first]["data_offsets"][0] + end - begin]
    shard.write()
    return [SHARD]


def offsets_outside_the_file(model):
    shard = Shard(model / SHARD)
    name = shard.names()[0]
    shard.header[name]["data_offsets"] = [offset + 2**40 for offset in shard.header[name]["data_offsets"]]
    shard.write()
    return [SHARD, name]


def offsets_backwards(model):
    shard = Shard(model / SHARD)
    name = shard.names()[0]
    shard.header[name]["data_offsets"].reverse()
    shard.write()
    return [SHARD, name]


def missing_tensor(model):
    shard = Shard(model / SHARD)
    name = shard.find("attn.wo_b.scale")
    # Renamed rather than removed: its bytes stay accounted for.
    shard.header[name + "_elsewhere"] = shard.header.pop(name)
    shard.write()
    edit_json(model / INDEX, lambda index: index["weight_map"].update(
        {name + "_elsewhere": index["weight_map"].pop(name)}))
    return [name]


def index_is_no_json(model):
    (model / INDEX).write_text("weights are below")
    return [INDEX]


def index_without_map(model):
    (model / INDEX).write_text("{}")
    return [INDEX, "weight_map"]


def index_points_outside(model):
    edit_json(model / INDEX, lambda index: index["weight_map"].update({"embed.weight": "../../etc/passwd"}))
    return [INDEX]


def index_nested_a_million_deep(model):
    (model / INDEX).write_text('{"a":' * 1_000_000)
    return [INDEX]


def missing_config(model):
    (model / "config.json").unlink()
    return ["config.json"]


def config_is_no_json(model):
    (model / "config.json").write_text('{"vocab_size": ')
    return ["config.json"]


def config_nested_a_million_deep(model):
    (model / "config.json").write_text("[" * 1_000_000)
    return ["config.json"]


def config_of_256_mib(model):
    with open(model / "config.json", "wb") as file:
        file.truncate(256 << 20)
    return ["config.json"]


def missing_directory(model):
    shutil.rmtree(model)
    return [str(model)]


CASES = [
    missing_shard, truncated_shard, shard_cut_in_its_header, empty_shard, shard_is_a_directory, header_length_2_63,
    header_length_2_64_minus_1, header_is_no_json, header_is_a_list, header_nested_a_million_deep,
    header_of_many_values, wrong_shape, shape_contradicts_bytes, shape_overflows, negative_shape, wrong_dtype,
    dtype_nobody_knows, overlapping_offsets, offsets_outside_the_file, offsets_backwards, missing_tensor,
    index_is_no_json, index_without_map, index_points_outside, index_nested_a_million_deep,
    missing_config, config_is_no_json, config_nested_a_million_deep, config_of_256_mib, missing_directory,
]


@pytest.mark.parametrize("damage", CASES, ids=lambda damage: damage.__name__)
def test_checkpoint(model, logits, damage):
    words = damage(model)
    expect_error(logits(model), *words, code=1)


INTEGER_FIELDS = [
    "vocab_size", "hidden_size", "num_hidden_layers", "max_position_embeddings", "num_attention_heads", "head_dim",
    "qk_rope_head_dim", "q_lora_rank", "o_groups", "o_lora_rank", "sliding_window", "index_n_heads", "index_head_dim",
    "index_topk", "n_routed_experts", "num_experts_per_tok", "moe_intermediate_size", "hc_mult", "hc_sinkhorn_iters",
]


@pytest.mark.parametrize("field", INTEGER_FIELDS + ["compress_ratios", "rope_theta", "rms_norm_eps"])
def test_config_field_missing(model, logits, field):
    edit_json(model / "config.json", lambda config: config.pop(field))
    expect_error(logits(model), "config.json", field, code=1)


@pytest.mark.parametrize("value", [-1, 2**63, 1e300, "4", None, [], 3.5], ids=str)
@pytest.mark.parametrize("field", INTEGER_FIELDS)
def test_config_field_unusable(model, logits, field, value):
    edit_json(model / "config.json", lambda config: config.update({field: value}))
    expect_error(logits(model), "config.json", field, code=1)


# Numbers that are legal by themselves and contradict a tensor or the memory there is.
@pytest.mark.parametrize("field", sorted(set(INTEGER_FIELDS) - {"max_position_embeddings", "sliding_window",
                                                               "index_topk", "hc_sinkhorn_iters"}))
def test_config_field_huge(model, logits, field):
    edit_json(model / "config.json", lambda config: config.update({field: 2**20}))
    expect_error(logits(model), code=1)


@pytest.mark.parametrize("ratios", [[], [0], [-4, 4, 128], "0,4,128", [0, 4, 2**40], [0] * 100000],
                         ids=lambda ratios: str(ratios)[:20])
def test_config_compress_ratios(model, logits, ratios):
    edit_json(model / "config.json", lambda config: config.update({"compress_ratios": ratios}))
    expect_error(logits(model), code=1)
