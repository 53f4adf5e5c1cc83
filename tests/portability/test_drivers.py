"""`nibble conformance --quick` on every driver that is installed: all as expected/<driver>.json says."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

PROGRAM = os.environ["NIBBLE_PROGRAM"]
SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json"
DRIVERS = {
    "lavapipe": ["-d", "llvmpipe"],
    "swiftshader": ["-d", "swiftshader", "--icd", SWIFTSHADER],
    "pocl": ["-d", "opencl:0"],
    "intel_cpu": ["-d", "opencl:0"],
}
# pip put it beside this Python; it is not among the system's drivers.
INTEL = pathlib.Path(sys.prefix) / "lib/libintelocl.so"


def missing(driver):
    """Says so, or fails where all drivers must be there."""
    message = f"{driver} is not installed"
    if os.environ.get("NIBBLE_REQUIRE_DRIVERS"):
        pytest.fail(message)
    pytest.skip(message)


def test_oclgrind_sees_no_race_and_nothing_uninitialised(tmp_path):
    """A simulator: small cases of the texts that every device can run."""
    if not shutil.which("oclgrind"):
        missing("oclgrind")
    report, log = tmp_path / "report.json", tmp_path / "oclgrind.log"
    env = dict(os.environ, OCL_ICD_VENDORS=os.environ["NIBBLE_OCLGRIND_VENDORS"], OCLGRIND_DATA_RACES="1",
               OCLGRIND_UNINITIALIZED="1", OCLGRIND_LOG=str(log))
    result = subprocess.run([PROGRAM, "conformance", "-d", "opencl:0", "--kernel", "*__portable", "--json", report],
                            env=env, capture_output=True, text=True, timeout=1500)
    assert result.returncode == 0, result.stdout + result.stderr
    device, = json.loads(report.read_text())["devices"]
    assert device["label"] == "oclgrind" and device["totals"]["pass"] > 70
    assert not log.exists() or log.read_text().strip() == ""


@pytest.mark.parametrize("driver", DRIVERS)
def test_driver_is_as_expected(tmp_path, driver):
    if driver == "swiftshader" and not pathlib.Path(SWIFTSHADER).exists():
        missing(driver)
    env = dict(os.environ)
    if driver == "intel_cpu":
        if not INTEL.exists():
            pytest.skip("intel_cpu is not installed")  # optional in CI as well: it is not there for all processors
        (tmp_path / "intel.icd").write_text(f"{INTEL}\n")
        env |= {"OCL_ICD_VENDORS": str(tmp_path), "LD_LIBRARY_PATH": str(INTEL.parent)}
    report = tmp_path / "report.json"
    result = subprocess.run([PROGRAM, "conformance", "--quick", "--json", report, *DRIVERS[driver]],
                            env=env, capture_output=True, text=True, timeout=1500)
    if not report.exists() and "nibble: error" in result.stderr and "found" in result.stderr:
        missing(driver)
    assert report.exists(), result.stderr
    device, = json.loads(report.read_text())["devices"]
    if device["label"] != driver:
        missing(driver)
    unexpected = [row for row in device["rows"] if row["unexpected"]]
    assert result.returncode == (1 if unexpected else 0), result.stderr
    assert unexpected == [], result.stdout
    assert device["totals"]["pass"] > 300
