"""Trains the autoencoder (AutoencoderKL: factor 8, 4 latent channels) on the drawings.

    python vae.py          resumes an interrupted run

Three of four steps use crops of faces, where the detail is: four crops cost as much as a picture.
"""

import argparse
import copy
import json
import time

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor

import draw
import optimizer
import parallel
import store

HELD_OUT = 500  # the last pictures of the set, never trained on
CHANNELS = (16, 32, 64, 64)


def build():
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=4,
        sample_size=draw.SIZE,
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=CHANNELS,
    )
    vae.set_attn_processor(AttnProcessor())  # the fused one has a slow backward pass on CPUs
    return vae


def load():
    """The trained autoencoder, without gradients."""
    vae = build()
    state = store.load(store.work() / "vae.pt")
    vae.load_state_dict(state["ema"])
    vae.register_to_config(scaling_factor=state.get("scaling", 1.0))
    return vae.eval().requires_grad_(False).to(parallel.DEVICE)


def pictures():
    return np.load(store.work() / "images.npy", mmap_mode="r")


def to_tensor(images):
    """Pictures uint8 [n, height, width, 3] as float32 [n, 3, height, width] in -1…1, on DEVICE."""
    pixels = torch.from_numpy(np.array(images)).to(parallel.DEVICE).permute(0, 3, 1, 2)
    return pixels.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def batch_of(images, count, batch, crops, rng):
    """Whole pictures, or four times as many crops of faces; uint8."""
    if rng.random() >= crops:
        x = images[np.sort(rng.integers(0, count, batch))]
    else:
        top, left = 8 * int(rng.integers(0, 9)), 8 * int(rng.integers(2, 7))
        x = images[np.sort(rng.integers(0, count, batch * 4)), top : top + 64, left : left + 64]
    return torch.from_numpy(np.array(x[:, :, ::-1] if rng.random() < 0.5 else x))


def reconstruction_loss(output, target):
    """Absolute and squared differences of pixels, and absolute ones of edges, for crisp lines."""
    difference = output - target
    edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    return difference.abs().mean() + 5 * difference.square().mean() + 0.5 * edges


@torch.no_grad()
def reconstructed(vae, images):
    return torch.cat(
        [vae.decode(vae.encode(part).latent_dist.mean).sample for part in images.split(16)]
    ).clamp(-1, 1)


@torch.no_grad()
def latents(vae, images):
    """Mean and deviation of every picture's latent, scaled; float16 [pictures, 8, 16, 16]."""
    parts = []
    for i in range(0, len(images), 50):
        posterior = vae.encode(to_tensor(images[i : i + 50])).latent_dist
        parts.append(
            (torch.cat([posterior.mean, posterior.std], 1) * vae.config.scaling_factor).half().cpu()
        )
    return torch.cat(parts)


def psnr(output, target):
    """Mean over the pictures, in dB."""
    return float((-10 * torch.log10(((output - target) / 2).square().mean((1, 2, 3)))).mean())


