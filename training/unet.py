"""Trains the U-Net (epsilon prediction) on the latents of the drawings, with the text encoder as it is.

    python unet.py --steps 4400            resumes where it was interrupted
    python unet.py --steps 6000            goes on from there

The rate is constant and falls over the last `--decay` steps. The checkpoint from before the fall is kept (unet-constant.pt):
more steps go on from it.

Besides the noise, it is taught what words do not say: with two short captions for the same noisy latent, or for two that
differ in one attribute, predictions shall be equal in all places where nothing shows that they differ in (places.py).
Guidance multiplies the difference between two predictions; what little of it strays to the hair would change the hair.
"""
import argparse
import copy
import json
import shutil
import time

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

import captions
import optimizer
import parallel
import places
import store
import text
import tokenizer as tokenizers
import vae as autoencoder
import world

CHANNELS = (64, 128, 192)
TIMES = 1000


def build():
    """Stable Diffusion 1's blocks on three levels (16, 8 and 4). Text enters at 8×8 and in the middle."""
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text.WIDTH, attention_head_dim=4, norm_num_groups=32)
    torch.nn.init.zeros_(unet.conv_out.weight)     # the first prediction is no noise at all, instead of a wrong one
    return unet


def load(which="ema"):
    unet = build()
    unet.load_state_dict(store.load(store.work() / "unet.pt")[which])
    return unet.eval().requires_grad_(False)


def noise_schedule():
    return DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=TIMES)


def encode_latents(rank, args):
    """Mean and deviation of every picture's latent, scaled; float16 [pictures, 8, 16, 16]. Each worker takes its share."""
    model, images = autoencoder.load(), autoencoder.pictures()
    count = (len(images) - autoencoder.HELD_OUT) // parallel.WORKERS
    part = np.lib.format.open_memmap(store.work() / f"latents-{rank}.npy", mode="w+", dtype=np.float16, shape=(count, 8, 16, 16))
    with torch.no_grad():
        for i in range(0, count, 25):
            x = autoencoder.to_tensor(images[rank * count + i:rank * count + min(i + 25, count)])
            posterior = model.encode(x).latent_dist
            part[i:i + 25] = (torch.cat([posterior.mean, posterior.std], 1) * model.config.scaling_factor).numpy()
    part.flush()
    (store.work() / f"latents-{rank}.done").write_text("")


def latents():
    parts = [np.load(store.work() / f"latents-{rank}.npy") for rank in range(parallel.WORKERS)]
    return torch.from_numpy(np.concatenate(parts))


def groups(unet, args):
    inside = {id(p) for n, p in unet.named_parameters() if p.ndim > 1 and min(p.shape[:2]) > 8} if args.muon else set()
    named = list(unet.named_parameters())
    return [{"params": [p for _, p in named if id(p) in inside], "muon": True, "peak": args.muon, "weight_decay": 0.01},
            {"params": [p for _, p in named if id(p) not in inside], "peak": args.lr}]


