"""Makes the figures of www/story.html.

    python story.py --command PATH_OF_DARKROOM --work FOLDER

Pictures are made by `darkroom generate` with the demo model, 20 steps, and kept in FOLDER, so that
an interrupted run resumes. Their mustaches are counted by the detector. Writes www/story/*.webp and
the map in www/story.html, and prints the counts that the text has to state.
"""

import argparse
import pathlib
import subprocess

import numpy as np
import torch
from PIL import Image

import detector as detectors
import store
import vae as autoencoder

WWW = store.HERE.parent / "www"
MODEL = WWW / "models/portraits"
MAN = "Portrait photo of a man"
SCALES = (0, 0.5, 1, 1.5, 2, 3, 4, 6, 9, 14)
SEEDS = 96
# Seeds of the rows of pictures.
ROW = range(12, 24)
COLUMNS, THUMB = 12, 64
# Steps of the figure of predictions.
STEPS = (0, 2, 4, 6, 19)


def picture(args, folder, name, seed, guidance=3, prompt=MAN, negative=""):
    path = args.work / folder / f"{name}.png"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        settings = {
            "--model": MODEL,
            "--prompt": prompt,
            "--negative-prompt": negative,
            "--seed": seed,
            "--guidance-scale": guidance,
            "--steps": 20,
            "--device": "cpu",
            "--out": path,
        }
        words = [str(word) for pair in settings.items() for word in pair]
        subprocess.run([args.command, "generate", *words], check=True, capture_output=True)
    return np.array(Image.open(path).convert("RGB"))


def sheet(pictures, columns):
    """Pictures in rows, from the left."""
    rows = [np.concatenate(pictures[i : i + columns], 1) for i in range(0, len(pictures), columns)]
    return np.concatenate(rows, 0)


def write(name, pixels):
    path = WWW / "story" / f"{name}.webp"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path, quality=82, method=6)
    print(f"{path.name}: {path.stat().st_size / 1000:.1f} kB")


def small(pixels):
    return np.array(Image.fromarray(pixels).resize((THUMB, THUMB), Image.LANCZOS))


@torch.no_grad()
def margins(pictures):
    """For "mustache" and "glasses": the logit of yes less that of no, [pictures] each."""
    heads = detectors.load()(autoencoder.to_tensor(np.stack(pictures)))
    names = list(detectors.HEADS)
    return [
        (heads[names.index(head)][:, 1] - heads[names.index(head)][:, 0]).numpy()
        for head in ("mustache", "glasses")
    ]


def map_svg(plain, guided):
    """The map: x is the margin for a mustache, y that for glasses, in pictures of each seed."""
    width, height, edge = 768, 480, 24
    both = [np.concatenate(pair) for pair in zip(plain, guided)]
    low, high = ([float(f(axis)) for axis in both] for f in (np.min, np.max))

    def place(x, y):
        x = edge + (x - low[0]) / (high[0] - low[0]) * (width - 2 * edge)
        y = height - edge - (y - low[1]) / (high[1] - low[1]) * (height - 2 * edge)
        return round(float(x), 1), round(float(y), 1)

    cut, _ = place(0, low[1])
    lines = [
        f'<svg class="map" viewBox="0 0 {width} {height}" role="img"',
        '  aria-label="Map of 96 men. Lines lead from “mustache”, at the right, to the left part.">',
        f'  <rect class="cut" x="{cut}" y="0" width="{width - cut}" height="{height}"/>',
        f'  <text class="label" x="{width - 12}" y="22" text-anchor="end">mustache</text>',
        '  <text class="label" x="12" y="22">no mustache</text>',
    ]
    for seed in range(SEEDS):
        (x1, y1), (x2, y2) = (place(side[0][seed], side[1][seed]) for side in (plain, guided))
        lines += [
            f'  <g data-seed="{seed}"><path d="M{x1} {y1}L{x2} {y2}"/>',
            f'    <circle cx="{x1}" cy="{y1}" r="4"/><circle cx="{x2}" cy="{y2}" r="3"/></g>',
        ]
    return "\n".join(" " * 10 + line for line in [*lines, "</svg>"])


def put_map(svg):
    path = WWW / "story.html"
    text = path.read_text()
    begin, end = "<!-- map -->", "<!-- end of the map -->"
    head, rest = text.split(begin)
    _, tail = rest.split(end)
    path.write_text(f"{head}{begin}\n{svg}\n          {end}{tail}")


