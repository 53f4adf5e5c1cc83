#!/usr/bin/env python3
"""ggml's MUL_MAT_ID with MXFP4 weights side by side with `nibble bench moe -d cpu`.

ggml comes from a Python package that bundles it (xllamacpp, pywhispercpp) or from --library; nothing is built. The
work is that of docs/measuring.md: 24 experts, 6 for every token, products of 2048 x 4096 and 4096 x 2048, weights as
they are stored, the experts changing from one repetition to the next. The two programs run in turn, and the ratio of
each round counts, since machines drift. ggml rounds activations to 8 bits (q8_0), as nibble does with `fast` numerics.
"""
import argparse
import ctypes
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXPERTS, ACTIVE = 24, 6
SHAPES = {"up": (2048, 4096), "down": (4096, 2048)}  # rows, cols
PATTERNS = ("libggml-cpu*.so*", "xllamacpp/*.so", "*/libggml-cpu*.so*")
BLOCK, BLOCK_BYTES = 32, 17  # of MXFP4 in ggml: a scale, then 16 bytes whose low nibbles come first
E2M1 = (0, 0.5, 1, 1.5, 2, 3, 4, 6)
F32, I32 = 0, 26  # ggml_type


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class Plan(ctypes.Structure):
    """ggml_cplan; what follows these members differs between versions and is left as ggml fills it."""
    _fields_ = [("work_size", ctypes.c_size_t), ("work_data", ctypes.c_void_p), ("n_threads", ctypes.c_int),
                ("rest", ctypes.c_byte * 256)]


class PoolParams(ctypes.Structure):
    _fields_ = [("opaque", ctypes.c_byte * 2048)]  # ggml_threadpool_params, longer than any version's


class Ggml:
    """The functions that are needed; a name is looked up in the library and in those it depends on."""

    def __init__(self, path):
        self.library = ctypes.CDLL(str(path))
        pointer, integer = ctypes.c_void_p, ctypes.c_int64
        for name, result, arguments in (
                ("ggml_cpu_init", None, []), ("ggml_type_name", ctypes.c_char_p, [ctypes.c_int]),
                ("ggml_init", pointer, [InitParams]), ("ggml_free", None, [pointer]),
                ("ggml_get_data", pointer, [pointer]),
                ("ggml_new_tensor_3d", pointer, [pointer, ctypes.c_int] + [integer] * 3),
                ("ggml_mul_mat_id", pointer, [pointer] * 4), ("ggml_new_graph", pointer, [pointer]),
                ("ggml_build_forward_expand", None, [pointer] * 2),
                ("ggml_threadpool_params_default", PoolParams, [ctypes.c_int]),
                ("ggml_threadpool_new", pointer, [ctypes.POINTER(PoolParams)]),
                ("ggml_graph_plan", Plan, [pointer, ctypes.c_int, pointer]),
                ("ggml_graph_compute", ctypes.c_int, [pointer, ctypes.POINTER(Plan)])):
            function = getattr(self.library, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name.removeprefix("ggml_"), function)
        self.cpu_init()
        self.mxfp4 = next((t for t in range(30, 64) if self.type_name(t) == b"mxfp4"), None)
        if self.mxfp4 is None:
            raise OSError(f"{path}: no type mxfp4")

    def features(self):
        names = ("avx2", "avx_vnni", "avx512", "avx512_vnni", "avx512_bf16")
        return [name for name in names if getattr(self.library, f"ggml_cpu_has_{name}")()]


def find_library():
    for folder in map(Path, sys.path):
        for pattern in PATTERNS:
            for path in sorted(folder.glob(pattern)):
                try:
                    return Ggml(path), path
                except (OSError, AttributeError):
                    continue
    return None, None


def route(tokens, shift, rng):
    """Ids of `tokens` tokens, each to ACTIVE different experts; the first token's sets are disjoint over the shifts."""
    order = list(range(EXPERTS))
    ids = []
    for token in range(tokens):
        if token > 0:
            rng.shuffle(order)
        ids += [(expert + shift) % EXPERTS for expert in order[:ACTIVE]]
    return ids


