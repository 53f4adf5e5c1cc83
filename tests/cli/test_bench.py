"""`nibble bench`: every subcommand at sizes that run in seconds. That there are numbers is tested, not which."""
import json
import math
import xml.etree.ElementTree

import pytest

from support import GOLDEN, expect_error, expect_success, run

MODEL = GOLDEN / "tiny-2-flash-like"
KEYS = {"device", "driver", "kernel", "variant", "shape", "tokens", "ms_median", "ms_min", "ms_max", "n", "bytes",
        "flops", "gbps", "gflops", "ceiling", "share"}
SMALL_MOE = ("moe", "-d", "cpu", "--experts", 6, "--active", 2, "--hidden", 256, "--width", 128, "--pairs", 2)


def bench(tmp_path, *args, name="rows.json"):
    """Runs `nibble bench args… --json`; returns stdout and the rows."""
    file = tmp_path / name
    out = expect_success(run("bench", *args, "--json", file)).decode()
    report = json.loads(file.read_text())
    assert report["format"] == 1
    for row in report["rows"]:
        assert KEYS <= set(row), KEYS - set(row)
        assert 0 < row["ms_min"] <= row["ms_median"] <= row["ms_max"]
        assert row["n"] >= 1
        assert all(math.isfinite(row[key]) for key in ("gbps", "gflops", "share"))
    return out, report["rows"]


def test_moe_tells_cold_from_warm_and_has_every_part(tmp_path):
    out, rows = bench(tmp_path, *SMALL_MOE, "--tokens", "1,9")
    kinds = {(row["kernel"], row["tokens"], row["data"]) for row in rows}
    for part in ("up", "down", "block"):
        assert (f"moe_{part}_fp4", 1, "cold") in kinds
        assert (f"moe_{part}_fp4", 1, "warm") in kinds
        assert (f"moe_{part}_fp4", 9, "cold") in kinds
        assert f"moe_{part}_fp4" in out
    for row in rows:
        assert row["ceiling"] in ("read", "cache", "f32", "bf16")
        assert row["share"] > 0
        assert {"t_mem", "t_f32", "share_read"} <= set(row["ratios"])
        assert row["ratios"]["t_mem"]["min"] <= row["ratios"]["t_mem"]["median"] <= row["ratios"]["t_mem"]["max"]


def test_numerics_are_named(tmp_path):
    for numerics in ("fast", "plain"):
        _, rows = bench(tmp_path, *SMALL_MOE, "--tokens", 1, "--part", "up", "--numerics", numerics)
        assert {row["numerics"] for row in rows} == {numerics}


def test_peak_of_the_cpu(tmp_path):
    _, rows = bench(tmp_path, "peak", "-d", "cpu", "--pairs", 1)
    names = {row["kernel"] for row in rows}
    assert {"read", "copy", "f32", "submit", "dispatch", "upload", "download"} <= names
    assert {row["data"] for row in rows if row["kernel"] == "read"} == {"cold", "warm"}


def test_kernel_runs_the_variants_asked_for(tmp_path):
    out, rows = bench(tmp_path, "kernel", "gemm_bf16", "-d", "cpu", "--shape", "rows=64,cols=256", "--tokens", "1,3",
                      "--pairs", 1, "--md")
    assert {row["tokens"] for row in rows} == {1, 3}
    assert {row["kernel"] for row in rows} == {"gemm_bf16_f32"}
    assert len({row["variant"] for row in rows}) >= 1
    assert all("rows=64,cols=256" in row["shape"] for row in rows)
    assert out.startswith("| kernel")
    variant = rows[0]["variant"]
    _, only = bench(tmp_path, "kernel", "gemm_bf16", "-d", "cpu", "--shape", "rows=64,cols=256", "--tokens", 1,
                    "--pairs", 1, "--variant", variant)
    assert {row["variant"] for row in only} == {variant}


def test_compare_and_html(tmp_path):
    page = tmp_path / "a.html"
    bench(tmp_path, *SMALL_MOE, "--tokens", 1, "--part", "up", "--html", page, name="a.json")
    assert "<svg" in page.read_text() and "http" not in page.read_text()
    bench(tmp_path, *SMALL_MOE, "--tokens", "1,3", "--part", "up", name="b.json")
    both = tmp_path / "both.html"
    out = expect_success(run("bench", "compare", tmp_path / "a.json", tmp_path / "b.json", "--html", both)).decode()
    assert "B/A" in out
    assert f"only in {tmp_path / 'b.json'}: moe_up_fp4" in out and "tokens=3" in out
    assert both.read_text().count("<svg") == 2
    same = expect_success(run("bench", "compare", tmp_path / "a.json", tmp_path / "a.json", "--md")).decode()
    assert "1.000" in same and "within the noise" in same and "only in" not in same


