"""Checkpoints that are not laid out as the first release: they run, or one sentence says what they are."""
import json
import os
import shutil
import struct
import subprocess

import numpy
import pytest

from support import GOLDEN, PROGRAM, SOURCE, Shard, copy_model, edit_json, expect_error, expect_success, run

DEMO = SOURCE / "tools" / "demo" / "model"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n"


@pytest.fixture
def dspark(tmp_path):
    return copy_model("v4-dspark-tiny", tmp_path / "dspark")


def logits_of(tmp_path, model, *args):
    tokens = tmp_path / "tokens.json"
    tokens.write_text(json.dumps([5, 17, 99, 4, 8, 200, 3]))
    out = tmp_path / "logits.npy"
    expect_success(run("logits", "-m", model, "-d", "cpu", "--tokens", tokens, "--out", out, *args))
    return numpy.load(out)


def test_the_trunk_runs_beside_a_dspark_head(tmp_path, dspark):
    whole = logits_of(tmp_path, dspark)
    # As many ratios as layers, the head's shard left out, another count: nothing of that is the trunk's.
    edit_json(dspark / "config.json", lambda config: config.update(
        {"compress_ratios": config["compress_ratios"][:3], "num_nextn_predict_layers": 3}))
    assert numpy.array_equal(logits_of(tmp_path, dspark), whole)
    (dspark / "model-00002-of-00002.safetensors").unlink()
    assert numpy.array_equal(logits_of(tmp_path, dspark), whole)


def test_inspect_and_plan_name_what_is_not_used(dspark):
    text = expect_success(run("inspect", "-m", dspark)).decode()
    assert "DSpark head, 3 stages: 169 tensors" in text
    assert "6 entries for 3 layers, the last 3" in text
    report = json.loads(expect_success(run("inspect", "-m", dspark, "--json")))
    assert report["complete"] and not report["mtp"]["present"]
    assert [part["name"] for part in report["not_used"]] == ["DSpark head, 3 stages"]
    plan = json.loads(expect_success(run("plan", "-m", dspark, "-d", "cpu", "--json")))
    assert plan["not_used"] == report["not_used"]
    assert plan["mtp_kv_bytes"] == 0
    (dspark / "model-00002-of-00002.safetensors").unlink()
    report = json.loads(expect_success(run("inspect", "-m", dspark, "--json")))
    assert report["complete"] and report["not_used"][0]["missing_tensors"] == 169


def rewrite(path, change):
    """Applies `change` to each (name, dtype, shape, bytes) of a safetensors file."""
    shard = Shard(path)
    header, data = {}, b""
    for name in shard.names():
        entry = shard.header[name]
        begin, end = entry["data_offsets"]
        name, dtype, shape, raw = change(name, entry["dtype"], entry["shape"], shard.data[begin:end])
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    shard.header, shard.data = header, data
    shard.write()


def scales_as_f32(name, dtype, shape, raw):
    if dtype != "F8_E8M0":
        return name, dtype, shape, raw
    return name, "F32", shape, numpy.ldexp(numpy.float32(1), numpy.frombuffer(raw, "u1").astype(int) - 127).tobytes()


@pytest.mark.parametrize("device", ["cpu"])
def test_f32_scales_give_the_same_bits(tmp_path, model, device):
    want = logits_of(tmp_path, model)
    for shard in model.glob("*.safetensors"):
        rewrite(shard, scales_as_f32)
    assert numpy.array_equal(logits_of(tmp_path, model), want)


def test_f32_scales_that_are_no_powers_of_two(model, logits):
    def change(name, dtype, shape, raw):
        name, dtype, shape, raw = scales_as_f32(name, dtype, shape, raw)
        return name, dtype, shape, struct.pack("<f", 0.3) + raw[4:] if name == "layers.1.attn.wkv.scale" else raw
    for shard in model.glob("*.safetensors"):
        rewrite(shard, change)
    expect_error(logits(model), "layers.1.attn.wkv.scale", "element 0 is 0.3", "powers of two", code=1)


def e4m3_to_f32(codes):
    codes = codes.astype(int)
    exponent, mantissa = codes >> 3 & 15, codes & 7
    value = numpy.where(exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0**(exponent - 7.0))
    return numpy.where(codes & 128, -value, value)


def test_a_file_of_the_reference_converter(tmp_path):
    """One part without an index, wo_a as BF16 without scales, which holds its values exactly."""
    model = copy_model("tiny-1-swa-csa", tmp_path / "model")
    want = logits_of(tmp_path, model, "--numerics", "plain")
    (source,) = model.glob("*.safetensors")
    shard = Shard(source)
    raw = {n: shard.data[slice(*shard.header[n]["data_offsets"])] for n in shard.names()}

    def change(name, dtype, shape, data):
        if not name.endswith("attn.wo_a.weight"):
            return name.replace("wo_a.scale", "was_scale"), dtype, shape, data
        codes = numpy.frombuffer(data, "u1").reshape(shape)
        scale_name = name[:-6] + "scale"
        scale = numpy.frombuffer(raw[scale_name], "u1").reshape(shard.header[scale_name]["shape"]).astype(int)
        wide = numpy.kron(numpy.ldexp(1.0, scale - 127), numpy.ones((128, 128)))[:shape[0], :shape[1]]
        bits = (e4m3_to_f32(codes) * wide).astype("<f4").view("<u4")
        assert not (bits & 0xffff).any()
        return name, "BF16", shape, (bits >> 16).astype("<u2").tobytes()

    rewrite(source, change)
    source.rename(model / "model0-mp1.safetensors")
    (model / "model.safetensors.index.json").unlink(missing_ok=True)
    assert numpy.abs(logits_of(tmp_path, model, "--numerics", "plain") - want).max() < 1e-4
    (model / "model0-mp1.safetensors").rename(model / "model0-mp4.safetensors")
    expect_error(run("inspect", "-m", model), "model0-mp4.safetensors", "one of 4 parts", code=1)


