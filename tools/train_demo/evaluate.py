"""Held-out loss and samples of an exported model.

usage: evaluate.py MODEL_FOLDER [--excerpt FILE] [--expected FILE] [--samples]

Prints bits per byte and perplexity over the held-out chapters and the share of sampled words that occur in the
training text. --excerpt/--expected also write the excerpt and its mean loss over the first 512 and 4096 tokens.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch.nn import functional as F

import checkpoint
import data
from model import Model

BOS, EOS = 0, 1
EXCERPT_CHARACTERS = 16_000
EXCERPT_LENGTHS = (512, 4096)
PROMPTS = ("In the beginning", "And it came to pass")
SAMPLES_PER_PROMPT, SAMPLE_TOKENS = 8, 96


@torch.no_grad()
def token_losses(model: Model, tokens: list[int]) -> torch.Tensor:
    """Loss in nats of each token, given BOS and the tokens before it, as one sequence from position 0."""
    inputs = torch.tensor([[BOS, *tokens[:-1]]])
    logits, _ = model(inputs)
    return F.cross_entropy(logits[0], torch.tensor(tokens), reduction="none")


def bits_per_byte(model: Model, tokenizer: Tokenizer, texts: list[str]) -> float:
    """Each text on its own after BOS; its end is not predicted, since it has no bytes."""
    nats = sum(float(token_losses(model, tokenizer.encode(text).ids).sum()) for text in texts)
    return nats / math.log(2) / sum(len(text.encode()) for text in texts)


def nucleus(logits: torch.Tensor, temperature: float, top_p: float) -> torch.Tensor:
    """Probabilities [N, vocabulary] of the smallest set of tokens that holds top_p of the mass; the rest is zero."""
    weights, order = torch.softmax(logits / temperature, dim=-1).sort(dim=-1, descending=True)
    weights[weights.cumsum(-1) - weights >= top_p] = 0.0
    return torch.zeros_like(weights).scatter_(-1, order, weights)


@torch.no_grad()
def sample(model: Model, tokenizer: Tokenizer, prompt: str, settings: dict, seed: int) -> list[str]:
    """Several continuations at once. Recomputes the sequences for every token: slow, and surely right."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.tensor([[BOS, *tokenizer.encode(prompt).ids]] * SAMPLES_PER_PROMPT)
    for _ in range(SAMPLE_TOKENS):
        logits, _ = model(tokens)
        weights = nucleus(logits[:, -1], settings["temperature"], settings["top_p"])
        tokens = torch.cat((tokens, torch.multinomial(weights, 1, generator=generator)), dim=1)
    lines = [line[1:] for line in tokens.tolist()]
    return [tokenizer.decode(line[: line.index(EOS)] if EOS in line else line) for line in lines]


def known_word_share(texts: list[str], vocabulary: set[str]) -> float:
    found = [word for text in texts for word in data.words(text)]
    return sum(word in vocabulary for word in found) / max(len(found), 1)


def excerpt_losses(model: Model, tokens: list[int]) -> dict[str, dict[str, float]]:
    """Mean loss over the first 512 and 4096 tokens in both numerics modes."""
    result: dict[str, dict[str, float]] = {}
    for mode, rounded in (("plain", False), ("reference", True)):
        model.numerics.round_activations = rounded
        losses = token_losses(model, tokens[: max(EXCERPT_LENGTHS)])
        result[mode] = {str(length): round(float(losses[:length].mean()), 6) for length in EXCERPT_LENGTHS}
    return result


def write_expected(path: Path, losses: dict[str, dict[str, float]]) -> None:
    note = (
        "heldout.txt tokenised whole, BOS (id 0) first, one sequence from position 0. mean_nll: mean of -ln p(token n "
        "| BOS, tokens 1..n-1) in nats over the first N tokens (BOS itself is not scored), float32. plain: no "
        "activation is rounded; reference: every activation rounding of the model."
    )
    path.write_text(json.dumps({"definition": note, "mean_nll": losses}, indent=2) + "\n")


def report_heldout(model: Model, tokenizer: Tokenizer, chapters: list[data.Chapter]) -> None:
    texts = [chapter.text for chapter in chapters]
    count = sum(len(tokenizer.encode(text).ids) for text in texts)
    size = sum(len(text.encode()) for text in texts)
    model.numerics.round_activations = True
    bits = bits_per_byte(model, tokenizer, texts)
    print(f"held-out: {bits:.4f} bits per byte, perplexity {2 ** (bits * size / count):.2f} per token", flush=True)


def report_samples(model: Model, tokenizer: Tokenizer, training: list[data.Chapter], settings: dict) -> None:
    """Prints every other sample. A word that the last token cuts off may be unknown; it counts as unknown."""
    vocabulary = set(data.words(" ".join(chapter.text for chapter in training)))
    texts = [text for n, prompt in enumerate(PROMPTS) for text in sample(model, tokenizer, prompt, settings, n)]
    for text in texts[::2]:
        print("---", text, sep="\n")
    found = [word for text in texts for word in data.words(text)]
    unknown = sorted({word for word in found if word not in vocabulary})
    print(f"--- {100 * known_word_share(texts, vocabulary):.1f} % of {len(found)} words occur in the training text")
    print("others:", " ".join(unknown))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--excerpt", type=Path)
    parser.add_argument("--expected", type=Path)
    parser.add_argument("--samples", action="store_true", help="with the settings of generation_config.json")
    args = parser.parse_args()
    torch.set_num_threads(2)
    model = checkpoint.load(args.model)
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    training, heldout = data.split_chapters(data.read_chapters())
    report_heldout(model, tokenizer, heldout)
    if args.excerpt:
        data.write_excerpt(args.excerpt, heldout, EXCERPT_CHARACTERS)
        tokens = tokenizer.encode(args.excerpt.read_text()).ids
        if args.expected:
            write_expected(args.expected, excerpt_losses(model, tokens))
    if args.samples:
        settings = json.loads((args.model / "generation_config.json").read_text())
        report_samples(model, tokenizer, training, settings)


if __name__ == "__main__":
    main()
