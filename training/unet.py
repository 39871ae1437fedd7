"""Trains the U-Net (epsilon prediction) on the drawings' latents, with a frozen text encoder.

    python unet.py                    resumes an interrupted run
    python unet.py --steps 20000      trains for more steps

The rate is constant and falls over the last `--decay` steps. The checkpoint from before the fall is
kept (unet-constant.pt); more steps resume from it.

At high noise the target is not the noise that was added but the mean of all that fits (targets.py).
The noise has a mean, so that training at the last timestep matches what samplers start from
(`noise_mean`).

Besides the noise the U-Net is taught where words have no effect (the locality loss): with two short
captions for the same noisy latent, or for two that differ in one attribute, predictions must be
equal in all places where no difference can show (places.py). Guidance multiplies the difference
between two predictions; the little of it that strays to the hair would change the hair.
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
# Stable Diffusion's own.
NOISE_SCHEDULE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": TIMES,
}
UNHEARD = 1e-8  # mean square below which a difference counts as none


def build():
    """Stable Diffusion 1's blocks on three levels (16, 8 and 4).

    Text enters at 8×8 and in the middle.
    """
    unet = UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=text.WIDTH,
        attention_head_dim=4,
        norm_num_groups=32,
    )
    # The first prediction is zero instead of wrong noise.
    torch.nn.init.zeros_(unet.conv_out.weight)
    return unet


def load(which="ema"):
    unet = build()
    unet.load_state_dict(store.load(store.work() / "unet.pt")[which])
    return unet.eval().requires_grad_(False)


def noise_schedule():
    return DDPMScheduler(**NOISE_SCHEDULE)


def noise_mean(means, kept):
    """The mean of the noise that training adds, float32 [4, height, width].

    means: latents of drawings, float32 [drawings, 4, height, width]; kept: cumulative alphas.

    Stable Diffusion's schedule leaves some of the picture at its last timestep, but a sampler
    starts from pure noise (Lin et al. 2023, arXiv:2305.08891). If the mean picture is not small,
    its absence is taken for a picture near zero. So the noise subtracts it, in proportion to sigma,
    all of it at the last timestep. The prediction is still the direction away from the picture, so
    samplers need no change.
    """
    return -means.mean(0) * (kept[-1] / (1 - kept[-1])).sqrt()


def encode(rank, args):
    """Encodes this worker's share of the drawings (`latents` in vae.py)."""
    images = autoencoder.pictures()
    count = (len(images) - autoencoder.HELD_OUT) // parallel.WORKERS
    store.save(
        store.work() / f"latents-{rank}.pt",
        autoencoder.latents(autoencoder.load(), images[rank * count : (rank + 1) * count]),
    )


def encoded():
    return [store.work() / f"latents-{rank}.pt" for rank in range(parallel.WORKERS)]


def drawn():
    """The latents of all drawings (`latents` in vae.py), and their attributes."""
    latents = torch.cat([store.load(path) for path in encoded()])
    return latents, json.loads((store.work() / "attributes.json").read_text())["attributes"][
        : len(latents)
    ]


class Lessons:
    """The batches.

    The first `rows` of a worker's batch count in the error: `alone` single pictures, then the first
    pictures of pairs. The rest are the second pictures of the pairs, with the same noise, which are
    only compared. Before step `listening` there are no pairs.
    """

    def __init__(self, rank, args):
        self.rank, self.args = rank, args
        self.tokenizer, self.couples = tokenizers.load(), places.Couples()
        latents, self.attributes = drawn()
        self.count = len(latents)
        self.latents = torch.cat([latents, self.couples.latents.flatten(0, 1)])

    def split(self, step):
        """The number of single pictures, and of rows that count in the error."""
        share = self.args.batch // parallel.WORKERS
        paired = int(share * self.args.couples) if step >= self.args.listening else 0
        return share - 2 * paired, share - paired

    def __call__(self, step):
        """The batch of a step.

        Indices of latents, token ids, timesteps; what the captions of single pictures say, as
        targets.py needs it; and the places where predictions of pairs must be equal.
        """
        rng = world.generator(self.args.seed, self.rank, step)
        alone, rows = self.split(step)
        picked = [rng.randrange(self.count) for _ in range(alone)]
        told = [
            captions.NOTHING
            if captions.nothing(self.attributes[i], self.args.dropout, rng)
            else captions.caption(self.attributes[i], rng)
            for i in picked
        ]
        coupled, coupled_words, silent = self.couples.draw(rows - alone, rng)
        # The content of a picture is decided at high noise.
        times = [
            rng.randrange(300, TIMES) if rng.random() < self.args.late else rng.randrange(TIMES)
            for _ in range(rows)
        ]
        return (
            torch.tensor(picked + [self.count + i for i in coupled]),
            tokenizers.encode(self.tokenizer, [caption.text for caption in told] + coupled_words),
            torch.tensor(times + times[alone:]),
            *targets.said(told),
            torch.stack(silent) if silent else torch.zeros(0),
        )


