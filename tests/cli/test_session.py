"""Saved sessions: they go on where they stopped, and files that are not what they should be are refused."""
import json
import resource
import shutil
import signal
import struct
import subprocess
import time

import pytest

from support import PROGRAM, SOURCE, edit_json, expect_error, expect_success, run

DEMO = SOURCE / "tools" / "demo" / "model"
PROMPT = "And the LORD said unto"


def generate(*args):
    return json.loads(expect_success(run("run", "-m", DEMO, "-d", "cpu", "--temp", "0", "--json", *args)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A session of some tokens, cut by length, and what it had written."""
    path = tmp_path_factory.mktemp("session") / "a.session"
    return path, generate("-p", PROMPT, "-n", "12", "--save", path)


def test_goes_on_as_if_nothing_had_happened(saved):
    path, first = saved
    rest = generate("--load", path, "-n", "30")
    assert first["tokens"] + rest["tokens"] == generate("-p", PROMPT, "-n", "42")["tokens"]


def test_goes_on_through_many_files(tmp_path):
    tokens = generate("-p", PROMPT, "-n", "5", "--save", tmp_path / "0")["tokens"]
    for i in range(4):
        tokens += generate("--load", tmp_path / f"{i}", "-n", "5", "--save", tmp_path / f"{i + 1}")["tokens"]
    assert tokens == generate("-p", PROMPT, "-n", "25")["tokens"]


def sample(*args):
    return json.loads(expect_success(run("run", "-m", DEMO, "-d", "cpu", "--temp", "0.9", "--json", *args)))["tokens"]


def test_sampling_goes_on_through_many_files(tmp_path):
    """The generator is in the file, so the seed need not be repeated, and may be; another one gives another text."""
    whole = sample("-p", PROMPT, "--seed", "7", "-n", "40")
    first = sample("-p", PROMPT, "--seed", "7", "-n", "15", "--save", tmp_path / "0")
    second = sample("--load", tmp_path / "0", "-n", "10", "--save", tmp_path / "1")
    rest = ["--load", tmp_path / "1", "-n", "15"]
    assert first + second + sample(*rest) == whole
    assert first + second + sample(*rest, "--seed", "7") == whole
    other = sample(*rest, "--seed", "8")
    assert first + second + other != whole
    assert sample(*rest, "--seed", "8") == other


def test_takes_more_text(saved):
    path, _ = saved
    assert generate("--load", path, "-p", " in the wilderness", "-n", "8")["prefill"]["tokens"] > 2


def test_saving_over_the_file_that_was_loaded(saved, tmp_path):
    path = tmp_path / "b.session"
    shutil.copyfile(saved[0], path)
    generate("--load", path, "-n", "3", "--save", path)
    generate("--load", path, "-n", "3")
    assert [file.name for file in tmp_path.iterdir()] == ["b.session"]


def damaged(saved, tmp_path, change):
    data = bytearray(saved[0].read_bytes())
    data = change(data) or data
    path = tmp_path / "bad.session"
    path.write_bytes(data)
    return path


def flip(at):
    def change(data):
        data[at] ^= 16
    return change


def set_version(data):
    data[16:20] = struct.pack("<I", 77)


@pytest.mark.parametrize("change, word", [
    (lambda data: data[:-1], "truncated"),
    (lambda data: data[:len(data) // 2], "truncated"),
    (lambda data: data[:20], "too short"),
    (lambda data: b"{}", "not a session file"),
    (lambda data: data + b"\0", "expected"),
    (flip(3), "not a session file"),
    (set_version, "version 77"),
    (flip(30), "damaged"),
    (flip(100), "damaged"),
    (flip(5000), "damaged"),
    (flip(-100), "damaged"),
    (flip(-1), "damaged"),
])
def test_a_damaged_file_is_refused(saved, tmp_path, change, word):
    path = damaged(saved, tmp_path, change)
    expect_error(run("run", "-m", DEMO, "-d", "cpu", "--load", path, "-n", "3"), "bad.session", word, code=1)


@pytest.mark.parametrize("flags, words", [
    (["--numerics", "plain"], ["--numerics reference", "has plain"]),
    (["--kv-rope", "f32"], ["--kv-rope bf16", "has f32"]),
    (["--chunk", "7"], ["--chunk 512", "has 7"]),
    (["--ctx", "64", "--load", "long"], ["long", "raise --ctx"]),
])
def test_other_flags_are_refused(saved, tmp_path, flags, words):
    if "long" in flags:
        generate("-p", PROMPT * 20, "-n", "1", "--save", tmp_path / "long")
        flags = [tmp_path / "long" if flag == "long" else flag for flag in flags]
    expect_error(run("run", "-m", DEMO, "-d", "cpu", "-n", "3", "--load", saved[0], *flags), *words, code=2)


def test_a_session_of_another_model_is_refused(saved, tmp_path):
    """The same shapes, one number changed in the middle of a tensor: a sibling as fine-tuning makes it."""
    sibling = tmp_path / "sibling"
    shutil.copytree(DEMO, sibling)
    shard = sibling / "model-00003-of-00003.safetensors"
    data = bytearray(shard.read_bytes())
    header = struct.unpack("<Q", data[:8])[0]
    tensors = json.loads(data[8:8 + header])
    begin, end = next(t["data_offsets"] for name, t in tensors.items() if name != "__metadata__")
    data[8 + header + (begin + end) // 2] ^= 1
    shard.write_bytes(data)
    expect_error(run("run", "-m", sibling, "-d", "cpu", "--load", saved[0]), "another model", code=2)
    edit_json(sibling / "config.json", lambda config: config.update({"transformers_version": "1.2.3"}))
    shutil.copyfile(DEMO / shard.name, shard)
    expect_success(run("run", "-m", sibling, "-d", "cpu", "--load", saved[0], "-n", "1"))


@pytest.mark.parametrize("place", ["/nonexistent/a.session", "/proc/a.session", "/"])
def test_an_unwritable_place_is_refused_before_the_work(place):
    expect_error(run("run", "-m", DEMO, "-d", "cpu", "-p", "x", "-n", "3", "--save", place), place)


def test_a_missing_file():
    expect_error(run("run", "-m", DEMO, "-d", "cpu", "--load", "/nonexistent/a.session"), "a.session", code=1)


def test_a_full_disk_leaves_the_old_file(saved, tmp_path):
    path = tmp_path / "a.session"
    shutil.copyfile(saved[0], path)
    before = path.read_bytes()
    result = subprocess.run([PROGRAM, "run", "-m", DEMO, "-d", "cpu", "-p", PROMPT, "-n", "3", "--save", path],
                            capture_output=True, stdin=subprocess.DEVNULL, timeout=300, check=False,
                            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)))
    assert result.returncode == 1
    error = result.stderr.decode().splitlines()[-1]
    assert error.startswith("nibble: error: ") and "File too large" in error and "as it was" in error, error
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.session"]


def test_killed_while_saving_leaves_the_old_file(saved, tmp_path):
    path = tmp_path / "a.session"
    shutil.copyfile(saved[0], path)
    before = path.read_bytes()
    for delay in (0.05, 0.2, 0.4):
        process = subprocess.Popen([PROGRAM, "run", "-m", DEMO, "-d", "cpu", "-p", PROMPT, "-n", "3", "--save", path],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        assert path.read_bytes() == before or not killed
        assert len(list(tmp_path.iterdir())) <= 2
    generate("--load", saved[0], "-n", "1", "--save", path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.session"]


def chat(*lines, sampling=("--temp", "0")):
    text = "".join(f"{line}\n" for line in lines).encode()
    result = run("chat", "-m", DEMO, "-d", "cpu", *sampling, "-n", "12", stdin=text)
    return expect_success(result).decode(), result.stderr.decode()


def test_chat_goes_on_after_save_and_load(tmp_path):
    path = tmp_path / "chat.session"
    whole, _ = chat("Who made heaven?", "And the earth?", "And man?")
    first, said = chat("Who made heaven?", "And the earth?", f"/save {path}")
    assert "saved 2 questions" in said
    second, said = chat(f"/load {path}", "And man?")
    assert "loaded 2 questions" in said
    assert first + second == whole


def test_chat_rewinds(tmp_path):
    whole, _ = chat("Who made heaven?", "And man?")
    path = tmp_path / "chat.session"
    answers, said = chat("Who made heaven?", "And the earth?", "And the sea?", f"/save {path}", "/rewind 2", "And man?")
    assert "1 questions are left" in said
    first, last = whole.splitlines()
    assert answers.startswith(f"{first}\n") and answers.endswith(f"\n{last}\n")
    loaded, _ = chat(f"/load {path}", "/rewind", "/rewind", "And man?")
    assert whole.endswith(loaded)


def test_chat_samples_on_after_save_and_load(tmp_path):
    path = tmp_path / "chat.session"
    unseeded, seeded, other = (("--temp", "0.9", *seed) for seed in ([], ["--seed", "7"], ["--seed", "8"]))
    whole, _ = chat("Who made heaven?", "And the earth?", "And man?", sampling=seeded)
    first, _ = chat("Who made heaven?", "And the earth?", f"/save {path}", sampling=seeded)
    last, _ = chat(f"/load {path}", "And man?", sampling=unseeded)
    assert first + last == whole
    assert chat(f"/load {path}", "And man?", sampling=other)[0] != last


def test_chat_draws_again_what_it_took_back(tmp_path):
    path = tmp_path / "chat.session"
    seeded = ("--temp", "0.9", "--seed", "7")
    first, _ = chat("Who made heaven?", sampling=seeded)
    whole, _ = chat("Who made heaven?", "And the earth?", f"/save {path}", "And man?", sampling=seeded)
    assert whole.startswith(first)
    rest = whole[len(first):]
    rewound, _ = chat("Who made heaven?", "And the sea?", "And the sea?", "/rewind 2", "And the earth?", "And man?",
                      sampling=seeded)
    assert rewound.startswith(first) and rewound.endswith(rest) and len(rewound) > len(whole)
    assert chat(f"/load {path}", "/rewind", "And the earth?", "And man?", sampling=("--temp", "0.9"))[0] == rest


@pytest.mark.parametrize("line, word", [
    ("/save", "needs the name of a file"),
    ("/save /nonexistent/a", "/nonexistent/a"),
    ("/load", "needs the name of a file"),
    ("/load /nonexistent/a", "/nonexistent/a"),
    ("/rewind", "has 0"),
    ("/rewind 0", "cannot take back 0"),
    ("/rewind many", "many"),
    ("/rewind 99999999999999999999", "expected a number"),
    ("/frobnicate now", "there is no /frobnicate"),
])
def test_chat_goes_on_after_a_bad_command(line, word):
    out, said = chat(line, "Who made heaven?")
    assert word in said
    assert out


def test_chat_refuses_a_text_of_run(saved):
    _, said = chat(f"/load {saved[0]}")
    assert "not a conversation" in said
