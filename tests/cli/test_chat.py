"""`nibble chat` and `nibble run` as they are typed and piped into: commands, lines, ends of answers, odd bytes."""
import json
import shutil
import struct
import subprocess

import pytest

from support import PROGRAM, SOURCE, Shard, edit_json, expect_error, expect_success, run

DEMO = SOURCE / "tools" / "demo" / "model"
CONTROL = ("<｜", "｜>", "</think>", "<think>")


def chat(text, *args, n="8"):
    result = run("chat", "-m", DEMO, "-d", "cpu", "--temp", "0", "-n", n, *args,
                 stdin=text if isinstance(text, bytes) else text.encode())
    expect_success(result)
    return result.stdout.decode(), result.stderr.decode()


@pytest.mark.parametrize("line", ["/usr/bin/ls: no such file", "/usr/share", "/2 of it", "// a comment"])
def test_lines_that_begin_with_a_path_are_questions(line):
    out, said = chat(f"{line}\n/stats\n")
    assert "answer" in said and "there is no" not in said
    assert out != ""


@pytest.mark.parametrize("line", ["/sav a.session", "/quitt", "/Help"])
def test_mistyped_commands_are_not_asked(line):
    out, said = chat(f"{line}\n")
    assert out == "" and "there is no " + line.split()[0] in said and "/help" in said


def test_a_space_makes_a_question():
    assert chat(" /sav\n")[0] != ""


@pytest.mark.parametrize("line", ["/rewind 99999999999999999999", "/rewind -1", "/rewind 1.5", "/rewind 1 2",
                                  "/clear all", "/stats now", "/quit now"])
def test_arguments_out_of_range(line):
    out, said = chat(f"{line}\nWho made heaven?\n")
    assert line.split()[0] in said and line.split()[1] in said
    assert out != "", "the conversation goes on"


def test_line_ends_of_windows():
    assert chat("Who made heaven?\r\n/stats\r\n/quit\r\nnever\r\n") [0] == chat("Who made heaven?\n")[0]


def test_a_last_line_without_an_end():
    assert chat("Who made heaven?")[0] == chat("Who made heaven?\n")[0]


@pytest.mark.parametrize("text", [b"\x00\x00a\n", b"\xff\xfe\xc3\n", b"\xed\xa0\x80 surrogate\n"])
def test_odd_bytes(tmp_path, text):
    path = str(tmp_path / "a.session")
    out, said = chat(text + f"/save {path}\n/load {path}\nAnd man?\n".encode())
    assert "loaded 1 questions" in said
    assert len(out.splitlines()) >= 2


def test_an_enormous_line():
    out, said = chat(b"x" * (65 << 20) + b"\nWho made heaven?\n")
    assert "64 MiB" in said
    assert out == chat("Who made heaven?\n")[0]


def test_says_why_an_answer_ends_early():
    _, said = chat("Who made heaven?\n", n="2")
    assert "cut after 2 tokens" in said
    prompt = "In the beginning God created the heaven and the earth. And the earth was without form"
    for context in range(20, 60):
        result = run("chat", "-m", DEMO, "-d", "cpu", "--temp", "0", "--ctx", context, stdin=f"{prompt}\n".encode())
        said = result.stderr.decode()
        if "does not fit" not in said:
            break
    assert f"the context of {context} positions is full" in said and "--ctx" in said


def test_control_tokens_are_not_text():
    base = ["run", "-m", DEMO, "-d", "cpu", "-p", "In the beginning", "-n", "40", "--temp", "0"]
    plain = run(*base)
    shown = expect_success(plain).decode()
    special = expect_success(run(*base, "--special")).decode()
    assert not any(mark in shown for mark in CONTROL), shown
    assert special.endswith("<｜Assistant｜>\n") and special.startswith(shown.rstrip("\n"))
    assert "stopped: the turn of another" in plain.stderr.decode()
    assert json.loads(expect_success(run(*base, "--json")))["stop"] == "the turn of another"


