"""nibble plan: memory of released models from their config.json alone."""
import json
import shutil

import pytest

from support import GOLDEN, edit_json, expect_error, expect_success, run

CONFIGS = GOLDEN.parent / "configs"


@pytest.fixture(params=["v4-flash", "v4-pro"])
def released(request, tmp_path):
    directory = tmp_path / request.param
    directory.mkdir()
    shutil.copyfile(CONFIGS / f"{request.param}.json", directory / "config.json")
    return request.param, directory


def plan(directory, *args):
    return json.loads(expect_success(run("plan", "-m", directory, "--json", "-d", "cpu", *args)))


def test_a_million_tokens(released):
    name, directory = released
    report = plan(directory, "--ctx", "1048576", "--chunk", "512")
    gigabytes, ratio = {"v4-flash": (3.69, 13.7), "v4-pro": (5.28, 9.5)}[name]
    assert isinstance(report["kv_bytes"], int)
    assert round(report["kv_bytes"] / 1e9, 2) == gigabytes
    assert round(report["v32_kv_bytes"] / 1e9, 1) == 50.4
    assert round(report["v32_ratio"], 1) == ratio
    assert report["from"] == "config.json"
    assert report["scratch_bytes"] <= {"v4-flash": 512, "v4-pro": 1024}[name] << 20
    parts = ["weights_bytes", "weights_in_place_bytes", "kv_bytes", "open_window_bytes",
             "kv_alignment_bytes", "scratch_bytes", "staging_bytes"]
    assert report["total_bytes"] == sum(report[part] for part in parts)
    assert report["fits"] == (report["total_bytes"] <= report["device"]["memory_bytes"])


def test_a_cache_that_exceeds_the_device(released, tmp_path):
    name, directory = released
    whole = plan(directory, "--ctx", "1048576")
    split = plan(directory, "--ctx", "1048576", "--kv-device-memory", "2GiB", "--kv-host-memory", "1GiB",
                 "--kv-dir", tmp_path)
    assert split["kv_bytes"] == whole["kv_bytes"]
    assert 1 << 29 < split["kv_host_bytes"] <= 1 << 30
    assert split["kv_file_bytes"] > 0
    assert split["total_bytes"] + split["kv_host_bytes"] + split["kv_file_bytes"] == whole["total_bytes"]
    assert whole["total_bytes"] - split["total_bytes"] >= whole["kv_bytes"] - (2 << 30)
    expect_error(run("plan", "-m", directory, "-d", "cpu", "--ctx", "1048576", "--kv-device-memory", "2GiB",
                             "--kv-host-memory", "64MiB"), "KV cache", "2.00 GiB", "64.0 MiB", "no directory")


def test_text(released):
    name, directory = released
    text = expect_success(run("plan", "-m", directory, "-d", "cpu", "--ctx", "1048576")).decode()
    assert {"v4-flash": "3.69 GB", "v4-pro": "5.28 GB"}[name] in text
    assert "50.40 GB" in text
    assert "from config.json alone" in text


def test_a_checkpoint_on_disk():
    report = plan(GOLDEN / "tiny-4-mtp", "--numerics", "plain")
    assert report["from"] == "checkpoint"
    assert report["fits"]
    assert report["mtp_kv_bytes"] > 0
    assert report["numerics"] == "plain"


def test_a_memory_that_is_too_small():
    report = plan(GOLDEN / "tiny-4-mtp", "--limit", "memory_bytes=64KiB")
    assert not report["fits"]


@pytest.mark.parametrize("field, value", [("hidden_size", "wide"), ("compress_ratios", [4]), ("model_type", "llama")])
def test_a_bad_config(released, field, value):
    _, directory = released
    edit_json(directory / "config.json", lambda config: config.update({field: value}))
    expect_error(run("plan", "-m", directory, "-d", "cpu"), field, str(directory / "config.json"), code=1)


def test_refusals(released, tmp_path):
    _, directory = released
    expect_error(run("plan", "-m", tmp_path / "none", "-d", "cpu"), "none", code=1)
    expect_error(run("plan", "-m", directory, "-d", "cpu", "--ctx", "1048577"), "1048577", "1048576", code=2)
    expect_error(run("plan", "-m", directory, "-d", "quantum"), "quantum", code=1)
    (directory / "config.json").write_text("{")
    expect_error(run("plan", "-m", directory, "-d", "cpu"), "config.json", code=1)
