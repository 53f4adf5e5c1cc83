"""Options that take numbers refuse what is none, and what does not fit them: nothing is wrapped or read as in C."""
import re

import pytest

from support import run

COMMANDS = [["run"], ["chat"], ["devices"], ["plan"], ["logits"], ["perplexity"], ["tune"], ["conformance"],
            ["inspect"], ["synth"], ["tokenize"], ["encode"], ["offline"], ["bench", "kernel"], ["bench", "moe"],
            ["bench", "attention"], ["bench", "decode"], ["bench", "prefill"], ["bench", "peak"]]
# Texts that no option of a type takes, whatever its range.
HOSTILE = {
    "N": ["-1", "1e3", "0x10", "010", "", " 5", "5x", "+3", "1.5", "nan", "99999999999999999999999"],
    "number": ["0x10", "", " 5", "5x", "+3", "nan", "inf", "-inf", "1e999"],
}
TYPES = {"N": "N", "N[,N]": "N", "S": "N", "K": "N", "T": "number", "P": "number", "M": "number", "SECONDS": "number"}


def number_options(command):
    """The options of a command that `--help` gives a number's type: (name, kind)."""
    text = run(*command, "--help").stdout.decode()
    found = []
    for line in text.splitlines():
        match = re.match(r"\s+(?:-\w,)?(--[a-z-]+)\s(\S+)", line)
        if match and re.split("[:=]", match[2])[0] in TYPES:
            found.append((match[1], TYPES[re.split("[:=]", match[2])[0]]))
    return found


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_hostile_numbers(command):
    for option, kind in number_options(command):
        for text in HOSTILE[kind]:
            result = run(*command, f"{option}={text}")
            said = result.stderr.decode()
            assert result.returncode == 2, f"{option} '{text}': {said}"
            assert option in said and len(said.splitlines()) == 1, f"{option} '{text}': {said}"


def test_there_are_such_options():
    """The test above reads help texts: it must find what is known to be there."""
    assert {"--threads", "--ctx", "--chunk", "--seed", "--temp", "--top-k", "--max-tokens", "--subgroup-size",
            "--driver-time"} <= {name for name, _ in number_options(["run"])}
    assert "--pairs" in {name for name, _ in number_options(["bench", "kernel"])}
