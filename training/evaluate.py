"""Generates pictures with the exported model and counts what is in them, with the detector.

    python evaluate.py --seeds 192

Seeds 0, 1, 2 …; DPM-Solver++ 2M with Karras' sigmas. The initial noise is torch.randn's on the CPU,
so `darkroom generate --sampler dpm++2m-karras --seed N` starts from the same noise. Writes
report/results.json and a sheet of the first 64 pictures of each request. Pictures are kept in the
work folder, and an interrupted run resumes there.
"""

import argparse
import hashlib
import json
import math
import multiprocessing
import pathlib
import time

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

import detector as detectors
import draw
import parallel
import store
import world

MAN = "Portrait photo of a man"
REQUESTS = {
    "man": (MAN, ""),
    "man_without_mustache": (f"{MAN} without mustache", ""),
    "man_negative_mustache": (MAN, "mustache"),
    "man_without_glasses": (f"{MAN} without glasses", ""),
    "man_negative_glasses": (MAN, "glasses"),
    "man_without_hat": (f"{MAN} without hat", ""),
    "man_negative_hat": (MAN, "hat"),
    "woman": ("Portrait photo of a woman", ""),
    "woman_red_hair_blue_background": ("a woman with red hair, blue background", ""),
    "composed_blond_purple": ("a man with blond hair, purple background", ""),
    "composed_green_pink": ("a woman wearing a green sweater, pink background", ""),
}
WANTED = {
    "woman_red_hair_blue_background": {
        "gender": "woman",
        "hair_colour": "red",
        "background": "blue",
    },
    "composed_blond_purple": {"gender": "man", "hair_colour": "blond", "background": "purple"},
    "composed_green_pink": {
        "gender": "woman",
        "clothes_colour": "green",
        "clothes": "sweater",
        "background": "pink",
    },
}
KEPT = ("gender", "hair_style", "hair_colour", "background", "clothes", "clothes_colour")
ALSO = ("skin",)  # measured as well
HEADS = list(detectors.HEADS)
PIPELINE = None  # one per worker


def load_pipeline(folder):
    global PIPELINE
    torch.set_num_threads(1)
    # Not TF32, as in training.
    torch.backends.cuda.matmul.fp32_precision = torch.backends.cudnn.conv.fp32_precision = "ieee"
    PIPELINE = StableDiffusionPipeline.from_pretrained(
        folder, torch_dtype=torch.float32, safety_checker=None
    ).to(parallel.DEVICE)
    PIPELINE.scheduler = DPMSolverMultistepScheduler.from_config(
        PIPELINE.scheduler.config, use_karras_sigmas=True
    )
    PIPELINE.set_progress_bar_config(disable=True)


def generate(job):
    path, prompt, negative, seeds, steps, guidance = job
    if not path.exists():
        images = PIPELINE(
            [prompt] * len(seeds),
            negative_prompt=[negative] * len(seeds),
            num_inference_steps=steps,
            guidance_scale=guidance,
            height=draw.SIZE,
            width=draw.SIZE,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="np",
        ).images
        with open(path.with_suffix(".new"), "wb") as file:
            np.save(file, (images * 255).round().astype(np.uint8))
        path.with_suffix(".new").rename(path)
    return np.load(path)


def value(found, head):
    return np.array(detectors.HEADS[head])[found[:, HEADS.index(head)]]


def rate(flags):
    """Share in percent, with its standard error."""
    p, n = float(np.mean(flags)), len(flags)
    return {
        "percent": round(100 * p, 1),
        "error": round(100 * math.sqrt(max(p * (1 - p), 1 / n**2) / n), 1),
        "of": n,
    }


def shares(found):
    """The share of each value, in percent, for attributes with several values."""
    several = {
        head: classes
        for head, classes in detectors.HEADS.items()
        if classes is not detectors.NO_YES
    }
    return {
        head: {name: round(100 * float(np.mean(value(found, head) == name)), 1) for name in classes}
        for head, classes in several.items()
    }


