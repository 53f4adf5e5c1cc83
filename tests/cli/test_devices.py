"""`nibble devices` and choosing a device by name."""
import json
import os
import pathlib

import pytest

from support import GOLDEN, expect_error, expect_success, run

SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json"
MODEL = GOLDEN / "tiny-1-swa-csa"


def devices(*args, env=None):
    return json.loads(expect_success(run("devices", "--json", *args, env=env)))["devices"]


def test_cpu_comes_first_and_ids_are_unique():
    ids = [device["id"] for device in devices()]
    assert ids[0] == "cpu"
    assert len(set(ids)) == len(ids)


def test_exactly_one_device_is_auto_and_no_software_driver_is():
    listed = devices()
    assert sum(device["auto"] for device in listed) == 1
    for device in listed:
        if device["type"] in ("software driver", "null device"):
            assert not device["auto"]
            assert device["not_auto_because"], device["id"]


def test_text_names_every_device():
    text = expect_success(run("devices")).decode()
    for device in devices():
        assert device["id"] in text and device["name"] in text and device["driver_version"] in text


def test_limits_are_lowered_never_raised():
    for before, after in zip(devices(), devices("--limit", "max_range=1MiB", "--limit", "max_allocation=1000GiB")):
        assert after["limits"]["max_range"] == min(before["limits"]["max_range"], 1 << 20)
        assert after["limits"]["max_allocation"] == before["limits"]["max_allocation"]


def test_disabled_capabilities_are_gone():
    names = {feature for device in devices() for feature in device["features"]}
    some = sorted(names)[:2]
    for device in devices("--disable", ",".join(some)):
        assert not set(some) & set(device["features"])


def test_drivers_that_tests_rely_on_are_here():
    """tools/setup.sh --tests installs them; on a machine where it did not run, their tests are skipped elsewhere."""
    if not os.environ.get("NIBBLE_REQUIRE_DRIVERS"):
        pytest.skip("NIBBLE_REQUIRE_DRIVERS is not set")
    names = " | ".join(f"{d['name']} {d['driver']}" for d in devices("--icd", SWIFTSHADER)).lower()
    assert "llvmpipe" in names
    assert "swiftshader" in names
    assert any(d["backend"] == "opencl" for d in devices())


@pytest.mark.skipif(not pathlib.Path(SWIFTSHADER).exists(), reason="Chromium's SwiftShader is not installed")
def test_icd_adds_a_driver_and_keeps_the_others():
    before = {d["name"] for d in devices()}
    after = {d["name"] for d in devices("--icd", SWIFTSHADER)}
    assert before <= after
    assert any("SwiftShader" in name for name in after - before)


def test_no_drivers_leaves_the_cpu_and_says_why():
    env = {"VK_DRIVER_FILES": "/nonexistent", "VK_ICD_FILENAMES": "/nonexistent", "OCL_ICD_VENDORS": "/nonexistent/"}
    result = json.loads(expect_success(run("devices", "--json", env=env)))
    assert [device["id"] for device in result["devices"]] == ["cpu"]
    assert len(result["problems"]) == 2


def test_device_by_part_of_its_name(logits):
    for device in devices():
        if device["type"] == "null device":
            continue
        same = [d for d in devices() if device["name"].lower() in d["name"].lower()]
        result = logits(MODEL, device=device["name"])
        if len(same) == 1:
            expect_success(result)
        else:
            expect_error(result, *[d["id"] for d in same], code=2)
