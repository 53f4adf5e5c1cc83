"""Running the program as a user does, and damaging checkpoints."""
import json
import os
import pathlib
import shutil
import struct
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = SOURCE / "tests" / "golden" / "models"
PROGRAM = os.environ.get("NIBBLE_PROGRAM", str(SOURCE / "build" / "dev" / "nibble"))
# A sanitizer's build has handlers for crashes and checks at the program's end of its own.
IS_SANITIZED = b"__asan_init" in pathlib.Path(PROGRAM).read_bytes()


def run(*args, env=None, stdin=None, timeout=300):
    """Runs `nibble args…`; `env` is added to the environment, `stdin` is bytes (none: /dev/null)."""
    return subprocess.run([PROGRAM, *map(str, args)], env={**os.environ, **(env or {})}, input=stdin or b"",
                          capture_output=True, timeout=timeout)


def expect_error(result, *words, code=None):
    """One line on stderr that names the thing, nothing on stdout, a plain exit code."""
    stderr = result.stderr.decode("utf-8", "replace")
    assert result.returncode in ((1, 2) if code is None else (code,)), f"exit {result.returncode}: {stderr}"
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith("nibble: error: "), stderr
    assert result.stdout == b""
    for word in words:
        assert word in lines[0], f"no '{word}' in: {lines[0]}"
    assert len(lines[0]) < 600, f"{len(lines[0])} characters: {lines[0][:200]}"


def expect_success(result):
    assert result.returncode == 0, result.stderr.decode("utf-8", "replace")
    return result.stdout


def copy_model(name, to):
    """A copy of a golden model's checkpoint that a test may damage."""
    to.mkdir()
    for file in (GOLDEN / name).iterdir():
        if file.is_file():
            shutil.copyfile(file, to / file.name)
    return to


def edit_json(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


class Shard:
    """A safetensors file taken apart: change `header` or `data`, then write()."""

    def __init__(self, path):
        self.path = path
        raw = path.read_bytes()
        size = struct.unpack("<Q", raw[:8])[0]
        self.header = json.loads(raw[8:8 + size])
        self.data = raw[8 + size:]

    def names(self):
        return [name for name in self.header if name != "__metadata__"]

    def find(self, ending):
        return next(name for name in self.names() if name.endswith(ending))

    def write(self, header_text=None, length=None):
        text = (json.dumps(self.header) if header_text is None else header_text).encode()
        size = len(text) if length is None else length
        self.path.write_bytes(struct.pack("<Q", size) + text + self.data)
