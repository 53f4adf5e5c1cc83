"""Shows that the exported files hold what training computed.

usage: check_export.py STATE_FILE MODEL_FOLDER EXCERPT_FILE EXPECTED_FILE

1. The master weights of the training state, rounded as in training, and the exported checkpoint give the same logits.
2. The exported checkpoint gives the recorded losses of the excerpt.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer

import checkpoint
from config import demo_config
from evaluate import excerpt_losses
from layers import Numerics
from model import Model

# Both sides run the same float32 operations on the same numbers.
LOGIT_LIMIT = 1e-4
LOSS_LIMIT = 1e-4


@torch.no_grad()
def logit_difference(state_file: Path, exported: Model, tokens: list[int]) -> float:
    trained = Model(demo_config(), Numerics(round_weights=True, round_activations=False)).eval()
    trained.load_state_dict(torch.load(state_file)["model"])
    exported.numerics.round_activations = False
    inputs = torch.tensor([tokens])
    return float((trained(inputs)[0] - exported(inputs)[0]).abs().max())


def loss_difference(exported: Model, tokens: list[int], expected: dict[str, dict[str, float]]) -> float:
    found = excerpt_losses(exported, tokens)
    return max(abs(found[mode][length] - expected[mode][length]) for mode in expected for length in expected[mode])


def main() -> int:
    if len(sys.argv) != 5:
        print(__doc__)
        return 2
    state_file, folder, excerpt_file, expected_file = map(Path, sys.argv[1:])
    torch.set_num_threads(2)
    exported = checkpoint.load(folder)
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(excerpt_file.read_text()).ids
    logits = logit_difference(state_file, exported, tokens[:600])
    losses = loss_difference(exported, tokens, json.loads(expected_file.read_text())["mean_nll"])
    print(f"training state against export: logits differ by {logits:.1e} at most")
    print(f"recorded against recomputed losses: differ by {losses:.1e} at most")
    return 0 if logits < LOGIT_LIMIT and losses < LOSS_LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
