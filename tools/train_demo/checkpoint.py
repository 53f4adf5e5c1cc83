"""Reading and writing the released checkpoint layout: safetensors shards, FP4 and FP8 weights with scale tensors."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import quant
from config import ModelConfig
from experts import RoutedExperts
from layers import Fp8Linear, Numerics
from model import Model

_WIDTH = {"I8": 1, "F8_E4M3": 1, "F8_E8M0": 1, "BF16": 2, "F32": 4, "I32": 4, "I64": 8}


@dataclass(frozen=True)
class RawTensor:
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def read_shards(folder: Path) -> dict[str, RawTensor]:
    """All tensors of a checkpoint as stored."""
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    tensors: dict[str, RawTensor] = {}
    for name in sorted(set(index["weight_map"].values())):
        blob = (folder / name).read_bytes()
        (length,) = struct.unpack_from("<Q", blob)
        header = json.loads(blob[8 : 8 + length])
        header.pop("__metadata__", None)
        for tensor, entry in header.items():
            begin, end = entry["data_offsets"]
            data = blob[8 + length + begin : 8 + length + end]
            tensors[tensor] = RawTensor(entry["dtype"], tuple(entry["shape"]), data)
    return tensors


def _write_shard(path: Path, tensors: dict[str, RawTensor]) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            file.write(tensor.data)


def write_shards(folder: Path, tensors: dict[str, RawTensor], shard_bytes: int) -> None:
    """Writes shards of at most `shard_bytes` of data (but at least one tensor) and the index, replacing old ones."""
    shards: list[dict[str, RawTensor]] = [{}]
    for name, tensor in tensors.items():
        size = sum(len(t.data) for t in shards[-1].values())
        if shards[-1] and size + len(tensor.data) > shard_bytes:
            shards.append({})
        shards[-1][name] = tensor
    for old in folder.glob("model-*.safetensors"):
        old.unlink()
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _write_shard(folder / file, shard)
        weight_map.update(dict.fromkeys(shard, file))
    total = sum(len(t.data) for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def _e2m1_nibbles(values: Tensor) -> np.ndarray:
    table = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
    codes = torch.searchsorted(table, values.abs().contiguous()).to(torch.uint8)
    return (codes | (values < 0).to(torch.uint8) << 3).numpy()


def _e8m0(exponent: Tensor) -> RawTensor:
    return RawTensor("F8_E8M0", tuple(exponent.shape), (exponent + 127).to(torch.uint8).numpy().tobytes())


def _pack_fp4(weight: Tensor) -> tuple[RawTensor, RawTensor]:
    values, exponent = quant.fp4_weight_parts(weight)
    nibbles = _e2m1_nibbles(values)
    packed = nibbles[:, 0::2] | nibbles[:, 1::2] << 4
    return RawTensor("I8", packed.shape, packed.tobytes()), _e8m0(exponent)


def _pack_fp8(weight: Tensor) -> tuple[RawTensor, RawTensor]:
    values, exponent = quant.fp8_weight_parts(weight)
    codes = values.to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    return RawTensor("F8_E4M3", codes.shape, codes.tobytes()), _e8m0(exponent)


def _pack_plain(tensor: Tensor, dtype: str) -> RawTensor:
    shape = tuple(tensor.shape)
    if dtype == "BF16":
        return RawTensor(dtype, shape, tensor.bfloat16().contiguous().view(torch.int16).numpy().tobytes())
    return RawTensor(dtype, shape, tensor.contiguous().numpy().tobytes())


def _unpack_plain(raw: RawTensor) -> Tensor:
    if raw.dtype == "BF16":
        words = np.frombuffer(raw.data, dtype="<u2").astype(np.uint32) << 16
        values = words.view(np.float32)
    else:
        values = np.frombuffer(raw.data, dtype={"F32": "<f4", "I32": "<i4", "I64": "<i8"}[raw.dtype])
    tensor = torch.from_numpy(values.reshape(raw.shape).copy())
    return tensor if raw.dtype in ("BF16", "F32") else tensor.long()


def _unpack_quantised(weight: RawTensor, scale: RawTensor) -> Tensor:
    exponent = torch.from_numpy(np.frombuffer(scale.data, dtype=np.uint8).reshape(scale.shape).astype(np.int32)) - 127
    codes = np.frombuffer(weight.data, dtype=np.uint8).reshape(weight.shape)
    if weight.dtype == "F8_E4M3":
        values = torch.from_numpy(codes.copy()).view(torch.float8_e4m3fn).float()
        return values * torch.exp2(quant.expand_tile_exponents(exponent, *values.shape).double()).float()
    magnitudes = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], dtype=np.float32)
    table = np.concatenate((magnitudes, -magnitudes))
    values = torch.from_numpy(np.stack((table[codes & 15], table[codes >> 4]), axis=-1).reshape(len(codes), -1))
    return values * torch.exp2(exponent.double()).float().repeat_interleave(32, dim=-1)


def _released_name(name: str) -> str:
    """The released checkpoints write hc_attn_fn where the module tree says hc_attn.fn."""
    for part in ("hc_attn", "hc_ffn", "hc_head"):
        name = name.replace(f"{part}.", f"{part}_")
    return name


def _plain_tensors(model: Model) -> Iterator[tuple[str, Tensor, str]]:
    """Name, tensor and stored type of everything that is neither FP8 nor FP4."""
    quantised = {
        f"{prefix}.{parameter}"
        for prefix, module in model.named_modules()
        if isinstance(module, (Fp8Linear, RoutedExperts))
        for parameter, _ in module.named_parameters(recurse=False)
    }
    for name, tensor in model.state_dict().items():
        if name in quantised:
            continue
        wide = any(part in name for part in ("hc_", ".ape", ".attn_sink", "gate.bias"))
        kind = "I64" if name.endswith("tid2eid") else "F32" if wide else "BF16"
        yield _released_name(name), tensor, kind


def export(model: Model, folder: Path, shard_bytes: int = 3_500_000) -> None:
    """Writes config.json and the weights, rounded exactly as the forward pass rounds them."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, RawTensor] = {}
    for prefix, module in model.named_modules():
        if isinstance(module, Fp8Linear):
            packed = _pack_fp8(module.weight.detach())
            tensors[f"{prefix}.weight"], tensors[f"{prefix}.scale"] = packed
        elif isinstance(module, RoutedExperts):
            for matrix in ("w1", "w2", "w3"):
                for number, weight in enumerate(getattr(module, matrix).detach()):
                    name = f"{prefix}.{number}.{matrix}"
                    tensors[f"{name}.weight"], tensors[f"{name}.scale"] = _pack_fp4(weight)
    for name, tensor, kind in _plain_tensors(model):
        tensors[name] = _pack_plain(tensor, kind)
    (folder / "config.json").write_text(model.config.to_json())
    write_shards(folder, dict(sorted(tensors.items())), shard_bytes)


