"""Prompts of chats, beside what Python's json module writes and what the published encoder says."""
import json
import random
import sys

import pytest

from support import SOURCE, copy_model, edit_json, expect_error, expect_success, run

DEMO = SOURCE / "tools" / "demo" / "model"
PREVIEW_MAX = "Reasoning Effort: Absolute maximum with no shortcuts permitted.\n"
LATER_MAX = "Reasoning Effort: Beyond maximum — exhaustive, relentless, and uncompromising.\n"

if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)


@pytest.fixture
def encode(tmp_path):
    def call(request, *args, model=DEMO):
        file = tmp_path / "chat.json"
        file.write_bytes(request if isinstance(request, bytes) else json.dumps(request).encode())
        return run("encode", "-m", model, "--messages", file, *args)

    return call


def without_surrogates(text):
    """UTF-8 cannot hold half a character; nibble writes U+FFFD for it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def dumps(value):
    return json.dumps(value, ensure_ascii=False)


def call_text(name, raw):
    """One call as the published encoder writes it, with Python's own json."""
    try:
        arguments = json.loads(raw)
    except ValueError:
        arguments = {"arguments": raw}
    lines = []
    for key, value in arguments.items():
        text = value if isinstance(value, str) else dumps(value)
        is_string = "true" if isinstance(value, str) else "false"
        lines.append(f'<｜DSML｜parameter name="{key}" string="{is_string}">{text}</｜DSML｜parameter>')
    body = "\n".join(lines)
    return f'<｜DSML｜invoke name="{name}">\n{body}\n</｜DSML｜invoke>'


VALUES = [
    "1000000000000000000001", "18446744073709551615", "18446744073709551616", "-9223372036854775808",
    "-9223372036854775809", "0", "-0", "-0.0", "1.50", "1E5", "1e5", "1e400", "-1e400", "1e-400", "5e-324", "2.5e-323",
    "1.7976931348623157e308", "1.7976931348623159e308", "100000000000000000000.0", "1e16", "1e15", "0.0001", "0.00001",
    "123456789012345678", "0.1000000000000000055511151231257827", "9007199254740993.0", "NaN", "Infinity", "-Infinity",
    "[NaN, -Infinity]", "true", "null", '""', r'"\u00e9\ud83d\ude00\/\u0000"',
    r'"\ud83d"', r'"\ude00x"', r'"\ud83d\ud83d"', r'["\ud83d\u0041"]',
    r'{"\ud800": "\udfff"}', '{"a": 1, "b": 2, "a": {"c": 3, "c": 4}}', "[]", "{}", '[1,\t2 ,\r\n3]',
    '"\u007f\u2028é多"', "3" * 5000, "0." + "3" * 400,
]
BROKEN = [
    "", " ", "{", '{"a":1,}', "{'a':1}", '{"a":01}', '{"a":1.}', '{"a":.5}', '{"a":+1}', '{"a":-NaN}', '{"a":nan}',
    '{"a":"\t"}', r'{"a":"\x"}', r'{"a":"\u12"}', '{"a" 1}', '{"a":1} x', "\ufeff{}", '{"a":1]', '{a:1}', '{"a":tru}',
    '{"a":1e}', '{"a":--1}', '{"a":"', r'{"a":"\ud83d\u1"}', '{"a":[1 2]}', "\ufeff",
]


