"""Trains the autoencoder (AutoencoderKL: factor 8, 4 latent channels) on the drawings.

    python vae.py --steps 1200       resumes where it was interrupted

Three of four steps see crops of faces, where the detail is: four for the price of a whole picture.
"""
import argparse
import copy
import json
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import AttnProcessor

import draw
import optimizer
import parallel
import store

HELD_OUT = 500     # the last pictures of the set, never trained on
CHANNELS = (16, 32, 64, 64)


def build():
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=draw.SIZE, layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=CHANNELS)
    vae.set_attn_processor(AttnProcessor())     # the fused one has a slow backward pass on CPUs
    return vae


def load():
    """The trained autoencoder, without gradients."""
    vae = build()
    state = store.load(store.work() / "vae.pt")
    vae.load_state_dict(state["ema"])
    vae.register_to_config(scaling_factor=state.get("scaling", 1.0))
    return vae.eval().requires_grad_(False)


def pictures():
    return np.load(store.work() / "images.npy", mmap_mode="r")


def to_tensor(images):
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def batch_of(images, count, batch, crops, rng):
    if rng.random() >= crops:
        x = to_tensor(images[np.sort(rng.integers(0, count, batch))])
    else:
        top, left = 8 * int(rng.integers(0, 9)), 8 * int(rng.integers(2, 7))
        x = to_tensor(images[np.sort(rng.integers(0, count, batch * 4)), top:top + 64, left:left + 64])
    return x.flip(3) if rng.random() < 0.5 else x


def reconstruction_loss(output, target):
    """Absolute and squared differences of pixels, and absolute ones of edges, which keep lines crisp."""
    difference = output - target
    edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    return difference.abs().mean() + 5 * difference.square().mean() + 0.5 * edges


@torch.no_grad()
def reconstructed(vae, images):
    return torch.cat([vae.decode(vae.encode(part).latent_dist.mean).sample for part in images.split(16)]).clamp(-1, 1)


def psnr(output, target):
    """Mean over the pictures, in dB."""
    return float((-10 * torch.log10(((output - target) / 2).square().mean((1, 2, 3)))).mean())


def train(rank, args):
    report = print if rank == 0 else (lambda *a, **k: None)
    path = store.work() / args.name
    images = pictures()
    count = len(images) - HELD_OUT
    held_out = to_tensor(images[count:count + 32])
    torch.manual_seed(args.seed)
    vae = build().to(parallel.DEVICE, memory_format=torch.channels_last).train()
    inside = {id(p) for n, p in vae.named_parameters() if p.ndim > 1 and min(p.shape[:2]) > 8} if args.muon else set()
    parameters = list(vae.parameters())
    optimizer_ = optimizer.Optimizer([
        {"params": [p for p in parameters if id(p) in inside], "muon": True, "peak": args.muon},
        {"params": [p for p in parameters if id(p) not in inside], "peak": args.lr}])
    averaged, first, history = copy.deepcopy(vae).requires_grad_(False), 0, []
    if path.exists():
        state = store.load(path)
        vae.load_state_dict(state["raw"]), averaged.load_state_dict(state["ema"])
        if "optimizer" in state:
            optimizer_.load_state_dict(state["optimizer"])
        first, history = state["step"], state["history"]
    report(f"{sum(p.numel() for p in parameters) / 1e6:.2f} M parameters, steps {first} to {args.steps}", flush=True)

    losses, began, cpu = [], time.time(), time.process_time()
    for step in range(first, args.steps):
        torch.manual_seed((args.seed * 10 + rank) * 1_000_000 + step)
        rng = np.random.default_rng([args.seed, rank, step])
        optimizer_.schedule(optimizer.factor(step, args.steps, args.decay))
        x = batch_of(images, count, args.batch // parallel.WORKERS, args.crops, rng).to(parallel.DEVICE)
        with parallel.precision():
            posterior = vae.encode(x).latent_dist
            output = vae.decode(posterior.sample()).sample
        kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).float().mean()
        loss = reconstruction_loss(output.float(), x)
        optimizer_.zero_grad()
        (loss + args.kl * kl).backward()
        parallel.average(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer_.step()
        losses.append(loss.item())
        if rank:
            continue
        torch._foreach_lerp_(list(averaged.parameters()), [p.detach() for p in parameters], 1 - min(0.99, (step + 1) / (step + 10)))
        done = step + 1
        if done % args.every == 0 or done == args.steps:
            quality = psnr(reconstructed(averaged.to("cpu"), held_out), held_out)
            averaged.to(parallel.DEVICE)
            history.append([done, float(np.mean(losses)), float(kl), quality])
            report(f"step {done} loss {history[-1][1]:.4f} kl {kl:.2f} held-out {quality:.2f} dB; {time.time() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU", flush=True)
            losses = []
            store.save(path, {"raw": vae.state_dict(), "ema": averaged.state_dict(), "optimizer": optimizer_.state_dict(),
                              "step": done, "history": history, "arguments": vars(args)})


def finish(args):
    """Held-out quality, scaling factor and a contact sheet: drawing and reconstruction side by side."""
    vae, images = load(), pictures()
    held_out = to_tensor(images[-HELD_OUT:][:args.measured])
    output = reconstructed(vae, held_out)
    quality = psnr(output, held_out)
    with torch.no_grad():
        latents = torch.cat([vae.encode(to_tensor(images[i:i + 16])).latent_dist.sample() for i in range(0, 256, 16)])
    state = store.load(store.work() / "vae.pt")
    state["scaling"] = float(1 / latents.std())
    store.save(store.work() / "vae.pt", state)
    pairs = torch.stack([held_out[:32], output[:32]], 1).flatten(0, 1)
    draw.sheet(((pairs + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy(), 8, store.REPORT / "vae.png")
    summary = {"steps": state["step"], "arguments": state["arguments"], "held_out_pictures": len(held_out), "held_out_psnr": round(quality, 2),
               "scaling_factor": state["scaling"], "channel_std": [round(float(s), 3) for s in latents.std((0, 2, 3))],
               "history": [[s, round(l, 4), round(k, 2), round(q, 2)] for s, l, k, q in state["history"]]}
    (store.REPORT / "vae.json").write_text(json.dumps(summary, indent=1) + "\n")
    print(f"held-out: {quality:.2f} dB over {len(held_out)} pictures, scaling factor {state['scaling']:.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--decay", type=int, default=500, help="last steps, over which the rate falls to zero")
    parser.add_argument("--batch", type=int, default=4, help="over all workers")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--muon", type=float, default=0.01, help="rate of Muon; 0: AdamW for everything")
    parser.add_argument("--kl", type=float, default=1e-4, help="weight of the KL divergence per element of the latent")
    parser.add_argument("--crops", type=float, default=0.75, help="share of the steps on crops")
    parser.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--measured", type=int, default=192, help="held-out pictures for the final figure")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="vae.pt")
    args = parser.parse_args()
    parallel.launch(train, args)
    if args.name == "vae.pt":
        finish(args)
