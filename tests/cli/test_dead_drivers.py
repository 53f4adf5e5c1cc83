"""Drivers that end the process which loads them, or never come back: one is not everybody's end, and it is named."""
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest

from support import IS_SANITIZED, SOURCE, expect_error, expect_success, run

MODEL = SOURCE / "tools" / "demo" / "model"
GCC = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
LAVAPIPE = next(pathlib.Path("/usr/share/vulkan/icd.d").glob("lvp_icd*.json"), None)
POCL = pathlib.Path("/etc/OpenCL/vendors/pocl.icd")
pytestmark = pytest.mark.skipif(GCC is None, reason="no C compiler to build drivers with")
needs_own_end = pytest.mark.skipif(IS_SANITIZED, reason="a sanitizer sees to crashes and to the program's end itself")

AT_LOAD = "__attribute__((constructor)) static void at_load(void) { %s; }"
DRIVERS = {
    "abort": ("#include <stdlib.h>\n" + AT_LOAD % "abort()", "signal 6 (Aborted)"),
    "exit0": ("#include <stdlib.h>\n" + AT_LOAD % "exit(0)", "exit code 0"),
    "exit1": ("#include <stdlib.h>\n" + AT_LOAD % "_Exit(1)", "exit code 1"),
    "hang": ("#include <unistd.h>\n" + AT_LOAD % "for (;;) sleep(1)", "gave no answer within"),
    "segv": ("void* vk_icdGetInstanceProcAddr(void* i, const char* n) { return *(void* volatile*)8; }\n"
             "void* clGetExtensionFunctionAddress(const char* n) { return *(void* volatile*)8; }\n"
             "int vk_icdNegotiateLoaderICDInterfaceVersion(unsigned* v) { *v = 5; return 0; }\n",
             "signal 11 (Segmentation fault)"),
}


@pytest.fixture(scope="session")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drivers")
    for name, (text, _) in DRIVERS.items():
        subprocess.run([GCC, "-shared", "-fPIC", "-x", "c", "-", "-o", folder / f"lib{name}.so"], check=True,
                       input=text.encode())
    return folder


def vulkan(folder, *names, others=()):
    """The environment in which these are Vulkan's drivers, and `others`: manifests that are there already."""
    paths = list(map(str, others))
    for name in names:
        path = folder / f"{name}.json"
        path.write_text(json.dumps({"file_format_version": "1.0.0",
                                    "ICD": {"library_path": str(folder / f"lib{name}.so"), "api_version": "1.1.0"}}))
        paths.append(str(path))
    return {"VK_DRIVER_FILES": ":".join(paths), "VK_ICD_FILENAMES": ":".join(paths)}


def opencl(tmp_path, folder, *names, others=()):
    vendors = tmp_path / "vendors"
    vendors.mkdir()
    for name in names:
        (vendors / f"{name}.icd").write_text(f"{folder / f'lib{name}.so'}\n")
    for other in others:
        shutil.copy(other, vendors)
    return {"OCL_ICD_VENDORS": str(vendors)}


