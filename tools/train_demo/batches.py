"""Token streams for training: whole chapters in random order, some of them as chat turns."""

from __future__ import annotations

import random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from data import Chapter

BOS, EOS = 0, 1


class Batches:
    """Endless batches [B, T + 1]. Each epoch shuffles the chapters; each chapter begins with BOS and ends with EOS.

    A chapter is now and then replaced by chat turns over its verses: the user gives the beginning of a verse, the
    assistant completes it.
    """

    def __init__(self, tokenizer: Tokenizer, chapters: list[Chapter], seed: int, chat_share: float = 0.06) -> None:
        self.random, self.chat_share = random.Random(seed), chat_share
        self.chapters, self.tokenizer = chapters, tokenizer
        self.user, self.assistant = tokenizer.token_to_id("<｜User｜>"), tokenizer.token_to_id("<｜Assistant｜>")
        self.no_think = tokenizer.token_to_id("</think>")
        self.plain = [[BOS, *ids, EOS] for ids in self._encode([c.text for c in chapters])]
        self.pending: list[int] = []
        self.order: list[int] = []
        self.size = sum(len(ids) for ids in self.plain)

    def _encode(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts, add_special_tokens=False)]

    def _chat(self, chapter: Chapter) -> list[int]:
        """One dialogue per verse, in the released chat format without thinking."""
        tokens: list[int] = []
        for verse in chapter.verses:
            parts = verse.split(" ")
            cut = self.random.randint(1, max(1, min(8, len(parts) // 2)))
            prompt, answer = self._encode([" ".join(parts[:cut]), " ".join(parts[cut:])])
            tokens += [BOS, self.user, *prompt, self.assistant, self.no_think, *answer, EOS]
        return tokens

    def _next_document(self) -> list[int]:
        if not self.order:
            self.order = list(range(len(self.chapters)))
            self.random.shuffle(self.order)
        number = self.order.pop()
        if self.random.random() < self.chat_share:
            return self._chat(self.chapters[number])
        return self.plain[number]

    def next(self, batch: int, length: int) -> Tensor:
        needed = batch * (length + 1)
        while len(self.pending) < needed:
            self.pending += self._next_document()
        taken, self.pending = self.pending[:needed], self.pending[needed:]
        return torch.tensor(taken).view(batch, length + 1)

    def token_frequencies(self, vocab_size: int) -> Tensor:
        return torch.bincount(torch.tensor([t for ids in self.plain for t in ids]), minlength=vocab_size)


def balanced_hash_table(frequencies: Tensor, experts: int, active: int) -> Tensor:
    """Token id -> `active` different experts [vocab, active]; frequent tokens first, each to the least used experts."""
    load = [0.0] * experts
    table = torch.zeros(len(frequencies), active, dtype=torch.int64)
    for token in torch.argsort(frequencies, descending=True, stable=True).tolist():
        chosen = sorted(range(experts), key=lambda e: (load[e], e))[:active]
        for expert in chosen:
            load[expert] += float(frequencies[token]) + 1.0
        table[token] = torch.tensor(chosen)
    return table
