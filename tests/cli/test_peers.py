"""bench/peers: what the scripts say where the peer is missing; with it they are run by hand."""
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "bench" / "peers" / "ggml_moe.py"


def run_script(*args):
    return subprocess.run([sys.executable, SCRIPT, *args], capture_output=True, text=True, timeout=60)


def test_missing_library_gets_one_line(tmp_path):
    result = run_script("--library", tmp_path / "libggml-cpu.so")
    assert result.returncode == 1
    assert "libggml-cpu.so" in result.stderr and len(result.stderr.splitlines()) == 1


def test_library_without_ggml_gets_one_line():
    result = run_script("--library", "libc.so.6")
    assert result.returncode == 1
    assert "ggml_cpu_init" in result.stderr and len(result.stderr.splitlines()) == 1