class Predicted(torch.nn.Module):
    """The U-Net as a function from tensors to a tensor, for `parallel.graphed`."""

    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, noisy, t, hidden):
        return self.unet(noisy, t, hidden).sample


def predict(network, rough, *inputs):
    """The prediction; the first `rough` rows in bfloat16 if that is faster here.

    Pairs stay in float32: bfloat16's rounding would hide their differences.
    """
    if not parallel.TILES or not rough:
        return network(*inputs)
    with parallel.roughly(True):
        first = network(*(x[:rough] for x in inputs)).float()
    rest = [x[rough:] for x in inputs]
    return torch.cat([first, network(*rest)]) if len(rest[0]) else first


def strayed(predicted, alone, rows, silent):
    """The locality loss of each pair, and the share of the difference that strays.

    The loss is the logarithm of that share, times the whole difference. So it keeps the same
    proportion to the error, however much or little two captions differ. The amount that strays
    would be smallest if words had no effect at all. The share alone has a steep gradient, which
    would suppress small differences or, since the error is small at high noise, make them many
    times too large where they are allowed.
    """
    difference = (predicted[alone:rows] - predicted[rows:]).square()
    said, stray = (
        difference.mean((1, 2, 3)) + UNHEARD,
        (difference * silent).mean((1, 2, 3)) + UNHEARD,
    )
    share = stray / said
    return said.detach() * share.log(), share.detach()


class Schedule:
    """The noise of every timestep, and the weight of the error there."""

    def __init__(self, min_snr, device):
        self.noises = noise_schedule()
        self.kept = kept = self.noises.alphas_cumprod.to(device)
        snr = kept / (1 - kept)
        # At high noise the error is small: unweighted, it would say little about the content.
        self.weights = torch.where(snr < 1, snr.rsqrt().clamp(max=10), snr.clamp(max=min_snr) / snr)
        # At low noise the picture decides, not the caption.
        self.undecided = 1 / (1 + snr.sqrt())

    def add_noise(self, x, noise, t):
        return self.noises.add_noise(x, noise, t).contiguous(memory_format=torch.channels_last)


class Teacher:
    """Turns a batch into the U-Net's inputs and targets."""

    def __init__(self, lessons, schedule, exact, device):
        self.lessons, self.schedule, self.exact, self.device = lessons, schedule, exact, device
        self.latents, self.encoder = (
            lessons.latents.to(device),
            text.load(lessons.tokenizer).to(device),
        )
        means = self.latents[: lessons.count, :4].float()
        self.noise_mean = noise_mean(means, schedule.kept)
        self.posterior = targets.Posterior(means, lessons.attributes, self.noise_mean)

    @torch.no_grad()
    def __call__(self, step, lesson):
        """The U-Net's three inputs, the target noise, and the places where pairs must be equal."""
        picked, ids, t, said, sentence, silent = (part.to(self.device) for part in lesson)
        alone, rows = self.lessons.split(step)
        # Pairs have the same noise.
        again = torch.cat([torch.arange(rows), torch.arange(alone, rows)]).to(self.device)
        mean, deviation = self.latents[picked].float().chunk(2, 1)
        x = mean + deviation * torch.randn_like(mean[:rows])[again]
        noise = (self.noise_mean + torch.randn_like(x[:rows]))[again]
        noisy, wanted = self.schedule.add_noise(x, noise, t), noise[:rows].clone()
        exact = (t[:alone] >= self.exact).nonzero()[:, 0]
        wanted[exact] = self.posterior.noise(
            noisy[exact], self.schedule.kept[t[exact]], said[exact], sentence[exact]
        )
        return (noisy, t, self.encoder(ids).last_hidden_state), wanted, silent


