"""Requests that cannot be met: one line on stderr that names the thing, exit code 1 or 2, no crash."""
import json
import os

import pytest

from support import GOLDEN, expect_error, expect_success, run

MODEL = GOLDEN / "tiny-1-swa-csa"


@pytest.mark.parametrize("text, word", [
    ("[1, 2, 256]", "256"),
    ("[1, 2, 4294967296]", "4294967296"),
    ("[1, -2]", "-2"),
    ("[1, 2.5]", "2.5"),
    ('[1, "a"]', "a"),
    ("[]", "no tokens"),
    ("7", "7"),
    ('{"ids": [1]}', "tokens"),
    ("[1, 2", "tokens.json"),
    ("", "tokens.json"),
    ("[" * 100000, "tokens.json"),
], ids=lambda value: value[:20])
def test_token_ids(logits, text, word):
    expect_error(logits(MODEL, text=text), "tokens.json", word)


def test_token_file_missing(tmp_path):
    result = run("logits", "-m", MODEL, "--tokens", tmp_path / "none.json", "--out", tmp_path / "out.npy")
    expect_error(result, "none.json", code=1)


@pytest.mark.parametrize("prefill", [1, 2, 5])
def test_context_overflow(logits, prefill):
    expect_error(logits(MODEL, "--ctx", "4", "--prefill", prefill), "4", code=2)


def test_context_above_the_models(logits):
    expect_error(logits(MODEL, "--ctx", "5000"), "5000", "4096", code=2)


def test_prefill_longer_than_the_tokens(logits):
    expect_error(logits(MODEL, "--prefill", "6"), "6", "5", code=2)


def test_mtp_of_a_model_without(logits, tmp_path):
    expect_error(logits(MODEL, "--mtp", tmp_path / "mtp.npy"), "mtp", code=2)


def test_unwritable_result(tmp_path):
    (tmp_path / "tokens.json").write_text("[1, 2, 3]")
    result = run("logits", "-m", MODEL, "-d", "cpu", "--tokens", tmp_path / "tokens.json",
                 "--out", tmp_path / "no" / "out.npy")
    expect_error(result, "out.npy", code=1)


def test_no_tokenizer():
    expect_error(run("run", "-m", MODEL, "-d", "cpu", "-p", "x"), "tokenizer.json", code=1)


RUN = ["run", "-m", "x", "-p", "x"]


@pytest.mark.parametrize("args, word", [
    ([], "subcommand"),
    (["frobnicate"], "frobnicate"),
    (["logits"], "required"),
    (["devices", "--frob"], "--frob"),
    (["run", "-m"], "--model"),
    (RUN + ["--temp", "hot"], "--temp"),
    (RUN + ["--temp", "-1"], "--temp"),
    (RUN + ["--top-p", "1.5"], "--top-p"),
    (RUN + ["--ctx", "0"], "--ctx"),
    (RUN + ["--ctx", "-5"], "--ctx"),
    (RUN + ["-n", "-5"], "--max-tokens"),
    (RUN + ["--numerics", "exact"], "--numerics"),
    (RUN + ["--threads", "0"], "--threads"),
    (["devices", "--limit", "max_range"], "max_range"),
    (["devices", "--limit", "colour=3"], "colour"),
    (["devices", "--limit", "max_range=much"], "much"),
    (["devices", "--disable", "wings"], "wings"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_usage(args, word):
    expect_error(run(*args), word, code=2)


NO_DRIVERS = {
    "VK_DRIVER_FILES": "/nonexistent/icd.json",
    "VK_ICD_FILENAMES": "/nonexistent/icd.json",
    "OCL_ICD_VENDORS": "/nonexistent/",
}


@pytest.mark.parametrize("device", ["quantum", "vulkan:99", "opencl:99", "cpu:1", "vulkan@ffff:ff:1f.7", "vulkan:",
                                    "vulkan:-1", "vulkan:99999999999999999999"])
def test_unknown_device(logits, device):
    expect_error(logits(MODEL, device=device), f"'{device}'")


@pytest.mark.parametrize("device", ["vulkan:0", "opencl:0"])
def test_no_driver(logits, device):
    expect_error(logits(MODEL, device=device, env=NO_DRIVERS), device.split(":")[0], code=1)


def test_auto_goes_on_without_drivers(logits):
    expect_success(logits(MODEL, device="auto", env=NO_DRIVERS))


def test_missing_icd(logits):
    result = logits(MODEL, "--icd", "/nonexistent/icd.json", device="vulkan:0")
    expect_error(result, "/nonexistent/icd.json")


def listed(env=None):
    return json.loads(expect_success(run("devices", "--json", env=env)))["devices"]


def test_device_without_memory(logits):
    """RADV pretends to be a GPU that is not there; such a device is listed and cannot be used."""
    env = {"RADV_FORCE_FAMILY": "navi21"}
    null = [device for device in listed(env) if device["type"] == "null device"]
    if not null and not os.environ.get("NIBBLE_REQUIRE_DRIVERS"):
        pytest.skip("no driver that shows a device without memory")
    expect_error(logits(MODEL, device=null[0]["id"], env=env), null[0]["name"], "memory", code=1)


def test_device_with_too_little_memory(logits):
    for device in listed():
        if device["backend"] != "cpu":
            expect_error(logits(MODEL, "--limit", "memory_bytes=64KiB", device=device["id"]), "64.0 KiB", code=1)


def vulkan_device():
    return next((d["id"] for d in listed() if d["backend"] == "vulkan" and d["limits"]["memory_bytes"] > 0), None)


def test_read_only_cache_is_one_warning(logits):
    """/proc refuses new directories even to root."""
    device = vulkan_device()
    if device is None and not os.environ.get("NIBBLE_REQUIRE_DRIVERS"):
        pytest.skip("no Vulkan driver here")
    result = logits(MODEL, "--cache-dir", "/proc/nibble-cache", device=device)
    expect_success(result)
    warnings = result.stderr.decode().splitlines()
    assert len(warnings) == 1, warnings
    assert warnings[0].startswith("nibble: warning: ") and "/proc/nibble-cache" in warnings[0]