class Product:
    """y = W[id]·x for one shape and number of tokens: one graph for each set of experts."""

    def __init__(self, ggml, part, tokens, threads, pool, weights):
        self.ggml, self.tokens = ggml, tokens
        self.rows, self.cols = SHAPES[part]
        self.x_rows = 1 if part == "up" else ACTIVE  # a token's x is shared by its experts, h is not
        rng = random.Random(tokens)
        self.weights = weights
        x_floats = tokens * self.x_rows * self.cols
        shifts = range(0, EXPERTS, ACTIVE)
        memory = (x_floats + len(shifts) * tokens * ACTIVE * (self.rows + 1)) * 4 + len(weights) + (1 << 22)
        self.context = ggml.init(InitParams(memory, None, False))
        w = ggml.new_tensor_3d(self.context, ggml.mxfp4, self.cols, self.rows, EXPERTS)
        ctypes.memmove(ggml.get_data(w), weights, len(weights))
        x = ggml.new_tensor_3d(self.context, F32, self.cols, self.x_rows, tokens)
        self.x = (ctypes.c_float * x_floats).from_address(ggml.get_data(x))
        self.x[:] = [rng.uniform(-1, 1) for _ in range(x_floats)]
        self.graphs = []
        for shift in shifts:
            ids = ggml.new_tensor_3d(self.context, I32, ACTIVE, tokens, 1)
            values = route(tokens, shift, random.Random(tokens))
            ctypes.memmove(ggml.get_data(ids), (ctypes.c_int32 * len(values))(*values), 4 * len(values))
            y = ggml.mul_mat_id(self.context, w, x, ids)
            graph = ggml.new_graph(self.context)
            ggml.build_forward_expand(graph, y)
            plan = ggml.graph_plan(graph, threads, pool)
            work = ctypes.create_string_buffer(plan.work_size + 64)
            plan.work_data = (ctypes.addressof(work) + 63) // 64 * 64
            self.graphs.append((graph, plan, work, values, y))

    def run(self, index):
        """Seconds."""
        graph, plan = self.graphs[index % len(self.graphs)][:2]
        begin = time.perf_counter()
        status = self.ggml.graph_compute(graph, ctypes.byref(plan))
        seconds = time.perf_counter() - begin
        if status != 0:
            raise RuntimeError(f"ggml_graph_compute: status {status}")
        return seconds

    def weight(self, expert, row):
        """A row of decoded weights."""
        blocks = self.cols // BLOCK
        at = (expert * self.rows + row) * blocks * BLOCK_BYTES
        values = []
        for block in range(blocks):
            data = self.weights[at + block * BLOCK_BYTES:at + (block + 1) * BLOCK_BYTES]
            codes = [byte & 15 for byte in data[1:]] + [byte >> 4 for byte in data[1:]]
            values += [math.ldexp(-E2M1[c & 7] if c & 8 else E2M1[c & 7], data[0] - 127) for c in codes]
        return values

    def check(self):
        """Some outputs against decoded weights: rounding activations to 8 bits changes them by less than 2 %."""
        self.run(0)
        values, y = self.graphs[0][3:]
        outputs = (ctypes.c_float * (len(values) * self.rows)).from_address(self.ggml.get_data(y))
        for pair in (0, len(values) - 1):
            for row in (0, self.rows - 1):
                x_row = (pair // ACTIVE) * self.x_rows + (pair % ACTIVE if self.x_rows > 1 else 0)
                x = self.x[x_row * self.cols:(x_row + 1) * self.cols]
                products = [a * b for a, b in zip(self.weight(values[pair], row), x)]
                error = abs(outputs[pair * self.rows + row] - sum(products))
                if not error <= 0.02 * math.sqrt(sum(p * p for p in products)):
                    raise RuntimeError(f"ggml: output {pair},{row} is off by {error}")

    def milliseconds(self):
        """Median over at least 12 repetitions, as many as fit into half a second."""
        times = []
        begin = time.perf_counter()
        while len(times) < 12 or (time.perf_counter() - begin < 0.5 and len(times) < 400):
            times.append(self.run(len(times)))
        return statistics.median(times[4:]) * 1e3


def random_weights(rows, cols):
    rng = random.Random(rows)
    weights = bytearray(rng.randbytes(EXPERTS * rows * cols // BLOCK * BLOCK_BYTES))
    weights[0::BLOCK_BYTES] = bytes(116 + code % 6 for code in weights[0::BLOCK_BYTES])
    return bytes(weights)


def nibble_milliseconds(args):
    """By part, tokens and numerics; moe_up is two products."""
    found = {}
    for numerics in ("reference", "fast"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.json"
            command = [args.nibble, "bench", "moe", "-d", "cpu", "--threads", str(args.threads), "--part", "up,down",
                       "--tokens", ",".join(map(str, args.tokens)), "--numerics", numerics, "--pairs", "5",
                       "--json", str(file)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            for row in json.loads(file.read_text())["rows"]:
                if row["data"] == "cold":
                    part = "up" if row["kernel"].startswith("moe_up") else "down"
                    found[part, row["tokens"], numerics] = row["ms_median"] / (2 if part == "up" else 1)
    return found


def measure(ggml, args):
    """Lists, one entry a round, by (part, tokens) for ggml and (part, tokens, numerics) for nibble."""
    pool = ggml.threadpool_new(ctypes.byref(ggml.threadpool_params_default(args.threads)))
    weights = {part: random_weights(*shape) for part, shape in SHAPES.items()}
    taken = {}
    for round_index in range(args.rounds):
        for part in SHAPES:
            for tokens in args.tokens:
                product = Product(ggml, part, tokens, args.threads, pool, weights[part])
                if round_index == 0:
                    product.check()
                taken.setdefault((part, tokens), []).append(product.milliseconds())
                ggml.free(product.context)
        for key, milliseconds in nibble_milliseconds(args).items():
            taken.setdefault(key, []).append(milliseconds)
    return taken


def print_table(taken, args):
    print("| product | tokens | ggml ms | nibble ms | ratio | nibble fast ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    for part, (rows, cols) in SHAPES.items():
        for tokens in args.tokens:
            peer = taken[part, tokens]
            cells = [f"{rows} × {cols}", tokens, f"{statistics.median(peer):.2f}"]
            for numerics in ("reference", "fast"):
                ours = taken[part, tokens, numerics]
                ratios = sorted(a / b for a, b in zip(peer, ours))
                cells += [f"{statistics.median(ours):.2f}",
                          f"{statistics.median(ratios):.1f} ({ratios[0]:.1f}-{ratios[-1]:.1f})"]
            print("| " + " | ".join(map(str, cells)) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, help="a library with ggml's cpu backend (default: look in packages)")
    parser.add_argument("--nibble", default="build/nibble", help="the program (default: %(default)s)")
    parser.add_argument("--tokens", default="1,4,16,64,256", type=lambda text: [int(n) for n in text.split(",")])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    try:
        ggml, path = (Ggml(args.library), args.library) if args.library else find_library()
    except (OSError, AttributeError) as error:
        sys.exit(f"{args.library}: {error}")
    if ggml is None:
        sys.exit("no ggml found: install a package that bundles it (xllamacpp, pywhispercpp) or give --library")
    print(f"ggml of {path.name}, built for {', '.join(ggml.features()) or 'any processor'}; {args.threads} threads\n")
    print_table(measure(ggml, args), args)


if __name__ == "__main__":
    main()