def resume(path, args, rank, unet, averaged, optimizer_):
    """Loads the checkpoint, if there is one; returns the number of steps done and their losses.

    If its rate has fallen already and more steps are wanted, loads the one from before the fall.
    """
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
    unet.set_attn_processor(AttnProcessor())  # the fused one has a slow backward pass on CPUs
    averaged = copy.deepcopy(unet).requires_grad_(False)
    optimizer_ = optimizer.of(unet, averaged, args.muon, args.lr, 0.01)
    first, history = resume(path, args, rank, unet, averaged, optimizer_)
    report(
        f"{sum(p.numel() for p in unet.parameters()) / 1e6:.2f} M parameters, {lessons.count} latents, steps {first} to {args.steps}",
        flush=True,
    )

    share = args.batch // parallel.WORKERS
    example = torch.zeros(share, 4, *lessons.latents.shape[-2:], device=device).contiguous(
        memory_format=torch.channels_last
    )
    network = parallel.graphed(
        Predicted(unet),
        example,
        torch.zeros(share, dtype=torch.long, device=device),
        torch.zeros(share, 77, text.WIDTH, device=device),
    )
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
            loss = (
                loss
                + args.silence
                * min((step - args.listening) / args.hushing, 1)
                * (stray * weights).mean()
            )
            strays.append(share.mean())
        loss.backward()
        optimizer_.step(
            optimizer.factor(step, args.steps, args.decay),
            1 - min(args.ema, (step + 1) / (step + 10)),
        )
        losses.append(error.detach().mean())
        done = step + 1
        if rank == 0 and (
            done % args.every == 0 or done == args.steps or done == args.steps - args.decay
        ):
            history.append(
                [
                    done,
                    *(
                        round(float(sum(values) / max(1, len(values))), 5)
                        for values in (losses, strays)
                    ),
                ]
            )
            report(
                f"step {done} error {history[-1][1]:.4f} strayed {history[-1][2]:.3f}; {time.time() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU",
                flush=True,
            )
            losses, strays = [], []
            store.save(
                path,
                {
                    "raw": unet.state_dict(),
                    "ema": averaged.state_dict(),
                    "optimizer": optimizer_.state_dict(),
                    "step": done,
                    "falling": done > args.steps - args.decay,
                    "history": history,
                    "arguments": vars(args),
                },
            )
            if done == args.steps - args.decay:
                shutil.copy(path, path.with_name("unet-constant.pt"))
    if rank == 0:
        summary = {"steps": args.steps, "arguments": vars(args), "history": history}
        (store.REPORT / "unet.json").write_text(json.dumps(summary) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=parallel.sized(4200, 8000))
    parser.add_argument(
        "--decay",
        type=int,
        default=parallel.sized(1800, 1500),
        help="last steps, over which the rate falls to zero",
    )
    parser.add_argument(
        "--batch", type=int, default=parallel.sized(64, 128), help="over all workers"
    )
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument(
        "--muon", type=float, default=0.01, help="rate of Muon; 0: AdamW for everything"
    )
    parser.add_argument(
        "--late",
        type=float,
        default=0.4,
        help="share of the timesteps drawn from the noisier 70 %%",
    )
    parser.add_argument(
        "--exact",
        type=int,
        default=650,
        help="timestep from which the target is computed over all drawings: targets.py",
    )
    parser.add_argument(
        "--dropout", type=float, default=0.2, help="share of men's captions that are left empty"
    )
    parser.add_argument("--min-snr", type=float, default=5.0)
    parser.add_argument("--couples", type=float, default=0.25, help="pairs per row of a batch")
    parser.add_argument("--silence", type=float, default=0.15, help="weight of the locality loss")
    parser.add_argument(
        "--listening",
        type=int,
        default=parallel.sized(800, 2000),
        help="first steps, without pairs: words need an effect before it can be localized",
    )
    parser.add_argument(
        "--hushing",
        type=int,
        default=400,
        help="steps over which the weight of the locality loss grows",
    )
    parser.add_argument("--ema", type=float, default=0.995)
    parser.add_argument(
        "--every", type=int, default=parallel.sized(50, 500), help="steps between checkpoints"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not all(path.exists() for path in encoded()):
        parallel.launch(encode, args)
    places.couples()  # once, before two processes would measure them
    parallel.launch(train, args)
