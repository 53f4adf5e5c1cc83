"""Trains the demo model and exports it.

usage: train.py --minutes 80 --out build/train [--model tools/demo/model]

The schedule follows the clock, not the step count: it ends, decayed, after --minutes of wall time whatever the
machine's speed. SIGTERM saves and stops; running the same command again resumes (--minutes is then the new total).
Each worker is a process with one thread and its own batches; gradients are averaged once per step. On a busy machine
that beats threads, which wait for each other at every operation.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional as F

import checkpoint
from batches import Batches, balanced_hash_table
from config import demo_config
from data import read_chapters, split_chapters
from evaluate import bits_per_byte
from layers import Numerics
from model import Model
from optimiser import build_optimisers, set_rate

# The indexer's loss reaches no other weight, so its share only sets the indexer's own pace.
INDEXER_LOSS_SHARE = 1.0
BALANCE_SPEED = 1e-3


@dataclass
class Progress:
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0


def rate_factor(done: float, warmup: float = 0.01, decay_from: float = 0.45) -> float:
    """Warm-up, constant, then linear to zero over the second half; `done` is the share of the time spent."""
    if done < warmup:
        return max(done / warmup, 0.02)
    return min(1.0, max(0.0, (1.0 - done) / (1.0 - decay_from)))


def sequence_length(done: float) -> int:
    """Short sequences first, since most of English is local; longer ones teach the compressed entries."""
    return 512 if done < 0.7 else 1024 if done < 0.9 else 2048


class Trainer:
    """One worker. All workers hold the same weights and take the same steps; worker 0 prints, saves and exports."""

    def __init__(self, args: argparse.Namespace, rank: int) -> None:
        self.args, self.rank, self.total = args, rank, args.minutes * 60.0
        self.tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
        self.training, self.heldout = split_chapters(read_chapters())
        config = demo_config()
        torch.manual_seed(args.seed)
        self.model = Model(config, Numerics(compute_dtype=torch.bfloat16, round_activations=False))
        self.batches = Batches(self.tokenizer, self.training, self._data_seed(0))
        frequencies = self.batches.token_frequencies(config.vocab_size)
        table = balanced_hash_table(frequencies, config.n_routed_experts, config.num_experts_per_tok)
        for block in self.model.layers[: config.num_hash_layers]:
            block.ffn.gate.tid2eid.copy_(table)
        self.optimisers = build_optimisers(self.model, args.matrix_lr, args.other_lr)
        self.progress = Progress()
        self.stopping = self.stop_requested = False
        self.clock, self.clock_offset = time.monotonic(), 0.0

    def _data_seed(self, step: int) -> int:
        return self.args.seed + 1000 * step + self.rank

    @property
    def state_path(self) -> Path:
        return self.args.out / "state.pt"

    def save(self) -> None:
        if self.rank != 0:
            return
        state = {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "progress": asdict(self.progress),
        }
        fresh = self.state_path.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.state_path)

    def resume(self) -> None:
        if not self.state_path.exists():
            return
        state = torch.load(self.state_path)
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"]):
            optimiser.load_state_dict(saved)
        self.progress = Progress(**state["progress"])
        # Other chapters first than at the last start; the exact order does not matter.
        self.batches = Batches(self.tokenizer, self.training, self._data_seed(self.progress.step))
        self.log(f"resumed at step {self.progress.step}, {self.progress.seconds / 60:.1f} minutes")

    def log(self, line: str) -> None:
        if self.rank == 0:
            print(line, flush=True)

    def average(self, extra: list[Tensor]) -> list[Tensor]:
        """Averages gradients, expert loads and `extra` over the workers in one exchange; returns the new `extra`."""
        gradients = [p.grad for p in self.model.parameters()]
        loads = [block.ffn.load for block in self.model.layers]
        tensors = [*gradients, *loads, *extra]
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.args.workers
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip([*gradients, *loads], parts):
            tensor.copy_(part.view_as(tensor))
        return list(parts[len(tensors) - len(extra) :])

    def train_step(self, done: float) -> tuple[float, float]:
        """One step of all workers; returns the losses, averaged."""
        self.model.numerics.round_activations = done >= self.args.round_activations_from
        set_rate(self.optimisers, rate_factor(done))
        length = sequence_length(done)
        tokens = self.batches.next(max(1, self.args.batch_tokens // length), length)
        logits, indexer_loss = self.model(tokens[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        (loss + INDEXER_LOSS_SHARE * indexer_loss).backward()
        # The clock and the wish to stop travel with the gradients, so that all workers decide alike.
        own = [loss.detach(), indexer_loss.detach(), time.monotonic() - self.clock, float(self.stop_requested)]
        mean_loss, mean_indexer_loss, seconds, stop = self.average([torch.tensor([float(x)]) for x in own])
        for optimiser in self.optimisers:
            optimiser.step()
        for block in self.model.layers:
            block.ffn.balance(BALANCE_SPEED)
        self.progress.step += 1
        self.progress.tokens += tokens[:, 1:].numel() * self.args.workers
        self.progress.seconds = self.clock_offset + float(seconds)
        self.stopping = float(stop) > 0
        return float(mean_loss), float(mean_indexer_loss)

    def evaluate(self) -> float:
        """Bits per byte of the exported numbers, every rounding on, over a quarter of the held-out chapters."""
        numerics = self.model.numerics
        kept = numerics.round_activations
        numerics.round_activations = True
        self.model.eval()
        result = bits_per_byte(self.model, self.tokenizer, [chapter.text for chapter in self.heldout[::4]])
        self.model.train()
        numerics.round_activations = kept
        return result

    def run(self) -> None:
        signal.signal(signal.SIGTERM, self._request_stop)
        self.resume()
        self.clock, self.clock_offset = time.monotonic(), self.progress.seconds
        next_save = self.progress.seconds + self.args.save_minutes * 60
        smooth, logged = math.nan, (self.progress.seconds, self.progress.tokens)
        while not self.stopping and self.progress.seconds < self.total:
            loss, indexer_loss = self.train_step(self.progress.seconds / self.total)
            progress = self.progress
            smooth = loss if math.isnan(smooth) else 0.95 * smooth + 0.05 * loss
            if progress.step % 10 == 0:
                speed = (progress.tokens - logged[1]) / (progress.seconds - logged[0])
                logged = progress.seconds, progress.tokens
                self.log(f"step {progress.step} minutes {progress.seconds / 60:.1f} epochs "
                         f"{progress.tokens / self.batches.size:.2f} loss {smooth:.3f} indexer {indexer_loss:.3f} "
                         f"tokens/s {speed:.0f}")
            if progress.seconds >= next_save:
                next_save = progress.seconds + self.args.save_minutes * 60
                self.checkpoint()
        # Asked to stop, it hurries: the next start exports what it saves here.
        self.save() if self.stopping else self.checkpoint()

    def _request_stop(self, *_: object) -> None:
        self.stop_requested = True

    def checkpoint(self) -> None:
        """Saves, exports and evaluates on worker 0 while the others wait at the next exchange."""
        self.save()
        if self.rank == 0:
            checkpoint.export(self.model, self.args.model)
            bits = self.evaluate()
            self.log(f"held-out {bits:.3f} bits per byte after {self.progress.tokens} tokens")


def work(rank: int, args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(args.out / "rendezvous"), args.workers)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=args.workers)
    Trainer(args, rank).run()
    dist.destroy_process_group()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="wall time of the training, resumes included")
    parser.add_argument("--out", type=Path, required=True, help="folder of the resumable state")
    parser.add_argument("--model", type=Path, default=Path("tools/demo/model"), help="tokenizer read, weights written")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch-tokens", type=int, default=1024, help="tokens per worker and step, if sequences allow")
    parser.add_argument("--matrix-lr", type=float, default=0.02)
    parser.add_argument("--other-lr", type=float, default=0.002)
    parser.add_argument("--round-activations-from", type=float, default=0.7, help="share of the time after which the "
                        "activations are rounded too (weights always are)")
    parser.add_argument("--save-minutes", type=float, default=8.0)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "rendezvous").unlink(missing_ok=True)
    workers = mp.spawn(work, (args,), args.workers, join=False)
    signal.signal(signal.SIGTERM, lambda *_: [os.kill(pid, signal.SIGTERM) for pid in workers.pids()])
    while not workers.join():
        pass


if __name__ == "__main__":
    main()