def strips(args):
    """Twelve seeds of three requests, and the numbers of mustaches."""
    for name, prompt, negative in (
        ("plain", MAN, ""),
        ("without", f"{MAN} without mustache", ""),
        ("negative", MAN, "mustache"),
    ):
        pictures = [
            picture(args, name, seed, seed, prompt=prompt, negative=negative) for seed in ROW
        ]
        mustache, _ = margins(pictures)
        print(f"{name}: {int((mustache > 0).sum())} of {len(ROW)} have a mustache")
        write(name, sheet(pictures, 6))


def seeds_on_map(args):
    sides = []
    for name, negative in (("plain", ""), ("negative", "mustache")):
        pictures = [picture(args, name, seed, seed, negative=negative) for seed in range(SEEDS)]
        sides.append(margins(pictures))
        write(f"map-{name}", sheet([small(one) for one in pictures], COLUMNS))
    put_map(map_svg(*sides))
    before, after = (side[0] > 0 for side in sides)
    print(f"map: {before.sum()} of {SEEDS} have a mustache, {(before & ~after).sum()} lose it,")
    print(f"  {(~before & after).sum()} get one")


def few(args):
    """A seed at all guidance scales, and words that change nothing."""
    scales = [picture(args, "scale", s, 14, guidance=s, negative="mustache") for s in SCALES]
    mustache, _ = margins(scales)
    print("scale:", [(s, bool(m > 0)) for s, m in zip(SCALES, mustache)])
    write("scale", sheet(scales, len(SCALES)))
    seeds = (14, 29, 42, 18)
    plain = [picture(args, "plain", seed, seed) for seed in seeds]
    words = "blurry, watermark, lowres"
    nothing = [picture(args, "nothing", seed, seed, negative=words) for seed in seeds]
    change = [float(np.abs(a.astype(float) - b).mean()) for a, b in zip(plain, nothing)]
    print("nothing: mean change of a pixel's value of 255:", [round(c, 1) for c in change])
    write("nothing", sheet(plain + nothing, 4))


@torch.no_grad()
def predictions():
    """For each of STEPS: predictions of the finished picture, as the U-Net makes them, decoded."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(MODEL, torch_dtype=torch.float32)
    scheduler = DPMSolverMultistepScheduler.from_config(
        pipe.scheduler.config, use_karras_sigmas=True
    )
    scheduler.set_timesteps(20)
    positive, negative = pipe.encode_prompt(MAN, "cpu", 1, True, "mustache")
    generator = torch.Generator().manual_seed(14)
    latent = torch.randn(1, 4, 16, 16, generator=generator) * scheduler.init_noise_sigma
    columns = []
    for i, t in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(latent, t)
        p, n = (pipe.unet(scaled, t, e).sample for e in (positive, negative))
        sigma = scheduler.sigmas[i]
        alpha = 1 / (1 + sigma**2) ** 0.5
        if i in STEPS:
            denoised = [(latent - alpha * sigma * e) / alpha for e in (p, n, n + 3 * (p - n))]
            columns.append([decoded(pipe, one) for one in denoised])
        latent = scheduler.step(n + 3 * (p - n), t, latent).prev_sample
    return columns


def decoded(pipe, latent):
    pixels = pipe.vae.decode(latent / pipe.vae.config.scaling_factor).sample[0]
    return ((pixels.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


def step_table():
    columns = predictions()
    gaps = [np.abs(p.astype(float) - n).mean(2) for p, n, _ in columns]
    rows = [[], [], [], []]
    largest = max(gap.max() for gap in gaps)
    for (p, n, guided), gap in zip(columns, gaps):
        heat = gap / largest
        shown = (heat[:, :, None] * (255, 122, 104)).astype(np.uint8)
        for row, one in zip(rows, (p, n, shown, guided)):
            row.append(one)
    write("steps", sheet([one for row in rows for one in row], len(columns)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--command", default="darkroom")
    parser.add_argument("--work", type=pathlib.Path, default=store.work() / "story")
    args = parser.parse_args()
    step_table()
    few(args)
    strips(args)
    seeds_on_map(args)


if __name__ == "__main__":
    main()
