"""Compares this model with known answers: checkpoints in the released layout with expected logits.

usage: check_golden.py GOLDEN_MODELS_FOLDER

Each model folder holds config.json, the weights, prompts.json, manifest.json and expected/<prompt>.logits.<mode>.npy.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

import checkpoint
from model import Model

PLAIN_LIMIT = 1e-3
# Rounding to FP8 is a step function: correct programs differ by up to 0.07 in the median after six layers.
REFERENCE_MEDIAN_LIMIT = 0.1


def logits(model: Model, prompt: dict, reference: bool) -> np.ndarray:
    model.numerics.round_activations = reference
    tokens = torch.tensor([prompt["prompt_ids"] + prompt["continuation_ids"]])
    return model(tokens)[0][0, len(prompt["prompt_ids"]) - 1 :].numpy()


def check_model(folder: Path) -> bool:
    model = checkpoint.load(folder)
    good = True
    for prompt in json.loads((folder / "prompts.json").read_text()):
        expected = folder / "expected" / f"{prompt['name']}.logits"
        plain = np.load(f"{expected}.f32_plain.npy") - logits(model, prompt, reference=False)
        rounded = np.load(f"{expected}.f32.npy") - logits(model, prompt, reference=True)
        worst = float(np.abs(plain).max())
        median = float(np.median(np.sqrt(np.square(rounded).mean(-1))))
        passed = worst < PLAIN_LIMIT and median < REFERENCE_MEDIAN_LIMIT
        good &= passed
        print(f"{folder.name:24} {prompt['name']:14} plain max {worst:.1e}  reference median RMS {median:.1e}", end="")
        print("" if passed else "  FAILED")
    return good


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    with torch.no_grad():
        results = [check_model(path.parent) for path in sorted(Path(sys.argv[1]).glob("*/config.json"))]
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
