"""`nibble conformance`: usage, exit codes, and the forms of its report."""
import html.parser
import json
import pathlib
import shutil
import struct
import subprocess
import sys

import pytest

from support import GOLDEN, expect_error, expect_success, run

KERNEL = "add_broadcast_f32"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """One kernel on the cpu: the text, the JSON and the page."""
    folder = tmp_path_factory.mktemp("conformance")
    text = expect_success(run("conformance", "-d", "cpu", "--kernel", KERNEL, "--json", folder / "r.json",
                              "--html", folder / "r.html")).decode()
    return text, json.loads((folder / "r.json").read_text()), (folder / "r.html").read_text()


def test_json_has_its_documented_keys(report):
    everything = report[1]
    assert {"nibble", "system", "mode", "seed", "disabled", "limits", "unexpected", "devices"} <= everything.keys()
    assert everything["unexpected"] == 0
    device, = everything["devices"]
    assert {"label", "id", "name", "driver", "driver_version", "driver_build", "capabilities", "notices", "totals",
            "rows"} <= device.keys()
    assert device["id"] == "cpu"
    assert device["totals"]["pass"] == sum(row["verdict"] == "pass" for row in device["rows"]) > 0
    for row in device["rows"]:
        assert {"kernel", "variant", "case", "index", "seed", "verdict", "message", "seconds", "elements", "wrong",
                "worst", "unexpected", "expectation", "causes", "reproducer"} <= row.keys()
        assert row["kernel"] == KERNEL


def test_text_sums_up_each_device(report):
    assert "cpu" in report[0] and "0 unexpected" in report[0]


class Page(html.parser.HTMLParser):
    """Keeps the open elements; every closing tag must be that of the innermost one."""

    void = {"meta", "input", "link", "br"}

    def __init__(self):
        super().__init__()
        self.open = []
        self.outside = []

    def handle_starttag(self, tag, attributes):
        if tag not in self.void:
            self.open.append(tag)
        self.outside += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_is_well_formed_and_needs_nothing_else(report):
    page = Page()
    page.feed(report[2])
    page.close()
    assert page.open == [] and page.outside == []
    assert KERNEL in report[2] and "@DATA@" not in report[2]


def test_no_reproducer_without_failure(tmp_path):
    expect_success(run("conformance", "-d", "cpu", "--kernel", KERNEL, "--repro", tmp_path / "repro"))
    assert not (tmp_path / "repro").exists()


@pytest.fixture(scope="module")
def opencl_reproducer(tmp_path_factory):
    """The folder of a case that takes too long, since PoCL has to compile it first, and the program built in it."""
    if shutil.which("g++") is None:
        pytest.skip("no g++ to build reproducers with")
    folder = tmp_path_factory.mktemp("reproducer")
    env = {"XDG_CACHE_HOME": str(folder / "cache"), "POCL_CACHE_DIR": str(folder / "pocl")}
    result = run("conformance", "-d", "opencl:0", "--kernel", "gemm_fp8_f32__tile32", "--no-expected", "--time-limit",
                 "0.1", "--json", folder / "r.json", "--repro", folder / "repro", env=env)
    if not (folder / "r.json").exists():
        pytest.skip(f"no OpenCL driver: {result.stderr.decode()}")
    device, = json.loads((folder / "r.json").read_text())["devices"]
    hung = [row for row in device["rows"] if row["verdict"] == "hang"]
    if not hung:
        pytest.skip("the driver compiles within 0.1 s")
    written = pathlib.Path(hung[0]["reproducer"])
    report = (written / "report.md").read_text()
    assert device["name"] in report and "hang" in report
    build = next(line for line in report.splitlines() if "g++" in line).split("&&")[0].split()
    subprocess.run(build, cwd=written, check=True, timeout=60)
    return written


def run_reproducer(folder):
    result = subprocess.run(["./repro", "0"], cwd=folder, capture_output=True, text=True, timeout=120)
    return result.returncode, result.stdout.splitlines()[-1]


def test_opencl_reproducer_passes_where_the_driver_is_right(opencl_reproducer):
    assert run_reproducer(opencl_reproducer) == (0, "PASS")