COMMANDS = [("run", "-p", "hi"), ("chat",), ("inspect",), ("plan", "-d", "cpu"), ("tokenize", "hi"),
            ("perplexity", "-f", __file__)]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_says_what_m_was_given(tmp_path, command):
    def error(path, *words):
        expect_error(run(command[0], "-m", path, *command[1:]), *words)

    error("deepseek-ai/DeepSeek-V4-Flash", "deepseek-ai/DeepSeek-V4-Flash", "hf download")
    gguf = tmp_path / "v4.gguf"
    gguf.write_bytes(b"GGUF\3\0\0\0")
    error(gguf, "v4.gguf", "a GGUF file")
    error(tmp_path, str(tmp_path), "GGUF files")
    shard = tmp_path / "model.safetensors"
    shard.write_bytes(struct.pack("<Q", 2) + b"{}")
    error(shard, "model.safetensors", "give the directory it lies in")


def test_a_pointer_in_place_of_a_file(tmp_path, model, logits):
    shard = model / "model-00002-of-00003.safetensors"
    shard.write_text(POINTER)
    expect_error(logits(model), shard.name, "Git LFS pointer", "git lfs pull", code=1)
    (model / "config.json").write_text(POINTER)
    expect_error(logits(model), "config.json", "Git LFS pointer", code=1)
    expect_error(run("plan", "-m", model, "-d", "cpu"), "config.json", "Git LFS pointer", code=1)
    shutil.copytree(DEMO, tmp_path / "demo")
    (tmp_path / "demo" / "tokenizer.json").write_text("<!DOCTYPE html>")
    expect_error(run("tokenize", "-m", tmp_path / "demo", "hi"), "tokenizer.json", "a web page", code=1)


def test_links_of_a_cache(tmp_path, model, logits):
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for number, file in enumerate(model.glob("*.safetensors")):
        file.rename(blobs / str(number))
        file.symlink_to(f"../blobs/{number}")
    expect_success(run("inspect", "-m", model))
    shutil.rmtree(blobs)
    expect_error(logits(model), "the link points to '../blobs/", "not there", code=1)


def test_inspect_deep(model):
    assert expect_success(run("inspect", "-m", model, "--deep")) == expect_success(run("inspect", "-m", model))
    path = next(model.glob("model-00002*"))
    shard = Shard(path)
    name = shard.find("attn.wo_b.weight")
    begin, _ = shard.header[name]["data_offsets"]
    shard.data = shard.data[:begin] + b"\x7f\xff" + shard.data[begin + 2:]
    shard.write()
    expect_success(run("inspect", "-m", model))
    result = run("inspect", "-m", model, "--deep")
    assert result.returncode == 1
    assert f"no number: tensor '{name}' in {path}: 2 NaN" in result.stdout.decode()
    assert name in result.stderr.decode() and len(result.stderr.decode().splitlines()) == 1
    report = json.loads(run("inspect", "-m", model, "--deep", "--json").stdout)
    assert report["no_numbers"][0]["nan"] == 2


def test_a_shard_that_is_cut_short_in_use(tmp_path):
    """Whoever waits for an answer gets a message that names the file; the conversation can still be saved."""
    model = tmp_path / "model"
    shutil.copytree(DEMO, model)
    saved = tmp_path / "saved"
    with subprocess.Popen([PROGRAM, "chat", "-m", model, "-d", "cpu", "-n", "3", "--temp", "0"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as chat:
        chat.stdin.write(f"Hello\n/save {saved}\n".encode())
        chat.stdin.flush()
        while b"saved" not in chat.stderr.readline():
            assert chat.poll() is None
        for shard in model.glob("*.safetensors"):
            os.truncate(shard, 4096)
        chat.stdin.write(f"And then?\n/save {saved}2\n".encode())
        chat.stdin.close()
        stderr = chat.stderr.read().decode()
        assert chat.wait(60) == 1, stderr
    assert f"{model}/model" in stderr and ".safetensors: a part of it was lost while it was in use" in stderr
    assert "/save keeps the conversation" in stderr
    loaded = run("chat", "-m", DEMO, "-d", "cpu", "-n", "3", "--temp", "0", stdin=f"/load {saved}2\nGo on\n".encode())
    expect_success(loaded)
    assert "loaded " in loaded.stderr.decode()
