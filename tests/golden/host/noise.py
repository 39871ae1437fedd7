"""noise.json: torch.randn with a CPU generator, and Philox normals in NumPy, after the paper."""

import json
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
LATENT = 4 * 64 * 64
# Seed and sizes of successive calls: below, at and above one vector of 16; with and without a
# remainder; in any order.
STREAMS = [(42, [n]) for n in (1, 2, 3, 7, 15, 16, 17, 24, 31, 32, 33, 47, 100, 1000)]
STREAMS += [
    (0, [LATENT]),
    (1, [LATENT, LATENT]),
    (2**32 - 1, [64, 64]),
    (2**32 + 5, [5, 64]),
    (2**63 + 12345, [20, 3]),
    (2**64 - 1, [33]),
]
STREAMS += [
    (7, [3, 16, 3, 17, 1, 40, 2]),
    (8, [5, 5, 5, 32]),
    (9, [1] * 7),
    (10, [0, 16, 0, 3]),
    (11, [4 * 12 * 20] * 3),
    (12, [700, 700]),
    (1234567, [4 * 96 * 96]),
]


def philox4x32_10(counter, key):
    """Salmon et al. 2011, on columns of uint64 that hold 32 bits each."""
    low = np.uint64(0xFFFFFFFF)
    c0, c1, c2, c3 = (c.astype(np.uint64) for c in counter)
    k0, k1 = (np.uint64(k) for k in key)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ k0,
            p1 & low,
            (p0 >> np.uint64(32)) ^ c3 ^ k1,
            p0 & low,
        )
        k0, k1 = (k0 + np.uint64(0x9E3779B9)) & low, (k1 + np.uint64(0xBB67AE85)) & low
    return c0, c1, c2, c3


def philox_randn(seed, call, n):
    """torch.randn on an NVIDIA GPU, as in A1111's "NV" noise.

    Element i is the first of cuRAND's normals of subsequence i. The offset grows by one per call.
    """
    index, zero = np.arange(n, dtype=np.uint64), np.zeros(n, dtype=np.uint64)
    x, y, _, _ = philox4x32_10(
        (zero + np.uint64(call), zero, index, zero), (seed & 0xFFFFFFFF, seed >> 32)
    )
    step, turn = np.float32(2.3283064e-10), np.float32(2.3283064e-10 * 6.2831855)
    u = x.astype(np.float64) * np.float64(step) + np.float64(step) / 2
    v = y.astype(np.float64) * np.float64(turn) + np.float64(turn) / 2
    return (np.sqrt(-2.0 * np.log(u)) * np.sin(v)).astype(np.float32)


def record(values):
    """The bits of short calls; of long ones both ends and a sum with a weight for each element."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).astype(np.uint64)
    with np.errstate(over="ignore"):
        total = int((bits * np.arange(1, len(bits) + 1, dtype=np.uint64)).sum(dtype=np.uint64))
    shown = bits if len(bits) <= 100 else np.concatenate([bits[:40], bits[-40:]])
    return {"n": len(bits), "bits": "".join(f"{int(b):08x}" for b in shown), "sum": f"{total:016x}"}


def write():
    # PyTorch's kernel for machines without AVX2 differs slightly.
    assert torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    known = philox4x32_10(
        [np.array([c]) for c in (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)],
        (0xA4093822, 0x299F31D0),
    )
    assert [int(k[0]) for k in known] == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]
    lines = []
    for seed, sizes in STREAMS:
        generator = torch.Generator().manual_seed(seed)
        torch_calls = [record(torch.randn(n, generator=generator).numpy()) for n in sizes]
        lines.append({"rng": "torch", "seed": str(seed), "calls": torch_calls})
    for seed, sizes in STREAMS:
        philox_calls = [record(philox_randn(seed, call, n)) for call, n in enumerate(sizes)]
        lines.append({"rng": "philox", "seed": str(seed), "calls": philox_calls})
    text = "[\n" + ",\n".join(json.dumps(line, separators=(",", ":")) for line in lines) + "\n]\n"
    (HERE / "noise.json").write_text(text, newline="\n")
