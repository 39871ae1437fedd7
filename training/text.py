"""Trains the text encoder (a CLIP text model) to tell what a caption says.

    python text.py

Stable Diffusion's text encoder was trained before its U-Net, against pictures. This one learns from
the captions' own meaning: for each kind of attribute a linear layer reads from the last hidden
states which value is mentioned, or that none is. Words without meaning here (never a negation) are
mixed in, so that unknown words do not disturb the known ones. The linear layers are discarded
afterwards, and the U-Net is trained with the encoder frozen.
"""

import argparse
import copy
import json

import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPTextConfig, CLIPTextModel

import captions
import optimizer
import parallel
import store
import tokenizer as tokenizers
import world

WIDTH, LAYERS, HEADS = 128, 2, 4
NEGATIONS = {"without", "no", "not"}
FILLERS = [
    word
    for word in tokenizers.ENGLISH
    if word
    in """and the of in on at is very high quality best photo picture image painting drawing cartoon
person people old young beautiful handsome realistic detailed sharp clear color text city street night day sky house tree standing sitting looking""".split()
]


def build(tokenizer):
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            max_position_embeddings=77,
            hidden_act="quick_gelu",
            projection_dim=WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    encoder.set_attn_implementation("eager")
    return encoder


def load(tokenizer):
    """The trained encoder, without gradients."""
    encoder = build(tokenizer)
    encoder.load_state_dict(store.load(store.work() / "text.pt")["ema"])
    return encoder.eval().requires_grad_(False)


def with_fillers(text, rng):
    words = text.split(" ")
    for _ in range(rng.randrange(4) if rng.random() < 0.4 else 0):
        words.insert(rng.randrange(len(words) + 1), world.pick(rng, FILLERS))
    return " ".join(words)


def batch_of(tokenizer, count, rng):
    """Token ids, targets, and two positions to read from: the end of the text, and one after it.

    Targets: for each kind of attribute the index of the mentioned value (0: none).
    """
    texts, targets = [], np.zeros((count, len(captions.KINDS)), np.int64)
    for row in targets:
        text, said, _ = captions.caption(world.sample(rng), rng)
        if rng.random() < 0.05:
            text, said, _ = captions.NOTHING
        texts.append(with_fillers(text, rng))
        for k, (kind, values) in enumerate(captions.KINDS.items()):
            if kind in said:
                row[k] = 1 + values.index(said[kind])
    ids = tokenizers.encode(tokenizer, texts)
    # <|endoftext|> has the highest id; padding is the same token.
    ends = ids.argmax(1)
    behind = torch.tensor([rng.randrange(end, ids.shape[1]) for end in ends.tolist()])
    return ids, torch.from_numpy(targets), (ends, behind)


class Reader(torch.nn.Module):
    """Linear layers that read every kind of attribute from a hidden state."""

    def __init__(self):
        super().__init__()
        self.sizes = [1 + len(values) for values in captions.KINDS.values()]
        self.linear = torch.nn.Linear(WIDTH, sum(self.sizes))

    def loss(self, hidden, targets):
        parts = self.linear(hidden).split(self.sizes, -1)
        wrong = (
            torch.stack([part.argmax(-1) != target for part, target in zip(parts, targets.T)])
            .float()
            .mean()
        )
        return sum(F.cross_entropy(part, target) for part, target in zip(parts, targets.T)), wrong


def train(rank, args):
    path = store.work() / "text.pt"
    tokenizer = tokenizers.load()
    torch.manual_seed(args.seed)
    models = torch.nn.ModuleDict({"encoder": build(tokenizer), "reader": Reader()}).to(
        parallel.DEVICE
    )
    parameters = [p for p in models.parameters() if p.requires_grad]
    optimizer_ = optimizer.Optimizer(
        [{"params": parameters, "peak": args.lr, "weight_decay": 0.01}]
    )
    first = 0
    if path.exists():
        state = store.load(path)
        if state["step"] >= args.steps:
            return
        models.load_state_dict(state["raw"]), optimizer_.load_state_dict(state["optimizer"])
        first = state["step"]
    losses, wrongs = [], []
    share = args.batch // parallel.WORKERS
    batches = parallel.batches(
        lambda step: batch_of(tokenizer, share, world.generator(args.seed, rank, step)),
        first,
        args.steps,
    )
    for step, (ids, targets, places) in zip(range(first, args.steps), batches):
        hidden = models["encoder"](ids.to(parallel.DEVICE)).last_hidden_state
        rows, loss, wrong = torch.arange(len(ids)), 0, 0
        for place in places:
            l, w = models["reader"].loss(hidden[rows, place], targets.to(parallel.DEVICE))
            loss, wrong = loss + l / 2, wrong + w / 2
        loss.backward()
        optimizer_.step(optimizer.factor(step, args.steps, args.steps // 3))
        losses.append(loss.item())
        wrongs.append(wrong.item())
        done = step + 1
        if rank == 0 and (done % args.every == 0 or done == args.steps):
            print(
                f"step {done} loss {np.mean(losses[-args.every :]):.3f}, wrong {100 * np.mean(wrongs[-args.every :]):.2f} %",
                flush=True,
            )
            store.save(
                path,
                {
                    "raw": models.state_dict(),
                    "ema": copy.deepcopy(models["encoder"]).state_dict(),
                    "optimizer": optimizer_.state_dict(),
                    "step": done,
                },
            )
    if rank == 0 and wrongs:
        summary = {
            "steps": args.steps,
            "arguments": vars(args),
            "loss": float(np.mean(losses[-50:])),
            "wrong": float(np.mean(wrongs[-50:])),
        }
        (store.REPORT / "text.json").write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=parallel.sized(350, 1000))
    parser.add_argument(
        "--batch", type=int, default=parallel.sized(64, 256), help="over all workers"
    )
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--every", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parallel.launch(train, parser.parse_args())