def _load_quantised(prefix: str, module: nn.Module, raw: dict[str, RawTensor]) -> None:
    if isinstance(module, Fp8Linear):
        weight = _unpack_quantised(raw.pop(f"{prefix}.weight"), raw.pop(f"{prefix}.scale"))
        module.weight.data.copy_(weight)
    elif isinstance(module, RoutedExperts):
        for matrix in ("w1", "w2", "w3"):
            for number, weight in enumerate(getattr(module, matrix).data):
                name = f"{prefix}.{number}.{matrix}"
                weight.copy_(_unpack_quantised(raw.pop(f"{name}.weight"), raw.pop(f"{name}.scale")))


def load(folder: Path) -> Model:
    """A model for evaluation from a checkpoint folder; MTP blocks are ignored, anything else unknown is an error."""
    raw = {name: tensor for name, tensor in read_shards(folder).items() if not name.startswith("mtp.")}
    model = Model(ModelConfig.from_file(folder / "config.json"), Numerics(round_weights=False)).eval()
    for prefix, module in model.named_modules():
        _load_quantised(prefix, module, raw)
    for name, tensor, _ in _plain_tensors(model):
        tensor.copy_(_unpack_plain(raw.pop(name)))
    if raw:
        raise ValueError(f"{folder}: tensors with no place in the model: {sorted(raw)}")
    return model.requires_grad_(False)
