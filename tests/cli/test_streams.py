"""Standard streams that are full, closed or without a reader: diagnostics are dropped, and exit codes stay."""
import os
import subprocess

import pytest

from support import GOLDEN, PROGRAM, SOURCE

MODEL = str(SOURCE / "tools" / "demo" / "model")
TINY = str(GOLDEN / "tiny-2-flash-like")
RUN = ["run", "-m", MODEL, "-d", "cpu", "-p", "hi", "-n", "3", "--temp", "0"]
# What is run, and the exit code that it deserves.
WORK = {
    "run": (RUN, 0),
    "run with a warning": (RUN + ["--threads", "1024"], 0),
    "an error": (["run", "-m", "/nonexistent", "-d", "cpu", "-p", "hi"], 1),
    "wrong usage": (["run", "--colour"], 2),
    "no such command": (["fly"], 2),
    "a number out of range": (RUN + ["--ctx", "-1"], 2),
    "a device that is not there": (["run", "-m", MODEL, "-p", "hi", "-d", "cpu:7"], 1),
    "chat": (["chat", "-m", MODEL, "-d", "cpu", "-n", "3", "--temp", "0"], 0),
    "bench": (["bench", "kernel", "rms_norm_rope_f32", "-d", "cpu", "--pairs", "1", "--tokens", "1"], 0),
    "plan": (["plan", "-m", TINY, "-d", "cpu"], 0),
    "devices": (["devices"], 0),
    "conformance": (["conformance", "-d", "cpu", "--kernel", "ring_commit_u32"], 0),
    "help": (["run", "--help"], 0),
    "version": (["--version"], 0),
}


def shell(args, redirection):
    """Runs `nibble args… redirection`; returns its exit code and what came out of stdout."""
    environment = {**os.environ, "VK_DRIVER_FILES": "/nonexistent", "VK_ICD_FILENAMES": "/nonexistent",
                   "OCL_ICD_VENDORS": "/nonexistent/"}
    result = subprocess.run(["sh", "-c", f'"$@" {redirection}', "sh", PROGRAM, *args], input=b"/stats\nhi\n",
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, timeout=300)
    return result.returncode, result.stdout


@pytest.mark.parametrize("name", WORK)
def test_stderr_changes_no_exit_code(name):
    args, code = WORK[name]
    for redirection in ("2>/dev/full", "2>&-"):
        assert shell(args, redirection)[0] == code, redirection


@pytest.mark.parametrize("name", ["run", "run with a warning", "an error", "wrong usage", "chat"])
def test_stderr_whose_reader_is_gone(name):
    args, code = WORK[name]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        result = subprocess.run([PROGRAM, *args], input=b"/stats\nhi\n", stdout=subprocess.PIPE, stderr=broken,
                                timeout=300)
    assert result.returncode == code


@pytest.mark.parametrize("name", ["run", "plan", "devices", "conformance", "bench", "help", "version", "chat"])
def test_results_that_cannot_be_written_are_an_error(name):
    args, _ = WORK[name]
    for redirection in (">/dev/full", ">&-"):
        assert shell(args, redirection)[0] == 1, redirection


@pytest.mark.parametrize("name", ["run", "plan", "devices", "conformance", "help"])
def test_a_reader_of_results_that_is_gone_ends_the_program_as_usual(name):
    args, _ = WORK[name]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        result = subprocess.run([PROGRAM, *args], input=b"", stdout=broken, stderr=subprocess.PIPE, timeout=300)
    assert result.returncode == 141
    assert b"terminate" not in result.stderr


def test_both_streams_full():
    assert shell(RUN, ">/dev/full 2>/dev/full")[0] == 1
    assert shell(["run", "--help"], ">&- 2>&- <&-")[0] == 1
