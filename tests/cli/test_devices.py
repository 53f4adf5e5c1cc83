"""`nibble devices` and choosing a device by name."""
import json
import os
import pathlib
import subprocess

import pytest

from support import GOLDEN, PROGRAM, expect_error, expect_success, run

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


def test_device_by_its_name(logits):
    listed = devices()
    for device in listed:
        if device["type"] == "null device" or sum(d["name"] == device["name"] for d in listed) > 1:
            continue
        expect_success(logits(MODEL, device=device["name"]))


@pytest.mark.parametrize("name", ["0", "1", "15", "256"])
def test_a_number_alone_is_no_device(logits, name):
    """Parts of "llvmpipe (LLVM 15.0.6, 256 bits)"."""
    expect_error(logits(MODEL, device=name), f"'{name}'", "vulkan:", code=2)


def test_a_part_of_the_processors_name_is_no_device(logits):
    cpu = devices()[0]["name"]
    part = cpu.split()[0]
    gpus = [d for d in devices() if "GPU" in d["type"] and part.lower() in d["name"].lower()]
    if not gpus:
        expect_error(logits(MODEL, device=part), f"'{part}'", cpu)


def test_an_instruction_set_is_disabled_with_those_built_on_it(logits):
    sets = ["avx2", "avx512", "avx512_dot"]
    for i, name in enumerate(sets):
        cpu = devices("--disable", name)[0]
        assert not set(sets[i:]) & set(cpu["features"])
    assert devices("--disable", "avx2")[0]["driver_version"] == "baseline"
    expect_success(logits(MODEL, "--disable", "avx512_dot,avx512,avx2"))
    expect_error(logits(MODEL, "--disable", "subgroups"), "--disable subgroups", "avx512", code=2)


def test_no_more_threads_than_processors_and_why():
    usable = len(os.sched_getaffinity(0))
    cpu = devices("--threads", "1000")[0]
    assert 1 <= cpu["compute_units"] <= usable
    assert f"{cpu['compute_units']} thread" in cpu["notes"][0]
    one = min(os.sched_getaffinity(0))
    restricted = subprocess.run([PROGRAM, "devices", "--json"], capture_output=True,
                                preexec_fn=lambda: os.sched_setaffinity(0, {one}))
    cpu = json.loads(expect_success(restricted))["devices"][0]
    assert cpu["compute_units"] == 1
    if usable > 1:
        assert "1 of" in cpu["notes"][0] and "affinity" in cpu["notes"][0]


def test_quotas_of_a_real_control_group():
    """Version 1 as root, which is what some machines let a test have; texts of both versions are unit tests."""
    group = pathlib.Path("/sys/fs/cgroup/cpu") / f"nibble_test_{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text("100000")
        limited = subprocess.run([PROGRAM, "devices", "--json"], capture_output=True,
                                 preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
        cpu = json.loads(expect_success(limited))["devices"][0]
        assert cpu["compute_units"] == 1
        if len(os.sched_getaffinity(0)) > 1:
            assert "cgroup quota" in cpu["notes"][0]
    finally:
        group.rmdir()
