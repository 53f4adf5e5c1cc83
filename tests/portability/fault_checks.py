"""What the tests of broken drivers share: running `nibble conformance` on one, and judging what it said of a fault."""

import fnmatch
import json
import os
import subprocess

PROGRAM = os.environ["NIBBLE_PROGRAM"]

FAIL = {"fail"}
ERROR = {"error"}
# What reads workgroup memory too early finds what another workgroup left there: twice the same, or not.
RACE = {"fail", "nondeterministic"}
PROBES = "probe_*"


def run_conformance(report, env, device, kernels, options):
    """The process that ended; `report` is the file it writes."""
    command = [PROGRAM, "conformance", "--device", device, "--no-expected", "--kernel", kernels]
    return subprocess.run([*command, "--json", str(report), *options], env=env, capture_output=True, text=True,
                          timeout=200)


def bad_rows(report, result):
    """Rows that did not pass, and how many rows there were."""
    assert report.exists(), result.stderr
    rows = json.loads(report.read_text())["devices"][0]["rows"]
    bad = [row for row in rows if row["verdict"] not in ("pass", "unsupported", "skipped")]
    assert result.returncode == (1 if bad else 0), result.stderr
    return bad, len(rows)


def matches(row, pattern):
    return fnmatch.fnmatch(row["kernel"], pattern) or fnmatch.fnmatch(f"{row['kernel']}__{row['variant']}", pattern)


def check_attribution(bad, kernels, guilty, verdicts, breaks_almost_all):
    """The guilty rows are among the bad ones, with these verdicts; most probes pass."""
    for pattern in guilty:
        shown = [row for row in bad if matches(row, pattern)]
        assert shown, f"{pattern} passes; wrong are {sorted({row['kernel'] for row in bad})}"
        assert {row["verdict"] for row in shown} <= verdicts
    if kernels == PROBES and not breaks_almost_all:
        assert len({row["kernel"] for row in bad}) <= 16
