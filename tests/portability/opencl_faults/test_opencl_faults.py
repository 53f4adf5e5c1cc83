"""A conformance run must find each fault that the OpenCL driver beside this file can have, name the probe that shows
it, and find nothing on the driver without a fault."""

import os

import pytest

from fault_checks import ERROR, FAIL, PROBES, RACE, bad_rows, check_attribution, run_conformance

VENDORS = os.environ["NIBBLE_FAULT_VENDORS"]

GROUP = "probe_workgroup_*"

# fault: (the kernels run, the rows that must not pass, the verdicts that these may have, options)
FAULTS = {
    "f16_truncated": (PROBES, ["probe_f16_*"], FAIL),
    "f16_denormals_flushed": (PROBES, ["probe_f16_denormals"], FAIL),
    "barrier_ignored": (PROBES, ["probe_barrier", "probe_workgroup_memory"], RACE),
    "fma_loses_addend": (PROBES, ["probe_f32_fma"], FAIL),
    "inverse_root_approximate": (PROBES, ["probe_f32_inverse_square_root"], FAIL),
    "exponential_approximate": (PROBES, ["probe_f32_exponential"], FAIL),
    "max_is_min": (PROBES, ["probe_f32_extremes"], FAIL),
    "atomic_add_stores": (PROBES, ["probe_workgroup_atomics"], FAIL),
    "group_number_lost": (PROBES, ["probe_indices_*"], FAIL),
    "last_workgroup_skipped": (PROBES, ["probe_large_grid"], FAIL),
    "grid_flattened": (PROBES, ["probe_indices_*"], FAIL),
    "read_loses_tail": (PROBES, ["probe_transfers"], FAIL),
    "write_loses_tail": (PROBES, ["probe_transfers"], FAIL),
    "fill_loses_tail": (PROBES, ["probe_transfers"], FAIL),
    "workgroup_limit_lies": (PROBES, ["probe_workgroup_*"], ERROR),
    "allocation_limit_lies": (PROBES, ["probe_large_grid"], ERROR),
    "crash_in_build": (GROUP, ["probe_workgroup_atomics"], {"crash"}),
    "build_fails": (GROUP, ["probe_workgroup_atomics"], ERROR),
    "hang_in_wait": (GROUP, ["probe_workgroup_atomics"], {"hang"}, ["--time-limit", "3"]),
    "device_lost": (GROUP, ["probe_workgroup_atomics"], ERROR),
    "device_lost_late": (GROUP, ["probe_workgroup_atomics"], ERROR),
}

# Most workgroups, the last word of every buffer.
BREAKS_ALMOST_ALL = ("workgroup_limit_lies", "allocation_limit_lies", "last_workgroup_skipped", "read_loses_tail",
                     "write_loses_tail")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What PoCL made of the texts that faults leave alone: a minute for all probes."""
    return tmp_path_factory.mktemp("pocl")


def conformance(tmp_path, compiled, fault, kernels, options):
    """Rows that did not pass, and how many rows there were."""
    report = tmp_path / "report.json"
    env = dict(os.environ, OCL_ICD_VENDORS=VENDORS, NIBBLE_FAULT=fault, XDG_CACHE_HOME=str(tmp_path / "cache"),
               POCL_CACHE_DIR=str(compiled))
    return bad_rows(report, run_conformance(report, env, "opencl:0", kernels, options))


def test_no_fault_no_alarm(tmp_path, compiled):
    bad, count = conformance(tmp_path, compiled, "", PROBES, [])
    assert bad == [] and count > 40


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found_and_named(tmp_path, compiled, fault):
    kernels, guilty, verdicts, *options = FAULTS[fault]
    bad, _ = conformance(tmp_path, compiled, fault, kernels, options[0] if options else [])
    check_attribution(bad, kernels, guilty, verdicts, fault in BREAKS_ALMOST_ALL)
