"""The demo model: the losses PyTorch found on its held-out text, and text that starts fast and repeats."""
import json
import math
import os
import pathlib
import re

import pytest

from support import SOURCE, expect_success, run

DEMO = SOURCE / "tools" / "demo"
EXPECTED = json.loads((DEMO / "expected_perplexity.json").read_text())["mean_nll"]
SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json"
ICD = ["--icd", SWIFTSHADER] if pathlib.Path(SWIFTSHADER).exists() else []


def device_named(part):
    """The id of the device whose name or driver contains `part`."""
    for device in json.loads(expect_success(run("devices", "--json", *ICD)))["devices"]:
        if part in (device["name"] + device["driver"]).lower():
            return device["id"]
    if "NIBBLE_REQUIRE_DRIVERS" in os.environ:
        pytest.fail(f"no {part} driver is installed")
    pytest.skip(f"no {part} driver is installed")


# Plain numerics agree to 4 digits; in reference numerics FP8 rounding makes 0.5 % of noise.
@pytest.mark.parametrize("numerics, tolerance", [("plain", 5e-5), ("reference", 5e-3)])
@pytest.mark.parametrize("driver, tokens", [("cpu", 4096), ("llvmpipe", 512), ("portable computing", 4096),
                                            ("swiftshader", 512)])
def test_perplexity_is_what_pytorch_found(driver, tokens, numerics, tolerance):
    if driver == "swiftshader" and numerics == "reference":
        pytest.skip("a software driver at 10 tokens a second; plain numerics run the same kernels")
    device = "cpu" if driver == "cpu" else device_named(driver)
    found = json.loads(expect_success(run("perplexity", "-m", DEMO / "model", "--file", DEMO / "heldout.txt", "-d",
                                          device, *ICD, "--numerics", numerics, "-n", tokens, "--ctx", tokens + 1,
                                          "--json", timeout=800)))
    assert found["tokens"] == tokens
    want = math.exp(EXPECTED[numerics][str(tokens)])
    assert abs(found["perplexity"] / want - 1) <= tolerance, (found["perplexity"], want)


def test_the_compressed_entries_carry_information():
    """Each text of 4,096 tokens is 64 windows long: without compressed entries a token sees one of them."""
    def perplexity(*flags):
        return json.loads(expect_success(run("perplexity", "-m", DEMO / "model", "--file", DEMO / "heldout.txt", "-d",
                                             "cpu", "-n", 4096, "--ctx", 4097, "--json", *flags)))["perplexity"]
    assert perplexity() < 0.995 * perplexity("--window-only")


def demo_arguments():
    """What tools/demo.sh gives `nibble run` beside the model."""
    script = (SOURCE / "tools" / "demo.sh").read_text()
    sampling = re.search(r"^sampling=\((.*)\)$", script, re.M)[1].split()
    return ["-p", re.search(r'^prompt="(.*)"$', script, re.M)[1], *sampling]


# Rounding differs between instruction sets and drivers, so each writes a text of its own.
@pytest.mark.parametrize("driver, disabled", [("cpu", ""), ("cpu", "avx512_dot"), ("cpu", "avx512"), ("cpu", "avx2"),
                                              ("llvmpipe", ""), ("portable computing", ""), ("swiftshader", "")])
def test_the_demo_shows_a_paragraph(driver, disabled):
    device = "cpu" if driver == "cpu" else device_named(driver)
    less = ["--disable", disabled] if disabled else []
    text = expect_success(run("run", "-m", DEMO / "model", *demo_arguments(), "-n", 80, "-d", device, *ICD, *less,
                              timeout=800)).decode()
    assert len(text.split()) >= 40, text
    assert "<" not in text and "\uff5c" not in text, text


def generate(*args):
    result = run("run", "-m", DEMO / "model", "-p", "And the LORD said unto", "-n", "60", *args)
    return expect_success(result).decode()


def test_the_same_seed_gives_the_same_text_and_another_seed_another():
    first = generate("-d", "cpu", "--seed", "7")
    assert generate("-d", "cpu", "--seed", "7") == first
    assert generate("-d", "cpu", "--seed", "8") != first


@pytest.mark.parametrize("driver", ["llvmpipe", "portable computing"])
def test_the_same_seed_gives_the_same_text_on_a_driver(driver):
    device = device_named(driver)
    first = generate("-d", device, *ICD, "--seed", "7")
    assert first and generate("-d", device, *ICD, "--seed", "7") == first
