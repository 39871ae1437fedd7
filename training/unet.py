"""Trains the U-Net (epsilon prediction) on the latents of the drawings, with the text encoder as it is.

    python unet.py                    resumes where it was interrupted
    python unet.py --steps 20000      goes on from there

The rate is constant and falls over the last `--decay` steps. The checkpoint from before the fall is kept (unet-constant.pt):
more steps go on from it.

At high noise it is not taught the noise that was added, but the mean of all that might have been (targets.py). And noise has a
mean, so that what it learns from at the last time is what samplers begin with (`noise_mean`).

Besides the noise, it is taught what words do not say: with two short captions for the same noisy latent, or for two that
differ in one attribute, predictions shall be equal in all places where nothing shows that they differ in (places.py).
Guidance multiplies the difference between two predictions; what little of it strays to the hair would change the hair.
"""
import argparse
import copy
import json
import shutil
import time

import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor

import captions
import optimizer
import parallel
import places
import store
import targets
import text
import tokenizer as tokenizers
import vae as autoencoder
import world

CHANNELS = (64, 128, 192)
TIMES = 1000
NOISE_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": TIMES}     # Stable Diffusion's
UNHEARD = 1e-8     # mean square of a difference that is none


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
    return DDPMScheduler(**NOISE_SCHEDULE)


def noise_mean(means, kept):
    """The mean of the noise that training adds, float32 [4, height, width].

    means: latents of drawings, float32 [drawings, 4, height, width]; kept: cumulated alphas. Stable Diffusion's schedule leaves some of the picture
    at its last time, but a sampler begins with noise alone (Lin et al. 2023, arXiv:2305.08891). Where the mean picture is not small, its absence is
    taken for a picture near zero. So noise takes it away: sigma by sigma a share of it, all of it at the last, and what is
    predicted is still the way from the picture: to samplers nothing changes.
    """
    return -means.mean(0) * (kept[-1] / (1 - kept[-1])).sqrt()


def encode(rank, args):
    """The latents of all drawings, each worker's share (vae.py's `latents`)."""
    images = autoencoder.pictures()
    count = (len(images) - autoencoder.HELD_OUT) // parallel.WORKERS
    store.save(store.work() / f"latents-{rank}.pt", autoencoder.latents(autoencoder.load(), images[rank * count:(rank + 1) * count]))


def encoded():
    return [store.work() / f"latents-{rank}.pt" for rank in range(parallel.WORKERS)]


def drawn():
    """The latents of all drawings (vae.py's `latents`), and their attributes."""
    latents = torch.cat([store.load(path) for path in encoded()])
    return latents, json.loads((store.work() / "attributes.json").read_text())["attributes"][:len(latents)]


class Lessons:
    """What each step learns from.

    Of a worker's batch the first `rows` are learned from: `alone`, then the first pictures of couples. The last are the second ones,
    with the same noise, which are only compared. Before `listening` there are no couples.
    """

    def __init__(self, rank, args):
        self.rank, self.args = rank, args
        self.tokenizer, self.couples = tokenizers.load(), places.Couples()
        latents, self.attributes = drawn()
        self.count = len(latents)
        self.latents = torch.cat([latents, self.couples.latents.flatten(0, 1)])

    def split(self, step):
        """How many are alone, and how many learned from."""
        share = self.args.batch // parallel.WORKERS
        paired = int(share * self.args.couples) if step >= self.args.listening else 0
        return share - 2 * paired, share - paired

    def __call__(self, step):
        """The numbers of the latents, token ids, times; what the captions of those alone say, as targets.py wants it; and where the predictions of
        couples must be the same."""
        rng = world.generator(self.args.seed, self.rank, step)
        alone, rows = self.split(step)
        picked = [rng.randrange(self.count) for _ in range(alone)]
        told = [captions.NOTHING if captions.nothing(self.attributes[i], self.args.dropout, rng) else captions.caption(self.attributes[i], rng) for i in picked]
        coupled, coupled_words, silent = self.couples.draw(rows - alone, rng)
        # What is in a picture is decided at high noise.
        times = [rng.randrange(300, TIMES) if rng.random() < self.args.late else rng.randrange(TIMES) for _ in range(rows)]
        return (torch.tensor(picked + [self.count + i for i in coupled]), tokenizers.encode(self.tokenizer, [caption.text for caption in told] + coupled_words),
                torch.tensor(times + times[alone:]), *targets.said(told), torch.stack(silent) if silent else torch.zeros(0))


