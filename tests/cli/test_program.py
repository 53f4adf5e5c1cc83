"""The program's manners: help, version, streams, and logits equal to the known answers."""
import json
import os
import subprocess

import numpy as np
import pytest

from support import GOLDEN, PROGRAM, expect_error, expect_success, run

COMMANDS = ["run", "chat", "devices", "inspect", "tokenize", "encode", "logits", "perplexity"]


def test_help_lists_every_command():
    text = expect_success(run("--help")).decode()
    for command in COMMANDS:
        assert f"\n  {command} " in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example(command):
    text = expect_success(run(command, "--help")).decode()
    assert f"nibble {command}" in text
    assert "Example" in text


def test_version():
    assert expect_success(run("--version")).startswith(b"nibble ")


def test_closed_stdout_is_an_error():
    result = subprocess.run(f"'{PROGRAM}' --help >&-", shell=True, stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == 1
    assert result.stderr.decode().splitlines()[0].startswith("nibble: error: ")


def test_full_disk_is_an_error():
    with open("/dev/full", "wb") as full:
        result = subprocess.run([PROGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert result.returncode == 1
    assert len(result.stderr.decode().splitlines()) == 1


def test_vanished_reader_ends_quietly():
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run([PROGRAM, "--help"], stdout=write_end, stderr=subprocess.PIPE, timeout=60)
    os.close(write_end)
    assert result.returncode == 141
    assert result.stderr == b""


def golden(model, prompt):
    folder = GOLDEN / model
    case = next(p for p in json.loads((folder / "prompts.json").read_text()) if p["name"] == prompt)
    want = np.load(folder / "expected" / f"{prompt}.logits.f32_plain.npy")
    return folder, case, want


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_logits_are_the_known_ones(tmp_path, wrapped, chunk):
    folder, case, want = golden("tiny-1-swa-csa", "short")
    ids = case["prompt_ids"] + case["continuation_ids"]
    (tmp_path / "ids.json").write_text(json.dumps({"tokens": ids} if wrapped else ids))
    expect_success(run("logits", "-m", folder, "-d", "cpu", "--tokens", tmp_path / "ids.json", "--prefill",
                       len(case["prompt_ids"]), "--chunk", chunk, "--numerics", "plain", "--out", tmp_path / "l.npy"))
    got = np.load(tmp_path / "l.npy")
    assert got.dtype == np.float32 and got.shape == want.shape
    assert np.max(np.abs(got - want)) <= 1e-3  # two correct float32 programs agree to 1.1e-5


def test_mtp_logits_are_the_known_ones(tmp_path):
    folder, case, _ = golden("tiny-4-mtp", "short")
    want = np.load(folder / "expected" / "short.mtp_logits.f32_plain.npy")
    (tmp_path / "ids.json").write_text(json.dumps(case["prompt_ids"] + case["continuation_ids"]))
    expect_success(run("logits", "-m", folder, "-d", "cpu", "--tokens", tmp_path / "ids.json", "--prefill",
                       len(case["prompt_ids"]), "--numerics", "plain", "--out", tmp_path / "l.npy",
                       "--mtp", tmp_path / "mtp.npy"))
    got = np.load(tmp_path / "mtp.npy")
    assert got.shape == want.shape
    assert np.max(np.abs(got - want)) <= 1e-3


def test_an_option_given_twice_counts_the_last_time(tmp_path):
    (tmp_path / "ids.json").write_text("[1, 2, 3]")
    result = run("logits", "-m", GOLDEN / "tiny-1-swa-csa", "--tokens", tmp_path / "ids.json", "--out",
                 tmp_path / "o.npy", "-d", "cpu", "-d", "quantum")
    expect_error(result, "quantum")
