#!/usr/bin/env python3
"""The README's table of drivers, made from tests/portability/expected.

  driver_table.py            prints it
  driver_table.py --update   puts it into README.md, between the two comments
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BEGIN = "<!-- drivers: made by tests/portability/driver_table.py --update -->\n"
END = "<!-- end of drivers -->\n"
NAMES = {
    "cpu": "nibble's own cpu backend",
    "intel_cpu": "Intel's CPU runtime, OpenCL",
    "lavapipe": "Mesa lavapipe, Vulkan",
    "nvidia": "NVIDIA, Vulkan",
    "nvidia_cuda": "NVIDIA, OpenCL",
    "oclgrind": "Oclgrind, OpenCL",
    "pocl": "PoCL, OpenCL",
    "swiftshader": "SwiftShader, Vulkan",
}


def reason(message):
    """What a variant needs, without its own name and the device's."""
    if "workgroup memory" in message:
        return "more workgroup memory"
    return message.removeprefix("needs ").split(" (")[0].replace("_", " ")


def table():
    lines = ["| driver | version | variants that it cannot run | known to fail |", "|---|---|---|---|"]
    for file in sorted((ROOT / "tests/portability/expected").glob("*.json")):
        driver = json.loads(file.read_text())
        for version in driver["versions"]:
            needs = {}
            for message in version["unsupported"].values():
                needs[reason(message)] = needs.get(reason(message), 0) + 1
            missing = ", ".join(f"{count} need {what}" for what, count in sorted(needs.items())) or "none"
            failing = ", ".join(f"`{row}`" for row in version["known_failing"]) or "none"
            name = NAMES.get(driver["driver"], driver["driver"])
            lines.append(f"| {name} | {version['version']} | {missing} | {failing} |")
    return "\n".join(lines) + "\n"


def with_table(readme):
    before, rest = readme.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


def main():
    if "--update" not in sys.argv[1:]:
        print(table(), end="")
        return
    README.write_text(with_table(README.read_text()))


if __name__ == "__main__":
    main()
