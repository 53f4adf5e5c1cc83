"""A conformance run must find each fault that the Vulkan layer beside this file can give lavapipe, name the probe or
kernel that shows it, and find nothing on the driver without a fault."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from fault_checks import ERROR, FAIL, PROBES, RACE, bad_rows, check_attribution, run_conformance

LAYERS = os.environ["NIBBLE_FAULT_LAYERS"]
MODEL = str(pathlib.Path(__file__).parents[2] / "golden" / "models" / "tiny-1-swa-csa")

# fault: (the kernels run, the rows that must not pass, the verdicts that these may have, options)
COPIES = ["--disable", "mapped_memory"]
FAULTS = {
    "subgroup_add_is_max": (PROBES, ["probe_subgroup_*"], FAIL),
    "subgroup_add_is_scan": (PROBES, ["probe_subgroup_*"], FAIL),
    "subgroup_add_alone": (PROBES, ["probe_subgroup_*"], FAIL),
    "barrier_ignored": (PROBES, ["probe_barrier", "probe_workgroup_memory"], RACE),
    "f16_truncated": (PROBES, ["probe_f16_*"], FAIL),
    "f16_denormals_flushed": (PROBES, ["probe_f16_denormals"], FAIL),
    "constant_off_by_one": ("gemm_fp8_f32__*", ["gemm_fp8_f32__*"], FAIL),
    "last_multiply_is_add": (PROBES, ["probe_f32_multiply"], FAIL),
    "compare_saturates": (PROBES, ["probe_u32_compare", "probe_long_loop"], FAIL),
    "negate_dropped": (PROBES, ["probe_f32_extremes"], FAIL),
    "shift_is_arithmetic": (PROBES, ["probe_u32_shifts"], FAIL),
    "fma_loses_addend": (PROBES, ["probe_f32_fma"], FAIL),
    "division_approximate": (PROBES, ["probe_f32_divide"], FAIL),
    "inverse_root_approximate": (PROBES, ["probe_f32_inverse_square_root"], FAIL),
    "exponential_approximate": (PROBES, ["probe_f32_exponential"], FAIL),
    "add_truncates": (PROBES, ["probe_f32_add"], FAIL),
    "multiply_truncates": (PROBES, ["probe_f32_multiply"], FAIL),
    "clamp_ignores_low": (PROBES, ["probe_f32_extremes"], FAIL),
    "max_is_min": (PROBES, ["probe_f32_extremes"], FAIL),
    "division_by_float": (PROBES, ["probe_u32_arithmetic"], FAIL),
    "conversion_signed": (PROBES, ["probe_u32_to_f32"], FAIL),
    "dot_is_unsigned": (PROBES, ["probe_int8_dot"], FAIL),
    "truncation_rounds": (PROBES, ["probe_f32_to_u32"], FAIL),
    "workgroup_size_stale": (PROBES, ["probe_indices_*"], FAIL),
    "atomic_is_not_atomic": (PROBES, ["probe_workgroup_atomics"], FAIL),
    "less_is_less_equal": (PROBES, ["probe_f32_compare"], FAIL),
    "third_part_is_second": (PROBES, ["probe_vectors"], FAIL),
    "buffer_clamped_early": (PROBES, ["probe_edge_words"], FAIL),
    "private_array_wraps": (PROBES, ["probe_private_array"], FAIL),
    "barrier_lost": (PROBES, ["probe_dispatch_chain", "probe_overwrite"], FAIL),
    "last_workgroup_skipped": (PROBES, ["probe_large_grid"], FAIL),
    "grid_flattened": (PROBES, ["probe_indices_*"], FAIL),
    "push_stale": (PROBES, ["probe_dispatch_chain", "probe_views"], FAIL),
    "push_truncated": (PROBES, ["probe_params"], FAIL),
    "descriptor_offset_coarse": (PROBES, ["probe_views"], FAIL),
    "descriptor_offset_wraps": ("probe_far_*", ["probe_far_views"], FAIL, ["--full"]),
    "range_limit_lies": (PROBES, ["probe_large_grid", "probe_dispatch_chain"], FAIL),
    "texel_offset_ignored": (PROBES, ["probe_texels"], FAIL),
    "copy_loses_tail": (PROBES, ["probe_transfers"], FAIL, COPIES),
    "fill_loses_tail": (PROBES, ["probe_transfers"], FAIL, COPIES),
    "indirect_grid_stale": (PROBES, ["probe_replay"], FAIL),
    "flaky_word": (PROBES, ["probe_repeats"], FAIL),
    "crash_in_pipeline": ("probe_subgroup_*", ["probe_subgroup_*"], {"crash"}),
    "pipeline_fails": (PROBES, ["probe_workgroup_atomics"], ERROR),
    "subgroup_size_ignored": ("probe_subgroup_*", ["probe_subgroup_size__subgroups@*"], FAIL, ["--full"]),
    "hang_in_wait": ("probe_workgroup_*", ["probe_workgroup_atomics"], {"hang"}, ["--time-limit", "3"]),
    "device_lost": ("probe_workgroup_*", ["probe_workgroup_atomics"], ERROR),
    "device_lost_late": ("probe_repeats", ["probe_repeats"], ERROR),
}

# Half the invocations of every kernel, the last word of every buffer, the tail of every upload.
BREAKS_ALMOST_ALL = ("workgroup_size_stale", "buffer_clamped_early", "copy_loses_tail")


def with_fault(fault):
    return dict(os.environ, VK_LAYER_PATH=LAYERS, VK_INSTANCE_LAYERS="VK_LAYER_NIBBLE_fault", NIBBLE_FAULT=fault)


def conformance(tmp_path, fault, kernels, options):
    """Rows that did not pass, and how many rows there were."""
    report = tmp_path / "report.json"
    env = dict(with_fault(fault), XDG_CACHE_HOME=str(tmp_path / "cache"))
    result = run_conformance(report, env, "llvmpipe", kernels, options)
    if "found" in result.stderr and "llvmpipe" in result.stderr and not report.exists():
        pytest.skip("lavapipe is not installed")
    return bad_rows(report, result)


def test_no_fault_no_alarm(tmp_path):
    bad, count = conformance(tmp_path, "", PROBES, [])
    assert bad == [] and count > 60


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found_and_named(tmp_path, fault):
    kernels, guilty, verdicts, *options = FAULTS[fault]
    bad, _ = conformance(tmp_path, fault, kernels, options[0] if options else [])
    check_attribution(bad, kernels, guilty, verdicts, fault in BREAKS_ALMOST_ALL)


def test_the_size_of_subgroups_that_is_asked_for_reaches_the_kernels(tmp_path):
    bad, _ = conformance(tmp_path, "subgroup_size_ignored", "probe_subgroup_size", ["--subgroup-size", "16"])
    assert [row["message"] for row in bad] == ["invocation 0: its subgroup has room for 8, want 16"]


# A matrix product with step words and an indirect grid; texel views; copies through staging buffers; a driver that
# takes the process with it.
@pytest.mark.parametrize("fault, kernel, options", [
    ("constant_off_by_one", "gemm_fp8_f32__portable", []),
    ("texel_offset_ignored", "probe_texels", []),
    ("copy_loses_tail", "add_broadcast_f32__portable", COPIES),
    ("crash_in_pipeline", "probe_subgroup_64", []),
])
@pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ to build reproducers with")
def test_reproducer_shows_the_fault_without_nibble(tmp_path, fault, kernel, options):
    bad, _ = conformance(tmp_path, fault, kernel, ["--repro", str(tmp_path / "repro"), *options])
    row, = [row for row in bad if row["reproducer"]]
    folder = pathlib.Path(row["reproducer"])
    assert folder == tmp_path / "repro" / f"{row['kernel']}__{row['variant']}" / row["case"]
    files = {file.name for file in folder.iterdir()}
    assert {"kernel.spv", "kernel.comp", "repro.cpp", "report.md"} <= files
    assert any(name.startswith("found_") for name in files) == (row["verdict"] == "fail")
    report = (folder / "report.md").read_text()
    assert row["message"] in report and "llvmpipe" in report

    build = next(line for line in report.splitlines() if "g++" in line).split("&&")[0].split()
    subprocess.run(build, cwd=folder, check=True, timeout=60)
    for env, code, word in [(with_fault(fault), 1, "FAIL: "), (dict(os.environ), 0, "PASS")]:
        result = subprocess.run(["./repro", "llvmpipe"], cwd=folder, env=env, capture_output=True, text=True,
                                timeout=120)
        assert result.returncode == code, result.stdout + result.stderr
        assert result.stdout.splitlines()[-1].startswith(word)


@pytest.mark.parametrize("fault, kernel, smallest", [
    ("buffer_clamped_early", "gemm_bf16_f32__gemv", "rows=1,cols=32"),
    ("buffer_clamped_early", "moe_up_fp4_f32__texels", "rows=1,cols=32,k=2"),
])
def test_reduce_finds_how_small_it_still_fails(tmp_path, fault, kernel, smallest):
    bad, _ = conformance(tmp_path, fault, kernel, ["--reduce"])
    assert [row["smallest"] for row in bad if "smallest" in row] == [smallest]


def test_probe_of_several_dispatches_says_that_it_has_no_reproducer(tmp_path):
    bad, _ = conformance(tmp_path, "barrier_lost", "probe_dispatch_chain", ["--repro", str(tmp_path / "repro")])
    assert [row["reproducer"].split(":")[0] for row in bad] == ["none"]
    assert not (tmp_path / "repro").exists()


# A model on the driver: the kernel that is wrong is named with its layer, and so is an order that is not kept.
MODEL_FAULTS = {
    "": None,
    "exponential_approximate": ("hc_pre_f32", "layers.0.attn.hc_pre", "fail"),
    "barrier_lost": ("model", "logits", "fail"),
    "crash_in_pipeline": ("model", "programs", "crash"),
}


@pytest.mark.parametrize("fault", MODEL_FAULTS)
def test_model_names_the_first_kernel_that_departs(tmp_path, fault):
    bad, count = conformance(tmp_path, fault, "*", ["--model", MODEL])
    if MODEL_FAULTS[fault] is None:
        assert bad == [] and count > 100
        return
    kernel, where, verdict = MODEL_FAULTS[fault]
    assert bad[0]["kernel"] == kernel
    assert bad[0]["case"].startswith(where)
    assert bad[0]["verdict"] == verdict


@pytest.mark.parametrize("fault, kernel, answer", [
    ("subgroup_add_is_max", "probe_subgroup_inactive", "vanishes with --disable subgroups"),
    ("multiply_truncates", "probe_f32_multiply", "fails whatever is disabled"),
])
def test_bisect_names_what_it_needs(tmp_path, fault, kernel, answer):
    conformance(tmp_path, fault, kernel, ["--bisect"])
    notices = json.loads((tmp_path / "report.json").read_text())["devices"][0]["notices"]
    assert f"{kernel}: {answer}" in notices