def test_decode_and_prefill(tmp_path):
    page = tmp_path / "steps.html"
    out, rows = bench(tmp_path, "decode", "-m", MODEL, "-d", "cpu", "--context", "0,20", "--pairs", 2, "--html", page)
    assert [row["kernel"] for row in rows] == ["decode", "decode matrices"] * 2
    steps = [row for row in rows if row["kernel"] == "decode"]
    assert [row["shape"] for row in steps] == ["context=0", "context=20"]
    assert "tokens/s" in out and "ideal MB" in out and "moe_up" in out
    assert steps[0]["bytes"] < steps[1]["bytes"], "more of the KV cache is read"
    assert page.read_text().count("<svg") == 2
    out, rows = bench(tmp_path, "prefill", "-m", MODEL, "-d", "cpu", "--tokens", 17, "--chunk", 8, "--pairs", 1)
    assert [row["tokens"] for row in rows] == [17, 17]
    assert "chunk=8" in out


def test_another_device(tmp_path):
    devices = json.loads(expect_success(run("devices", "--json")))["devices"]
    others = [d["id"] for d in devices if d["backend"] != "cpu" and d["type"] != "null device"]
    if not others:
        pytest.skip("no other device than the cpu")
    _, rows = bench(tmp_path, "kernel", "swiglu", "-d", others[0], "--shape", "cols=64", "--tokens", 1, "--pairs", 1)
    assert all({"t_mem", "share_own_read"} <= set(row["ratios"]) for row in rows)


@pytest.mark.parametrize("args, words", [
    ((), ["subcommand"]),
    (("nosuch",), ["bench"]),
    (("moe", "--tokens", "0"), ["--tokens"]),
    (("moe", "--tokens", "x"), ["--tokens"]),
    (("moe", "--experts", "4", "--active", "5"), ["--active 5", "4 experts"]),
    (("moe", "--hidden", "100"), ["100", "32"]),
    (("moe", "--part", "left"), ["--part", "left"]),
    (("moe", "-d", "vulkan:99"), ["vulkan:99"]),
    (("kernel", "nosuch", "-d", "cpu"), ["nosuch"]),
    (("kernel", "gemm_fp8", "-d", "cpu", "--shape", "heads=3"), ["heads"]),
    (("kernel", "gemm_fp8", "-d", "cpu", "--shape", "rows"), ["rows", "name=number"]),
    (("kernel", "gemm_fp8", "-d", "cpu", "--shape", "rows=-1"), ["rows=-1"]),
    (("kernel", "swiglu", "-d", "cpu", "--variant", "nosuch"), ["nothing to measure"]),
    (("compare", "only-one.json"), ["B.json"]),
    (("compare", "a-missing.json", "b-missing.json"), ["a-missing.json"]),
    (("decode", "-m", "no-such-dir"), ["no-such-dir"]),
    (("decode",), ["--model"]),
])
def test_bad_flags_get_one_line(args, words):
    expect_error(run("bench", *args), *words)


def test_compare_says_what_is_wrong_with_a_file(tmp_path):
    good = tmp_path / "good.json"
    good.write_text('{"format": 1, "rows": []}')
    for text, word in (("{", "bad.json"), ("[]", "rows"), ('{"format": 2, "rows": []}', "format 2"),
                       ('{"format": 1, "rows": [{}]}', "row 0")):
        bad = tmp_path / "bad.json"
        bad.write_text(text)
        expect_error(run("bench", "compare", good, bad), "bad.json", word, code=1)


def test_attention_by_context(tmp_path):
    svg = tmp_path / "attention.svg"
    out, rows = bench(tmp_path, "attention", "-d", "cpu", "--contexts", "130,1k", "--pairs", 2, "--svg", svg)
    assert "checked against f64" in out
    kernels = {row["kernel"] for row in rows}
    for kind in ("window", "csa", "hca"):
        assert f"{kind} attention_f32" in kernels
    assert {"csa indexer_scores_f32", "csa topk_f32", "hca compress_pool_f32", "attention step"} <= kernels
    assert {row["shape"] for row in rows} == {"v4-flash,context=130", "v4-flash,context=1024"}
    drawing = xml.etree.ElementTree.parse(svg).getroot()
    assert drawing.tag.endswith("svg")
    # Whatever else took its time: the kernels that a context makes slower are drawn.
    for name in ("csa indexer_scores_f32", "csa topk_f32", "hca attention_f32", "window attention_f32", "whole step"):
        assert name in svg.read_text()


def test_attention_of_a_prefill():
    out = expect_success(run("bench", "attention", "-d", "cpu", "--prefill", 40, "--chunk", 16)).decode()
    assert "tokens/s" in out
    assert "at its peak" in out


@pytest.mark.parametrize("contexts", ["0", "1x", "k", "-5", "2M", "99999999999"])
def test_attention_refuses_contexts(contexts):
    expect_error(run("bench", "attention", "-d", "cpu", f"--contexts={contexts}"), code=2)