def random_json(rng, depth=0):
    kind = rng.randrange(9 if depth < 5 else 6)
    space = rng.choice(["", "", " ", "\n", "\t "])
    if kind == 0:
        return str(rng.randrange(-10 ** rng.randrange(1, 60), 10 ** rng.randrange(1, 60)))
    if kind in (1, 2):
        digits = str(rng.randrange(10 ** rng.randrange(1, 25)))
        tail = rng.choice(["", f"e{rng.randrange(-340, 340)}", f"E+{rng.randrange(330)}"])
        return f"{rng.choice(['', '-'])}{digits}.{rng.randrange(10 ** rng.randrange(1, 25))}{tail}"
    if kind == 3:
        return rng.choice(["NaN", "Infinity", "-Infinity", "true", "false", "null", "-0", "0"])
    if kind in (4, 5):
        pieces = ["a", "é", "😀", "多", "</", "<｜User｜>", r"\"", r"\\", r"\n", r"\u0001", r"\ud83d\ude00", r"\ud83d",
                  r"\udc00"]
        return '"' + "".join(rng.choice(pieces) for _ in range(rng.randrange(6))) + '"'
    children = [random_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind in (6, 7):
        keys = [rng.choice(["a", "b", "c", "", r"\u0061", "ключ"]) for _ in children]
        children = [f'"{key}"{space}:{space}{child}' for key, child in zip(keys, children)]
        return "{" + space + f"{space},{space}".join(children) + "}"
    return "[" + space + f"{space},{space}".join(children) + space + "]"


def test_arguments_are_what_python_makes_of_them(encode):
    rng = random.Random(12)
    raws = ['{"v": ' + value + "}" for value in VALUES] + BROKEN
    raws += ['{"x": ' + random_json(rng) + ', "y": ' + random_json(rng) + "}" for _ in range(400)]
    calls = [{"id": f"c{i}", "type": "function", "function": {"name": f"f{i}", "arguments": raw}}
             for i, raw in enumerate(raws)]
    chat = [{"role": "user", "content": "t"}, {"role": "assistant", "content": "", "tool_calls": calls}]
    prompt = expect_success(encode(chat)).decode()
    blocks = prompt.split("<｜DSML｜tool_calls>\n", 1)[1].split("\n</｜DSML｜tool_calls>")[0]
    want = [without_surrogates(call_text(f"f{i}", raw)) for i, raw in enumerate(raws)]
    position = 0
    for raw, text in zip(raws, want):
        assert blocks[position:position + len(text)] == text, raw[:200]
        position += len(text) + 1
    assert position == len(blocks) + 1


def test_schemas_and_formats_are_what_python_makes_of_them(encode):
    rng = random.Random(7)
    texts = [f'{{"name": "f{i}", "parameters": {random_json(rng)}}}' for i in range(200)]
    texts += [f'{{"name": "v", "default": {value}}}' for value in VALUES]
    tools = ",".join(f'{{"type": "function", "function": {text}}}' for text in texts)
    form = f'{{"type": "json_schema", "maximum": {2 ** 256 - 1}, "multipleOf": 1.50}}'
    request = f'[{{"role": "system", "content": "S", "tools": [{tools}], "response_format": {form}}}]'
    prompt = expect_success(encode(request.encode())).decode()
    schemas = "\n".join(without_surrogates(dumps(json.loads(text))) for text in texts)
    assert f"### Available Tool Schemas\n\n{schemas}\n\nYou MUST" in prompt
    assert prompt.endswith(dumps(json.loads(form)))


@pytest.mark.parametrize("depth", [70, 1000, 100_000, 2_000_000])
def test_no_depth_is_too_deep(encode, depth):
    nested = "[" * depth + "]" * depth
    deep_object = '{"a":' * depth + "{}" + "}" * depth
    for value in (nested, deep_object):
        call = json.dumps({"function": {"name": "f", "arguments": '{"a":' + value + "}"}})
        prompt = expect_success(encode(f'[{{"role": "assistant", "tool_calls": [{call}]}}]'.encode())).decode()
        assert f'string="false">{value.replace(":", ": ")}</' in prompt


def test_a_file_that_is_no_json_is_named(encode):
    expect_error(encode(b"[1, "), "chat.json", "not valid JSON at byte 5 of 4")
    expect_error(encode(b'[{"role": "user", "content": "\xff"}]'), "chat.json", "not UTF-8")
    mark = b'\xef\xbb\xbf[{"role": "user", "content": "hi"}]'
    assert expect_success(encode(mark)).decode().endswith("<｜User｜>hi<｜Assistant｜></think>")


HI = [{"role": "user", "content": "hi"}]


def dspark(model):
    edit_json(model / "config.json", lambda config: config.update(dspark_block_size=5))
    return model


def test_efforts_are_the_checkpoints(encode, tmp_path):
    preview = copy_model("tiny-2-flash-like", tmp_path / "preview")
    later = dspark(copy_model("tiny-2-flash-like", tmp_path / "later"))

    def begins(model, effort):
        flags = ["--effort", effort] if effort else []
        prompt = expect_success(encode(HI, "--thinking", *flags, model=model)).decode()
        assert prompt.endswith("<｜User｜>hi<｜Assistant｜><think>")
        return prompt.removeprefix("<｜begin▁of▁sentence｜>").split("\n")[0] + "\n"

    nothing = "<｜User｜>hi<｜Assistant｜><think>\n"
    assert [begins(preview, e) for e in (None, "high", "max")] == [nothing, nothing, PREVIEW_MAX]
    assert [begins(later, e) for e in (None, "low", "high", "max")] == [nothing, nothing, PREVIEW_MAX, LATER_MAX]
    expect_error(encode(HI, "--thinking", "--effort", "low", model=preview), "'low'", "high, max", code=2)
    expect_error(encode(HI, "--thinking", "--effort", "medium", model=later), "'medium'", "low, high, max", code=2)
    # The encoder that comes with the weights knows better than a draft head.
    (later / "encoding").mkdir()
    (later / "encoding" / "encoding_dsv4.py").write_text("REASONING_EFFORT_MAX = (\n")
    assert begins(later, "max") == PREVIEW_MAX
    (later / "encoding" / "encoding_dsv4.py").write_text("REASONING_EFFORT_PROMPTS: Dict[str, str] = {\n")
    assert begins(later, "max") == LATER_MAX


def test_an_effort_without_reasoning_is_refused(encode, tmp_path):
    expect_error(encode(HI, "--effort", "max"), "--effort", "--thinking")
    expect_error(run("chat", "-m", DEMO, "-d", "cpu", "--effort", "max"), "--effort", "--think")
    expect_error(run("chat", "-m", DEMO, "-d", "cpu", "--think", "--effort", "low"), "'low'", "high, max", code=2)
    request = {"messages": HI, "reasoning_effort": "max"}
    assert PREVIEW_MAX in expect_success(encode(request, "--thinking")).decode()
    expect_error(encode(request), "chat.json", "'reasoning_effort'", "--thinking", code=2)
    expect_error(encode(request, "--thinking", "--effort", "high"), "chat.json", "'reasoning_effort' max", code=2)
    expect_error(encode(HI, "--thinking", "--effort", "max", model=tmp_path / "none"), "config.json", "no such file")


def test_refusals_name_file_message_and_field(encode):
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    expect_error(encode([{"role": "user", "content": [{"type": "text", "text": "a"}, image]}]),
                 "chat.json: message 1: part 2 of 'content': type 'image_url', expected 'text'")
    refusal = {"role": "assistant", "content": None, "refusal": "no"}
    expect_error(encode(HI + [refusal]), "chat.json: message 2: 'refusal'")
    expect_error(encode({"messages": HI, "thinking": {"type": "enabled"}}), "chat.json: 'thinking'")


def test_what_the_format_leaves_out_is_said(encode):
    developer = [{"role": "developer", "content": "You are a pirate."}] + HI
    result = encode(developer)
    assert expect_success(result).decode().endswith("<｜User｜>You are a pirate.<｜User｜>hi<｜Assistant｜></think>")
    assert result.stderr == b""
    result = encode(developer, "--thinking")
    assert expect_success(result).decode().endswith("▁sentence｜><｜User｜>hi<｜Assistant｜><think>")
    assert b"developer" in result.stderr and b"chat.json" in result.stderr
    result = encode(HI + [{"role": "system", "content": "Answer in French."}])
    assert expect_success(result).decode().endswith("<｜User｜>hiAnswer in French.")
    assert b"a system message follows the question" in result.stderr and b"chat.json" in result.stderr


def test_a_chat_keeps_the_reasoning_up_to_its_first_end(tmp_path):
    """With this seed the demo model writes </think> twice; wherever it writes it, the first one counts."""
    file = tmp_path / "a.session"
    lines = f"Who made the earth?\n/save {file}\n".encode()
    expect_success(run("chat", "-m", DEMO, "-d", "cpu", "--think", "-n", 200, "--temp", 1.0, "--seed", 69, stdin=lines))
    raw = file.read_bytes()
    chat = json.JSONDecoder().raw_decode(raw[raw.index(b'{"messages":'):].decode("utf-8", "replace"))[0]
    question, answer = chat["messages"]
    written = chat["read"].split("<｜User｜>Who made the earth?<｜Assistant｜><think>", 1)[1]
    reasoning, _, content = written.partition("</think>")
    assert question["role"] == "user"
    assert answer["reasoning_content"] == reasoning
    assert answer["content"] == content.removesuffix("<｜end▁of▁sentence｜>")


def test_a_hostile_pattern_is_named_in_time(tmp_path):
    tokenizer = json.loads((DEMO / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"]["pretokenizers"][0] = {
        "type": "Split", "pattern": {"Regex": "(?:a|a){18}b"}, "behavior": "Isolated", "invert": False}
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "in.txt").write_text("a" * 100_000 + "cb")
    result = run("tokenize", "-m", tmp_path, "-f", tmp_path / "in.txt", timeout=30)
    expect_error(result, "tokenizer.json", "'(?:a|a){18}b'", "backtracks too much")


TASKS = ["action", "query", "authority", "domain", "title", "read_url"]


def reference_prompt(messages, thinking, keep):
    """A second, independent writing of the format, for chats of plain text: what each message adds to the prompt."""
    turns = []
    for message in messages:
        if message["role"] == "tool":
            block = f"<tool_result>{message['content']}</tool_result>"
        else:
            block = message["content"]
        joins = turns and turns[-1]["role"] == "user" and (message["role"] == "tool" or not turns[-1].get("task"))
        if message["role"] in ("user", "tool") and joins:
            turns[-1]["content"] += "\n\n" + block
        else:
            turns.append({**message, "content": block, "role": message["role"].replace("tool", "user")})

    def last_question():
        return max((i for i, turn in enumerate(turns) if turn["role"] in ("user", "developer")), default=-1)

    drop = not keep
    if thinking and drop:
        turns = [t for i, t in enumerate(turns) if i >= last_question() or t["role"] != "developer"]
    last = last_question()
    prompt = "<｜begin▁of▁sentence｜>"
    for i, turn in enumerate(turns):
        role = turn["role"]
        prompt += {"user": "<｜User｜>", "developer": "<｜User｜>", "latest_reminder": "<｜latest_reminder｜>"}.get(role, "")
        if role == "assistant" and thinking and not (i and turns[i - 1].get("task")) and (i > last or not drop):
            prompt += turn.get("reasoning_content", "") + "</think>"
        prompt += turn["content"]
        if role == "assistant" and not turn.get("wo_eos"):
            prompt += "<｜end▁of▁sentence｜>"
        if i + 1 < len(turns) and turns[i + 1]["role"] not in ("assistant", "latest_reminder"):
            continue
        if turn.get("task"):
            opened = "<think>" if thinking else "</think>"
            prompt += f"<｜Assistant｜>{opened}<｜action｜>" if turn["task"] == "action" else f"<｜{turn['task']}｜>"
        elif role in ("user", "developer"):
            prompt += "<｜Assistant｜>" + ("<think>" if thinking and (not drop or i >= last) else "</think>")
    return prompt


def test_roles_in_any_order_are_written_as_the_format_has_it(encode):
    rng = random.Random(3)
    for _ in range(60):
        messages = []
        for _ in range(rng.randrange(1, 9)):
            role = rng.choice(["system", "developer", "user", "assistant", "assistant", "tool", "latest_reminder"])
            message = {"role": role, "content": rng.choice(["a", "b\n", "<｜User｜>", "多"])}
            if role == "assistant":
                message["reasoning_content"] = rng.choice(["", "r", "</think>"])
                message["wo_eos"] = rng.random() < 0.2
            follows_turn = messages and messages[-1]["role"] in ("user", "tool")
            if role != "tool" and not (role == "user" and follows_turn) and rng.random() < 0.15:
                message["task"] = rng.choice(TASKS)
            messages.append(message)
        thinking, keep = rng.random() < 0.7, rng.random() < 0.3
        flags = ["--thinking"] * thinking + ["--keep-reasoning"] * keep
        prompt = expect_success(encode(messages, *flags)).decode()
        assert prompt == reference_prompt(messages, thinking, keep), (messages, flags)