class Predicted(torch.nn.Module):
    """The U-Net from tensors to a tensor, as `parallel.graphed` needs it."""

    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, noisy, t, hidden):
        return self.unet(noisy, t, hidden).sample


def predict(network, rough, *inputs):
    """The prediction; of the first `rough` rows in bfloat16 where the machine has a use for it. Couples' differences would drown in its rounding."""
    if not parallel.TILES or not rough:
        return network(*inputs)
    with parallel.roughly(True):
        first = network(*(x[:rough] for x in inputs)).float()
    rest = [x[rough:] for x in inputs]
    return torch.cat([first, network(*rest)]) if len(rest[0]) else first


def strayed(predicted, alone, rows, silent):
    """A loss for what each couple's predictions differ by where they must not; and its share of the whole difference.

    The logarithm of the share, times the whole: so it weighs against the error in the same proportion, however much or little two captions differ.
    Of the amount that strays, words would best say nothing at all. Of the share alone, its steep gradient would drown small differences or, as
    the error is small at high noise, make them many times too large where they may be.
    """
    difference = (predicted[alone:rows] - predicted[rows:]).square()
    said, stray = difference.mean((1, 2, 3)) + UNHEARD, (difference * silent).mean((1, 2, 3)) + UNHEARD
    share = stray / said
    return said.detach() * share.log(), share.detach()


class Schedule:
    """The noise of every time, and what a step weighs there."""

    def __init__(self, min_snr, device):
        self.noises = noise_schedule()
        self.kept = kept = self.noises.alphas_cumprod.to(device)
        snr = kept / (1 - kept)
        # Much noise is easily told from a picture: without a weight, the error would say little of what the picture is to be.
        self.weights = torch.where(snr < 1, snr.rsqrt().clamp(max=10), snr.clamp(max=min_snr) / snr)
        self.undecided = 1 / (1 + snr.sqrt())       # with little noise the picture decides, and no caption

    def add_noise(self, x, noise, t):
        return self.noises.add_noise(x, noise, t).contiguous(memory_format=torch.channels_last)


class Teacher:
    """Makes of a lesson what the U-Net is shown, and what it is to predict of it."""

    def __init__(self, lessons, schedule, exact, device):
        self.lessons, self.schedule, self.exact, self.device = lessons, schedule, exact, device
        self.latents, self.encoder = lessons.latents.to(device), text.load(lessons.tokenizer).to(device)
        means = self.latents[:lessons.count, :4].float()
        self.noise_mean = noise_mean(means, schedule.kept)
        self.posterior = targets.Posterior(means, lessons.attributes, self.noise_mean)

    @torch.no_grad()
    def __call__(self, step, lesson):
        """The U-Net's three inputs for all rows; the noise wanted for those learned from; and where predictions of couples must be the same."""
        picked, ids, t, said, sentence, silent = (part.to(self.device) for part in lesson)
        alone, rows = self.lessons.split(step)
        again = torch.cat([torch.arange(rows), torch.arange(alone, rows)]).to(self.device)      # couples have the same noise
        mean, deviation = self.latents[picked].float().chunk(2, 1)
        x = mean + deviation * torch.randn_like(mean[:rows])[again]
        noise = (self.noise_mean + torch.randn_like(x[:rows]))[again]
        noisy, wanted = self.schedule.add_noise(x, noise, t), noise[:rows].clone()
        exact = (t[:alone] >= self.exact).nonzero()[:, 0]
        wanted[exact] = self.posterior.noise(noisy[exact], self.schedule.kept[t[exact]], said[exact], sentence[exact])
        return (noisy, t, self.encoder(ids).last_hidden_state), wanted, silent


def resume(path, args, rank, unet, averaged, optimizer_):
    """Takes up the checkpoint; the steps done and their losses. From one whose rate fell already, more steps go on from before that."""
    if not path.exists():
        return 0, []
    state, constant = store.load(path), path.with_name("unet-constant.pt")
    if state["falling"] and args.steps > state["arguments"]["steps"] and constant.exists():
        state = store.load(constant)
    elif rank == 0 and not state["falling"] and state["step"] >= args.steps - args.decay:
        shutil.copy(path, constant)
    unet.load_state_dict(state["raw"]), averaged.load_state_dict(state["ema"])
    if "optimizer" in state:
        optimizer_.load_state_dict(state["optimizer"])
    return state["step"], state["history"]


