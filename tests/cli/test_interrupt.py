"""Ctrl-C: long work notices it between its pieces, and what was done of it is kept."""
import signal
import subprocess
import time

import pytest

from support import PROGRAM, SOURCE, expect_success, run

DEMO = SOURCE / "tools" / "demo" / "model"
LONG = "In the beginning God created the heaven. " * 900


def start(*args):
    return subprocess.Popen([PROGRAM, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def chat(*args):
    return start("chat", "-m", DEMO, "-d", "cpu", "--ctx", "16384", "--chunk", "64", "--temp", "0", "-n", "8", *args)


def send(process, *lines):
    process.stdin.write("".join(f"{line}\n" for line in lines).encode())
    process.stdin.flush()


def finish(process, timeout=60):
    """Waits for the program; its exit code and what it wrote."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out.decode(), err.decode()


def wait_for_prefill(process):
    time.sleep(0.7)
    assert process.poll() is None


@pytest.mark.parametrize("presses", [1, 3])
def test_chat_keeps_what_was_read(tmp_path, presses):
    """The question is taken back, the conversation goes on, and what it saves is whole."""
    process = chat()
    send(process, "Who made heaven?", LONG)
    wait_for_prefill(process)
    for _ in range(presses):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    begin = time.monotonic()
    send(process, "And man?", f"/save {tmp_path / 'a.session'}", "/quit")
    code, out, err = finish(process)
    assert code == 0, err
    assert time.monotonic() - begin < 15
    assert "tokens of the question, which is not part of the conversation" in err
    assert "saved 2 questions" in err
    whole = expect_success(run("chat", "-m", DEMO, "-d", "cpu", "--ctx", "16384", "--chunk", "64", "--temp", "0", "-n",
                               "8", stdin=b"Who made heaven?\nAnd man?\n")).decode()
    assert out == whole
    loaded = run("chat", "-m", DEMO, "-d", "cpu", "--chunk", "64", "-n", "8", "--temp", "0",
                 stdin=f"/load {tmp_path / 'a.session'}\nx\n".encode())
    assert b"loaded 2 questions" in loaded.stderr


def test_chat_goes_on_from_what_was_read():
    process = chat()
    send(process, LONG)
    wait_for_prefill(process)
    process.send_signal(signal.SIGINT)
    send(process, LONG, "/stats", "/quit")
    code, _, err = finish(process, timeout=120)
    assert code == 0, err
    stopped = int(err.split("stopped after ")[1].split()[0])
    again = int(err.split("prompt ")[1].split()[0])
    whole = stopped + again
    assert stopped >= 64 and stopped % 64 == 0
    assert whole > 9000, "the chunks that were read are not read again"


def test_run_saves_what_was_read(tmp_path):
    path = tmp_path / "a.session"
    prompt = tmp_path / "prompt.txt"
    prompt.write_text(LONG)
    base = ["run", "-m", DEMO, "-d", "cpu", "--ctx", "16384", "--chunk", "64", "--temp", "0", "-n", "5"]
    process = start(*base, "-f", prompt, "--save", path)
    wait_for_prefill(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130, err
    assert "interrupted" in err and "a.session holds" in err
    rest = expect_success(run(*base, "--load", path))
    assert rest == expect_success(run(*base, "-f", prompt))


def test_run_without_a_file_ends(tmp_path):
    prompt = tmp_path / "prompt.txt"
    prompt.write_text(LONG)
    process = start("run", "-m", DEMO, "-d", "cpu", "--ctx", "16384", "--chunk", "64", "-f", prompt)
    wait_for_prefill(process)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130


def test_perplexity_ends(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(LONG)
    process = start("perplexity", "-m", DEMO, "-d", "cpu", "-f", text, "--chunk", "64")
    wait_for_prefill(process)
    process.send_signal(signal.SIGINT)
    code, out, _ = finish(process)
    assert (code, out) == (130, "")


def test_logits_leaves_no_half_file(tmp_path):
    tokens = tmp_path / "tokens.json"
    tokens.write_text(str([5, 17, 99, 4] * 3000))
    out = tmp_path / "out.npy"
    out.write_bytes(b"\x93NUMPY of an earlier run")
    process = start("logits", "-m", DEMO, "-d", "cpu", "--chunk", "64", "--tokens", tokens, "--out", out)
    wait_for_prefill(process)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    assert out.read_bytes() == b"\x93NUMPY of an earlier run"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.npy", "tokens.json"]


def test_synth_leaves_no_half_shard(tmp_path):
    out = tmp_path / "model"
    process = start("synth", "--layers", "1", "--out", out)
    deadline = time.monotonic() + 20
    while not (out.is_dir() and any(out.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    assert not out.exists() or not any(out.iterdir())