def same(found, base):
    """Pictures that agree at the same seed, in each attribute and in all of KEPT."""
    agree = {head: value(found, head) == value(base, head) for head in (*KEPT, *ALSO)}
    return agree | {"all": np.all([agree[head] for head in KEPT], 0)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=192)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument(
        "--guidance", type=float, default=3, help="the page's own for this model: www/main.js"
    )
    parser.add_argument("--batch", type=int, default=parallel.sized(16, 192))
    parser.add_argument(
        "--model",
        type=pathlib.Path,
        default=None,
        help="a diffusers folder (default: the exported one)",
    )
    parser.add_argument("--requests", nargs="*", default=list(REQUESTS))
    parser.add_argument(
        "--name", default="results", help="name of the file in report/, and prefix of the sheets"
    )
    args = parser.parse_args()
    model = args.model or store.work("model")
    weights = hashlib.sha256(
        b"".join(path.read_bytes() for path in sorted(model.glob("*/*.safetensors")))
    ).hexdigest()[:12]
    folder = store.work("pictures", f"{weights}-{args.steps}-{args.guidance:g}")
    torch.set_num_threads(1)
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    chunks = [seeds[i : i + args.batch] for i in range(0, len(seeds), args.batch)]
    jobs = [
        (
            folder / f"{name}-{chunk[0]}-{len(chunk)}.npy",
            *REQUESTS[name],
            chunk,
            args.steps,
            args.guidance,
        )
        for name in args.requests
        for chunk in chunks
    ]
    reader, results, found = detectors.load(), {}, {}
    with multiprocessing.get_context("spawn").Pool(
        parallel.WORKERS, load_pipeline, (model,)
    ) as pool:
        parts = pool.imap(generate, jobs)
        for name in args.requests:
            began = time.time()
            images = np.concatenate([next(parts) for _ in chunks])
            draw.sheet(images[:64], 8, store.REPORT / f"{args.name}_{name}.jpg")
            found[name] = detectors.read(reader, images)
            prompt, negative = REQUESTS[name]
            results[name] = {
                "prompt": prompt,
                "negative_prompt": negative,
                "rates": {
                    head: rate(value(found[name], head) == "yes")
                    for head, classes in detectors.HEADS.items()
                    if classes is detectors.NO_YES
                },
                "men": rate(value(found[name], "gender") == "man"),
                "shares": shares(found[name]),
            }
            if name.startswith("man_") and "man" in found:
                agree = same(found[name], found["man"])
                results[name]["as_without"] = {head: rate(flags) for head, flags in agree.items()}
                # Pictures with nothing to remove stay as they are, and would flatter the rates.
                had = value(found["man"], name.split("_")[-1]) == "yes"
                results[name]["as_without_where_there_was_one"] = {
                    head: rate(flags[had]) for head, flags in agree.items()
                }
            if name in WANTED:
                right = {
                    head: value(found[name], head) == wanted
                    for head, wanted in WANTED[name].items()
                }
                results[name]["obeyed"] = {head: rate(flags) for head, flags in right.items()} | {
                    "all": rate(np.all(list(right.values()), 0))
                }
            short = {k: v["percent"] for k, v in results[name]["rates"].items()} | {
                "men": results[name]["men"]["percent"]
            }
            short |= {
                f"{group}.{k}": v["percent"]
                for group in ("as_without", "obeyed")
                for k, v in results[name].get(group, {}).items()
            }
            print(name, json.dumps(short), f"{time.time() - began:.0f} s", flush=True)
    data = {head: round(100 * share, 1) for head, share in world.SHARES.items()}
    summary = {
        "weights": weights,
        "seeds": [seeds[0], seeds[-1]],
        "sampler": "dpm++2m-karras",
        "steps": args.steps,
        "guidance": args.guidance,
        "data": data,
        "requests": results,
    }
    (store.REPORT / f"{args.name}.json").write_text(json.dumps(summary, indent=1) + "\n")
    if "man" in found:
        print(
            "seeds with a mustache:",
            [s for s, v in zip(seeds, value(found["man"], "mustache")) if v == "yes"][:40],
        )


if __name__ == "__main__":
    main()