def test_several_tokens_end_a_text(tmp_path):
    """Whatever the model says first ends its text, once the checkpoint says so."""
    base = ["-d", "cpu", "-p", "In the beginning", "-n", "5", "--temp", "0", "--json"]
    model = tmp_path / "model"
    shutil.copytree(DEMO, model)
    first = json.loads(expect_success(run("run", "-m", model, *base)))["tokens"][0]
    edit_json(model / "generation_config.json", lambda config: config.update({"eos_token_id": [1, first]}))
    ended = json.loads(expect_success(run("run", "-m", model, *base)))
    assert (ended["tokens"], ended["stop"]) == ([], "end of text")
    edit_json(model / "generation_config.json", lambda config: config.update({"eos_token_id": None}))
    edit_json(model / "config.json", lambda config: config.update({"eos_token_id": [first, 1]}))
    assert json.loads(expect_success(run("run", "-m", model, *base)))["tokens"] == []
    edit_json(model / "config.json", lambda config: config.update({"eos_token_id": [1, 999999]}))
    expect_error(run("run", "-m", model, *base), "config.json", "eos_token_id[1]", "999999")


@pytest.mark.parametrize("flag, value", [("--seed", "-1"), ("--seed", "18446744073709551616"), ("--temp", "nan"),
                                         ("--top-p", "nan"), ("--min-p", "nan"), ("--top-k", "-1"),
                                         ("--top-k", "4294967296"), ("-n", "4294967297")])
def test_numbers_out_of_range(flag, value):
    expect_error(run("run", "-m", DEMO, "-p", "x", flag, value), value, code=2)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model-00001-of-00003.safetensors"])
def test_files_of_others_stay(tmp_path, name):
    model = tmp_path / "model"
    shutil.copytree(DEMO, model)
    before = (model / name).read_bytes()
    expect_error(run("run", "-m", model, "-d", "cpu", "-p", "x", "-n", "1", "--save", model / name), name,
                 "no saved session", code=2)
    tokens = tmp_path / "tokens.json"
    tokens.write_text("[1, 2]")
    for out in (model / name, tokens):
        result = run("logits", "-m", model, "-d", "cpu", "--tokens", tokens, "--out", out)
        expect_error(result, out.name, "needs another", code=2)
    out = run("chat", "-m", model, "-d", "cpu", "-n", "2", stdin=f"x\n/save {model / name}\n/stats\n".encode())
    assert b"no saved session" in out.stderr and b"answer" in out.stderr
    assert (model / name).read_bytes() == before


def test_the_checkpoint_may_go_while_one_talks(tmp_path):
    """What is needed to save a session is known before the work."""
    model = tmp_path / "model"
    shutil.copytree(DEMO, model)
    process = subprocess.Popen([PROGRAM, "chat", "-m", model, "-d", "cpu", "-n", "4", "--temp", "0"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"Who made heaven?\n")
    process.stdin.flush()
    assert process.stdout.readline()
    model.rename(tmp_path / "elsewhere")
    out, err = process.communicate(f"/save {tmp_path / 'a.session'}\n".encode(), timeout=60)
    assert process.returncode == 0 and b"saved 1 questions" in err, err
    expect_success(run("chat", "-m", tmp_path / "elsewhere", "-d", "cpu", "-n", "1",
                       stdin=f"/load {tmp_path / 'a.session'}\n".encode()))


def poison(model, name):
    """NaN as the first value of a BF16 tensor."""
    for path in model.glob("*.safetensors"):
        shard = Shard(path)
        if name in shard.header:
            begin = shard.header[name]["data_offsets"][0]
            shard.data = shard.data[:begin] + struct.pack("<H", 0x7FC0) + shard.data[begin + 2:]
            shard.write()
            return
    raise AssertionError(name)


@pytest.mark.parametrize("prefill", ["1", "4", "5"])
def test_what_is_not_finite_is_named(model, logits, tmp_path, prefill):
    poison(model, "layers.1.attn.kv_norm.weight")
    result = logits(model, "--prefill", prefill)
    expect_error(result, "position", "layers.1 ", "'layers.1.attn.kv_norm.weight'", code=1)
    assert not (tmp_path / "out.npy").exists()


def test_every_consumer_of_logits_checks(tmp_path):
    model = tmp_path / "demo"
    shutil.copytree(DEMO, model)
    poison(model, "norm.weight")
    text = tmp_path / "text.txt"
    text.write_text("In the beginning")
    for args in (["run", "-p", "In the beginning", "-n", "3"], ["perplexity", "-f", text], ["chat"]):
        result = run(args[0], "-m", model, "-d", "cpu", *args[1:], stdin=b"x\n")
        assert result.returncode == 1 and result.stdout.strip() == b""
        assert b"'norm.weight'" in result.stderr.splitlines()[-1], result.stderr