@pytest.fixture
def environment(tmp_path):
    """No driver but those that a test names, and a cache of its own. Sanitizers leave crashes alone."""
    none = tmp_path / "none"
    none.mkdir()
    return {"VK_DRIVER_FILES": str(none / "none.json"), "VK_ICD_FILENAMES": str(none / "none.json"),
            "OCL_ICD_VENDORS": f"{none}/", "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "ASAN_OPTIONS": ":".join([*filter(None, [os.environ.get("ASAN_OPTIONS")]), "handle_segv=0"])}


def generate(*args, env):
    return run("run", "-m", MODEL, "-p", "hi", "-n", "2", "--temp", "0", *args, env=env)


def plan(*args, env):
    """Opens a device like `run`, and compiles nothing for it."""
    return run("plan", "-m", MODEL, *args, env=env)


def limit(kind):
    return "--driver-time", "1.5" if kind == "hang" else "30"


@pytest.mark.parametrize("kind", DRIVERS)
def test_a_dead_vulkan_driver_is_named_and_the_rest_works(kind, libraries, environment):
    env = environment | vulkan(libraries, kind)
    how = DRIVERS[kind][1]
    listed = json.loads(expect_success(run("devices", "--json", *limit(kind), env=env)))
    assert [device["id"] for device in listed["devices"]] == ["cpu"]
    assert any(f"{kind}.json" in problem and how in problem for problem in listed["problems"]), listed["problems"]
    result = generate(*limit(kind), env=env)
    expect_success(result)
    assert result.stdout.strip()
    assert b"warning" in result.stderr and f"{kind}.json".encode() in result.stderr
    expect_error(generate("-d", "vulkan:0", *limit(kind), env=env), "vulkan:0", f"{kind}.json", how, code=1)
    conformance = run("conformance", "-d", "vulkan:0", "--kernel", "rms_norm*", *limit(kind), env=env)
    expect_error(conformance, f"{kind}.json", how, code=1)


@pytest.mark.skipif(not POCL.exists(), reason="PoCL is not installed")
@pytest.mark.parametrize("kind", DRIVERS)
def test_a_dead_opencl_driver_leaves_the_others(kind, libraries, environment, tmp_path):
    env = environment | opencl(tmp_path, libraries, kind, others=[POCL])
    how = DRIVERS[kind][1]
    seconds = "4" if kind == "hang" else "30"
    listed = json.loads(expect_success(run("devices", "--json", "--driver-time", seconds, env=env)))
    assert [device["backend"] for device in listed["devices"]] == ["cpu", "opencl"], listed["problems"]
    assert any(f"{kind}.icd" in problem and how in problem for problem in listed["problems"]), listed["problems"]


@pytest.mark.skipif(LAVAPIPE is None, reason="lavapipe is not installed")
def test_one_dead_driver_among_good_ones(libraries, environment):
    env = environment | vulkan(libraries, "abort", others=[LAVAPIPE])
    result = plan("-d", "lavapipe", env=env)
    assert b"device   vulkan:0" in expect_success(result)
    assert b"abort.json" in result.stderr and b"left out" in result.stderr
    # By name it is tested; a run of everything there is has not tested everything.
    some = run("conformance", "-d", "vulkan:0", "--kernel", "ring_commit_u32", env=env)
    assert some.returncode == 0, some.stderr
    all_devices = run("conformance", "--kernel", "ring_commit_u32", env=env)
    assert all_devices.returncode == 1 and b"abort.json" in all_devices.stderr
    # As one more driver than the system's.
    manifest = str(libraries / "abort.json")
    added = plan("-d", "lavapipe", "--icd", manifest, env=environment | vulkan(libraries, others=[LAVAPIPE]))
    expect_success(added)
    assert b"abort.json" in added.stderr


@pytest.mark.skipif(not POCL.exists(), reason="PoCL is not installed")
def test_a_name_of_one_api_leaves_the_other_alone(libraries, environment, tmp_path):
    env = environment | vulkan(libraries, "abort") | opencl(tmp_path, libraries, others=[POCL])
    result = plan("-d", "opencl:0", env=env)
    assert b"device   opencl:0" in expect_success(result)
    assert b"nibble: warning" not in result.stderr
    expect_success(plan("-d", "cpu", env=env | {"OCL_ICD_VENDORS": str(libraries / "libabort.so")}))


def test_what_was_found_is_kept_until_it_is_asked_for(libraries, environment, tmp_path):
    env = environment | vulkan(libraries, "hang")
    expect_success(generate("--driver-time", "1", env=env))
    kept = list((tmp_path / "cache" / "nibble" / "vulkan").iterdir())
    assert kept
    begin = time.monotonic()
    again = generate("--driver-time", "3600", env=env)  # asked, it would take an hour
    expect_success(again)
    assert b"hang.json" in again.stderr and time.monotonic() - begin < 600
    # Another library behind the manifest is another driver.
    shutil.copy(libraries / "libexit1.so", libraries / "libreplaced.so")
    env = environment | vulkan(libraries, "replaced")
    assert b"exit code 1" in generate(env=env).stderr
    shutil.copy(libraries / "libabort.so", libraries / "libreplaced.so")
    assert b"Aborted" in generate(env=env).stderr


@pytest.mark.skipif(LAVAPIPE is None, reason="lavapipe is not installed")
def test_a_layer_that_nobody_asked_for_is_switched_off(libraries, environment, tmp_path):
    layers = tmp_path / "config" / "vulkan" / "implicit_layer.d"
    layers.mkdir(parents=True)
    (layers / "bad.json").write_text(json.dumps({
        "file_format_version": "1.1.2",
        "layer": {"name": "VK_LAYER_TEST_bad", "type": "INSTANCE", "library_path": str(libraries / "libabort.so"),
                  "api_version": "1.3.0", "implementation_version": "1", "description": "aborts",
                  "disable_environment": {"TEST_BAD_LAYER_OFF": "1"}}}))
    env = environment | vulkan(libraries, others=[LAVAPIPE]) | {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    result = plan("-d", "lavapipe", env=env)
    assert b"device   vulkan:0" in expect_success(result)
    assert b"VK_LAYER_TEST_bad" in result.stderr and b"switched off" in result.stderr


def test_manifests_without_a_library_are_listed(libraries, environment, tmp_path):
    text = tmp_path / "text.so"
    text.write_text("no library")
    (tmp_path / "text.json").write_text(json.dumps({"ICD": {"library_path": str(text), "api_version": "1.1.0"}}))
    (tmp_path / "nothing.json").write_text("{")
    others = [tmp_path / "text.json", tmp_path / "nothing.json"]
    env = environment | vulkan(libraries, "missing", others=others)
    problems = " | ".join(json.loads(expect_success(run("devices", "--json", env=env)))["problems"])
    for words in ("missing.json", "is not there", "text.json", "is no library", "nothing.json", "is not JSON"):
        assert words in problems
    expect_success(generate(env=env))


NOISY = """
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void at_load(void) {
  printf("noise\\n");
  fflush(stdout);
  if (write(1, "loud\\n", 5) != 5) _exit(9);
}
__attribute__((destructor)) static void at_end(void) { _exit(7); }
"""


@needs_own_end
def test_a_driver_that_prints_and_ends_badly_changes_no_result(libraries, environment):
    subprocess.run([GCC, "-shared", "-fPIC", "-x", "c", "-", "-o", libraries / "libnoisy.so"], check=True,
                   input=NOISY.encode())
    env = environment | vulkan(libraries, "noisy")
    json.loads(expect_success(run("devices", "--json", env=env)))
    json.loads(expect_success(generate("--json", env=env)))


# Calls of a driver that is good where its devices are listed; the library stands in front of OpenCL's loader.
LATER = {
    "crashes": ("clCreateContext", "abort()", -6, b"signal 6 (Aborted) while opening opencl:0"),
    "exits": ("clCreateContext", "exit(0)", 1, b"ended by a driver while opening opencl:0"),
    "crashes after the work": ("clReleaseContext", "abort()", 0, b"after the work was done"),
    "exits after the work": ("clReleaseContext", "exit(3)", 0, b""),
}


@needs_own_end
@pytest.mark.skipif(not POCL.exists(), reason="PoCL is not installed")
@pytest.mark.parametrize("what", LATER)
def test_a_driver_that_dies_later_is_named_and_spoils_no_result(what, environment, tmp_path):
    call, ending, code, words = LATER[what]
    library = tmp_path / "later.so"
    subprocess.run([GCC, "-shared", "-fPIC", "-x", "c", "-", "-o", library], check=True,
                   input=f"#include <stdlib.h>\nvoid* {call}(void) {{ {ending}; return 0; }}\n".encode())
    env = environment | opencl(tmp_path, tmp_path, others=[POCL]) | {"LD_PRELOAD": str(library)}
    result = plan("-d", "opencl:0", env=env)
    assert result.returncode == code, result.stderr
    assert words in result.stderr


def test_a_run_that_tests_nothing_is_no_success(environment):
    result = run("conformance", "-d", "cpu", "--kernel", "gemm_fp8_f32__wide*", env=environment)
    assert result.returncode != 0, result.stdout