def train(rank, args):
    report = print if rank == 0 else (lambda *a, **k: None)
    path = store.work() / "unet.pt"
    attributes = json.loads((store.work() / "attributes.json").read_text())["attributes"]
    posterior, tokenizer = latents(), tokenizers.load()
    encoder = text.load(tokenizer).to(parallel.DEVICE)
    encoder.set_attn_implementation("eager")
    torch.manual_seed(args.seed)
    unet = build().to(parallel.DEVICE, memory_format=torch.channels_last).train()
    unet.set_attn_processor(AttnProcessor())       # the fused one has a slow backward pass on CPUs
    parameters = list(unet.parameters())
    optimizer_ = optimizer.Optimizer(groups(unet, args))
    averaged, first, history = copy.deepcopy(unet).requires_grad_(False), 0, []
    if path.exists():
        state = store.load(path)
        constant = path.with_name("unet-constant.pt")
        if state["falling"] and args.steps > state["arguments"]["steps"] and constant.exists():
            state = store.load(constant)
        elif rank == 0 and not state["falling"] and state["step"] >= args.steps - args.decay:
            shutil.copy(path, constant)
        unet.load_state_dict(state["raw"]), averaged.load_state_dict(state["ema"])
        if "optimizer" in state:
            optimizer_.load_state_dict(state["optimizer"])
        for group, fresh in zip(optimizer_.param_groups, groups(unet, args)):
            group["peak"] = fresh["peak"]
        first, history = state["step"], state["history"]
    report(f"{sum(p.numel() for p in parameters) / 1e6:.2f} M parameters, {len(posterior)} latents, steps {first} to {args.steps}", flush=True)

    schedule = noise_schedule()
    kept = schedule.alphas_cumprod
    snr = kept / (1 - kept)
    weights = snr.clamp(max=args.min_snr) / snr
    undecided = 1 / (1 + snr.sqrt())                         # with little noise the picture decides, and no caption
    # Of each worker's batch the first `rows` are learned from: `alone`, then the first pictures of couples. The last are the second
    # ones, with the same noise, which are only compared.
    couples, share = places.Couples(), args.batch // parallel.WORKERS
    losses, strays, began, cpu = [], [], time.time(), time.process_time()
    for step in range(first, args.steps):
        torch.manual_seed((args.seed * 10 + rank) * 1_000_000 + step)
        rng = np.random.default_rng([args.seed, rank, step])
        optimizer_.schedule(optimizer.factor(step, args.steps, args.decay))
        silence = args.silence * min(max((step - args.listening) / args.hushing, 0), 1)
        paired = args.couples if silence else 0
        rows, alone = share - paired, share - 2 * paired
        again = torch.cat([torch.arange(rows), torch.arange(alone, rows)])
        picked = rng.integers(0, len(posterior), alone)
        words = ["" if attributes[i]["gender"] == "man" and rng.random() < args.dropout else captions.caption(attributes[i], rng)[0] for i in picked]
        coupled, coupled_words, silent = couples.draw(paired, rng)
        mean, deviation = torch.cat([posterior[picked], coupled]).float().chunk(2, 1)
        x = mean + deviation * torch.randn_like(mean[:rows])[again]
        t = torch.randint(TIMES, (rows,))
        t = torch.where(torch.rand(rows) < args.late, 300 + t * 7 // 10, t)[again]      # what is in a picture is decided at high noise
        noise = torch.randn_like(x[:rows])[again]
        noisy = schedule.add_noise(x, noise, t).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            hidden = encoder(tokenizers.encode(tokenizer, words + coupled_words).to(parallel.DEVICE)).last_hidden_state
        with parallel.precision():
            predicted = unet(noisy.to(parallel.DEVICE), t.to(parallel.DEVICE), hidden).sample.float()
        error = (predicted - noise.to(parallel.DEVICE))[:rows].square().mean((1, 2, 3))
        # The share that strays, not how much: else words would best say nothing at all. The share of a small difference has a steep
        # gradient, which would drown a word before it is heard: that counts as far as the difference can be heard.
        difference = (predicted[alone:rows] - predicted[rows:]).square()
        said = difference.mean((1, 2, 3))
        stray = (difference * silent.to(parallel.DEVICE)).mean((1, 2, 3)) / (said + 1e-9)
        stray = stray * undecided[t[rows:]].to(parallel.DEVICE) * (said / (said + args.audible)).detach()
        stray = stray.sum() / max(paired, 1)
        optimizer_.zero_grad()
        ((error * weights[t[:rows]].to(parallel.DEVICE)).mean() + silence * stray).backward()
        parallel.average(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer_.step()
        losses.append(error.mean().item())
        strays.append(stray.item())
        if rank:
            continue
        torch._foreach_lerp_(list(averaged.parameters()), [p.detach() for p in parameters], 1 - min(args.ema, (step + 1) / (step + 10)))
        done = step + 1
        if done % args.every == 0 or done == args.steps or done == args.steps - args.decay:
            history.append([done, round(float(np.mean(losses)), 5), round(float(np.mean(strays)), 4)])
            report(f"step {done} error {history[-1][1]:.4f} strayed {history[-1][2]:.3f}; {time.time() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU", flush=True)
            losses, strays = [], []
            store.save(path, {"raw": unet.state_dict(), "ema": averaged.state_dict(), "optimizer": optimizer_.state_dict(), "step": done,
                              "falling": done > args.steps - args.decay, "history": history, "arguments": vars(args)})
            if done == args.steps - args.decay:
                shutil.copy(path, path.with_name("unet-constant.pt"))
    if rank == 0:
        summary = {"steps": args.steps, "arguments": vars(args), "history": history}
        (store.REPORT / "unet.json").write_text(json.dumps(summary) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=4400)
    parser.add_argument("--decay", type=int, default=400, help="last steps, over which the rate falls to zero")
    parser.add_argument("--batch", type=int, default=32, help="over all workers")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--muon", type=float, default=0.01, help="rate of Muon; 0: AdamW for everything")
    parser.add_argument("--late", type=float, default=0.4, help="share of the times drawn from the noisier 70 %%")
    parser.add_argument("--dropout", type=float, default=0.2, help="share of men's captions replaced by the empty prompt")
    parser.add_argument("--min-snr", type=float, default=5.0)
    parser.add_argument("--couples", type=int, default=4, help="couples in each worker's batch")
    parser.add_argument("--silence", type=float, default=0.02, help="weight of the share that strays")
    parser.add_argument("--audible", type=float, default=1e-4, help="mean square of a difference that counts half")
    parser.add_argument("--listening", type=int, default=1000, help="first steps, without couples: words have to be heard before they can be silent")
    parser.add_argument("--hushing", type=int, default=400, help="steps over which the weight then grows")
    parser.add_argument("--ema", type=float, default=0.995)
    parser.add_argument("--every", type=int, default=50, help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not all((store.work() / f"latents-{rank}.done").exists() for rank in range(parallel.WORKERS)):
        parallel.launch(encode_latents, args)
    places.couples()    # once, before there are two that would measure
    parallel.launch(train, args)