def train(rank, args):
    report = print if rank == 0 else (lambda *a, **k: None)
    path, device = store.work() / "unet.pt", parallel.DEVICE
    lessons, schedule = Lessons(rank, args), Schedule(args.min_snr, device)
    teacher = Teacher(lessons, schedule, args.exact, device)
    torch.manual_seed(args.seed)
    unet = parallel.rough(build()).to(device, memory_format=torch.channels_last).train()
    unet.set_attn_processor(AttnProcessor())       # the fused one has a slow backward pass on CPUs
    averaged = copy.deepcopy(unet).requires_grad_(False)
    optimizer_ = optimizer.of(unet, averaged, args.muon, args.lr, 0.01)
    first, history = resume(path, args, rank, unet, averaged, optimizer_)
    report(f"{sum(p.numel() for p in unet.parameters()) / 1e6:.2f} M parameters, {lessons.count} latents, steps {first} to {args.steps}", flush=True)

    share = args.batch // parallel.WORKERS
    example = torch.zeros(share, 4, *lessons.latents.shape[-2:], device=device).contiguous(memory_format=torch.channels_last)
    network = parallel.graphed(Predicted(unet), example, torch.zeros(share, dtype=torch.long, device=device), torch.zeros(share, 77, text.WIDTH, device=device))
    losses, strays, began, cpu = [], [], time.time(), time.process_time()
    for step, lesson in zip(range(first, args.steps), parallel.batches(lessons, first, args.steps)):
        torch.manual_seed((args.seed * 10 + rank) * 1_000_000 + step)
        alone, rows = lessons.split(step)
        inputs, wanted, silent = teacher(step, lesson)
        predicted, t = predict(network, alone, *inputs), inputs[1]
        error = (predicted[:rows] - wanted).square().mean((1, 2, 3))
        loss = (error * schedule.weights[t[:rows]]).mean()
        if alone < rows:
            stray, share = strayed(predicted, alone, rows, silent)
            weights = (schedule.weights * schedule.undecided)[t[rows:]]
            loss = loss + args.silence * min((step - args.listening) / args.hushing, 1) * (stray * weights).mean()
            strays.append(share.mean())
        loss.backward()
        optimizer_.step(optimizer.factor(step, args.steps, args.decay), 1 - min(args.ema, (step + 1) / (step + 10)))
        losses.append(error.detach().mean())
        done = step + 1
        if rank == 0 and (done % args.every == 0 or done == args.steps or done == args.steps - args.decay):
            history.append([done, *(round(float(sum(values) / max(1, len(values))), 5) for values in (losses, strays))])
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
    parser.add_argument("--steps", type=int, default=parallel.sized(4200, 8000))
    parser.add_argument("--decay", type=int, default=parallel.sized(1800, 1500), help="last steps, over which the rate falls to zero")
    parser.add_argument("--batch", type=int, default=parallel.sized(64, 128), help="over all workers")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--muon", type=float, default=0.01, help="rate of Muon; 0: AdamW for everything")
    parser.add_argument("--late", type=float, default=0.4, help="share of the times drawn from the noisier 70 %%")
    parser.add_argument("--exact", type=int, default=650, help="time from which on the noise to be predicted is computed over all drawings: targets.py")
    parser.add_argument("--dropout", type=float, default=0.2, help="share of men's captions replaced by the empty prompt")
    parser.add_argument("--min-snr", type=float, default=5.0)
    parser.add_argument("--couples", type=float, default=0.25, help="couples, for each row of a batch")
    parser.add_argument("--silence", type=float, default=0.15, help="weight of what strays")
    parser.add_argument("--listening", type=int, default=parallel.sized(800, 2000), help="first steps, without couples: words have to be heard before they can be silent")
    parser.add_argument("--hushing", type=int, default=400, help="steps over which the weight then grows")
    parser.add_argument("--ema", type=float, default=0.995)
    parser.add_argument("--every", type=int, default=parallel.sized(50, 500), help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not all(path.exists() for path in encoded()):
        parallel.launch(encode, args)
    places.couples()    # once, before there are two that would measure
    parallel.launch(train, args)