def train(rank, args):
    report = print if rank == 0 else (lambda *a, **k: None)
    path = store.work() / args.name
    images = pictures()
    count = len(images) - HELD_OUT
    held_out = to_tensor(images[count : count + 32])
    torch.manual_seed(args.seed)
    vae = parallel.rough(build()).to(parallel.DEVICE, memory_format=torch.channels_last).train()
    averaged = copy.deepcopy(vae).requires_grad_(False)
    learning, following = (vae.decoder, averaged.decoder) if args.decoder else (vae, averaged)
    optimizer_ = optimizer.of(learning, following, args.muon, args.lr)
    first, history, scaling = 0, [], {}
    if path.exists():
        state = store.load(path)
        scaling = {key: state[key] for key in ("scaling",) if key in state}
        vae.load_state_dict(state["raw"]), averaged.load_state_dict(state["ema"])
        if "optimizer" in state and bool(args.decoder) == state["arguments"].get("decoder", False):
            optimizer_.load_state_dict(state["optimizer"])
        first, history = state["step"], state["history"]
    report(
        f"{sum(p.numel() for p in vae.parameters()) / 1e6:.2f} M parameters, steps {first} to {args.steps}",
        flush=True,
    )

    losses, began, cpu = [], time.time(), time.process_time()
    share = args.batch // parallel.WORKERS
    batches = parallel.batches(
        lambda step: batch_of(
            images, count, share, args.crops, np.random.default_rng([args.seed, rank, step])
        ),
        first,
        args.steps,
    )
    for step, batch in zip(range(first, args.steps), batches):
        torch.manual_seed((args.seed * 10 + rank) * 1_000_000 + step)
        x = to_tensor(batch)
        with parallel.roughly(step < args.steps - args.decay):
            with torch.set_grad_enabled(not args.decoder):
                posterior = vae.encode(x).latent_dist
            output = vae.decode(posterior.sample()).sample.float()
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
        loss = reconstruction_loss(output, x)
        (loss + args.kl * kl).backward()
        optimizer_.step(
            optimizer.factor(step, args.steps, args.decay), 1 - min(0.99, (step + 1) / (step + 10))
        )
        losses.append(loss.detach())
        if rank:
            continue
        done = step + 1
        if done % args.every == 0 or done == args.steps:
            quality = psnr(reconstructed(averaged, held_out), held_out)
            history.append([done, float(torch.stack(losses).mean()), kl.item(), quality])
            report(
                f"step {done} loss {history[-1][1]:.4f} kl {kl:.2f} held-out {quality:.2f} dB; {time.time() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU",
                flush=True,
            )
            losses = []
            store.save(
                path,
                {
                    "raw": vae.state_dict(),
                    "ema": averaged.state_dict(),
                    "optimizer": optimizer_.state_dict(),
                    "step": done,
                    "history": history,
                    "arguments": vars(args),
                }
                | scaling,
            )


def finish(args):
    """Measures held-out quality and scaling factor; writes a sheet of reconstructions."""
    vae, images = load(), pictures()
    held_out = to_tensor(images[-HELD_OUT:][: args.measured])
    output = reconstructed(vae, held_out)
    quality = psnr(output, held_out)
    vae.register_to_config(scaling_factor=1.0)
    mean, deviation = latents(vae, images[:256]).float().chunk(2, 1)
    drawn = mean + deviation * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    state = store.load(store.work() / "vae.pt")
    # Only once: everything made from latents since then has this scale.
    if "scaling" not in state:
        state["scaling"] = float(1 / drawn.std())
        store.save(store.work() / "vae.pt", state)
    pairs = torch.stack([held_out[:32], output[:32]], 1).flatten(0, 1).cpu()
    draw.sheet(
        ((pairs + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy(),
        8,
        store.REPORT / "vae.png",
    )
    summary = {
        "steps": state["step"],
        "arguments": state["arguments"],
        "held_out_pictures": len(held_out),
        "held_out_psnr": round(quality, 2),
        "scaling_factor": state["scaling"],
        "channel_std": [round(float(s), 3) for s in drawn.std((0, 2, 3))],
        "history": [[s, round(l, 4), round(k, 2), round(q, 2)] for s, l, k, q in state["history"]],
    }
    (store.REPORT / "vae.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(
        f"held-out: {quality:.2f} dB over {len(held_out)} pictures, scaling factor {state['scaling']:.4f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=parallel.sized(3600, 3000))
    parser.add_argument(
        "--decay",
        type=int,
        default=parallel.sized(1600, 1250),
        help="last steps, over which the rate falls to zero",
    )
    parser.add_argument("--batch", type=int, default=parallel.sized(4, 32), help="over all workers")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument(
        "--muon", type=float, default=0.01, help="rate of Muon; 0: AdamW for everything"
    )
    parser.add_argument(
        "--kl",
        type=float,
        default=1e-4,
        help="weight of the KL divergence per element of the latent",
    )
    parser.add_argument(
        "--decoder",
        action="store_true",
        help="train the decoder only; latents, and what was trained on them, stay valid",
    )
    parser.add_argument("--crops", type=float, default=0.75, help="share of the steps on crops")
    parser.add_argument(
        "--every", type=int, default=parallel.sized(50, 500), help="steps between checkpoints"
    )
    parser.add_argument(
        "--measured", type=int, default=192, help="held-out pictures for the final figure"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="vae.pt")
    args = parser.parse_args()
    parallel.launch(train, args)
    if args.name == "vae.pt":
        finish(args)