def test_opencl_reproducer_names_the_first_wrong_element(opencl_reproducer):
    file, = opencl_reproducer.glob("expected_*_y.bin")
    right = file.read_bytes()
    file.write_bytes(right[:5 * 8] + struct.pack("<d", 1e30) + right[6 * 8:])
    code, line = run_reproducer(opencl_reproducer)
    file.write_bytes(right)
    assert code == 1 and line.startswith("FAIL: y[5]: found ") and "expected 1e+30" in line


def test_markdown_is_a_table():
    text = expect_success(run("conformance", "-d", "cpu", "--kernel", KERNEL, "--md")).decode()
    assert "| device | driver |" in text


def test_same_seed_same_rows(tmp_path):
    rows = []
    for name in ("a.json", "b.json"):
        expect_success(run("conformance", "-d", "cpu", "--kernel", KERNEL, "--seed", 7, "--json", tmp_path / name))
        device, = json.loads((tmp_path / name).read_text())["devices"]
        rows.append([{key: value for key, value in row.items() if key != "seconds"} for row in device["rows"]])
    assert rows[0] == rows[1]


def test_known_failure_that_passes_is_unexpected(tmp_path):
    expect_success(run("conformance", "-d", "cpu", "--update-expected", tmp_path))
    file = tmp_path / "cpu.json"
    known = json.loads(file.read_text())
    known["versions"][0]["known_failing"][f"{KERNEL}__cpp/chunk"] = {"verdict": "fail", "why": "made up"}
    file.write_text(json.dumps(known))
    result = run("conformance", "-d", "cpu", "--kernel", KERNEL, "--expected", tmp_path)
    assert result.returncode == 1
    assert b"made up" in result.stdout and b"1 rows are not as expected" in result.stderr


@pytest.mark.parametrize("args, words", [
    (("--kernel", "no_such_kernel"), ["--kernel", "no_such_kernel"]),
    (("--quick", "--full"), ["--full"]),
    (("--disable", "no_such_capability"), ["no_such_capability"]),
    (("--expected", "/no/such/folder"), ["/no/such/folder"]),
    (("--update-expected", "/tmp", "--kernel", "gemm_*"), ["--update-expected", "--kernel"]),
    (("--model", "/tmp", "--repro", "/tmp/repro"), ["--model", "--repro"]),
])
def test_wrong_usage(args, words):
    expect_error(run("conformance", "-d", "cpu", *args), *words, code=2)


def test_unknown_device():
    expect_error(run("conformance", "-d", "no such device"), "no such device", code=1)


@pytest.mark.parametrize("model", sorted(path.name for path in GOLDEN.iterdir()))
def test_every_kernel_of_a_model(tmp_path, model):
    text = expect_success(run("conformance", "-d", "cpu", "--model", GOLDEN / model, "--model-tokens", "41",
                              "--json", tmp_path / "r.json")).decode()
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["mode"] == "model"
    rows = report["devices"][0]["rows"]
    assert f"all {len(rows) - 1} dispatches" in text
    assert {row["verdict"] for row in rows} == {"pass"}
    assert {"prefill", "decode"} == {"decode" if "tokens 40 to 40" in row["case"] else "prefill" for row in rows[:-1]}
    assert any(row["case"].startswith("layers.1.attn.") for row in rows)
    assert rows[-1]["kernel"] == "model"


def test_model_wants_a_checkpoint(tmp_path):
    expect_error(run("conformance", "-d", "cpu", "--model", tmp_path), "config.json")
    expect_error(run("conformance", "-d", "cpu", "--model", GOLDEN / "tiny-1-swa-csa", "--kernel", "gemm*"), "--model")
    expect_error(run("conformance", "-d", "cpu", "--model", GOLDEN / "tiny-1-swa-csa", "--model-tokens", "60000"),
                 "--model-tokens", "60000")


def test_readme_has_the_table_of_drivers():
    root = pathlib.Path(__file__).resolve().parents[2]
    table = subprocess.run([sys.executable, root / "tests/portability/driver_table.py"],
                           capture_output=True, text=True, check=True).stdout
    assert table.count("\n") > 4 and table in (root / "README.md").read_text()
