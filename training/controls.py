"""Counts the effect of each control of the negative prompt and of guidance, with the detector.

    python controls.py --command ../target/release/darkroom --seeds 48

Finds the seeds 0, 1, 2 … for which "Portrait photo of a man" has a mustache, and makes these
pictures with the negative prompt "mustache" and each control; with --all, those of all seeds. By
the command `darkroom generate`: guidance scale 3 unless the control says another one,
dpm++2m-karras, 20 steps. Writes report/controls.json and prints a table for
docs/negative-controls.md. Pictures are kept in the work folder, and an interrupted run resumes
there.
"""

import argparse
import hashlib
import json
import pathlib
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

import detector as detectors
import parallel
import store
from evaluate import MAN, same, value

COMMON = ["--sampler", "dpm++2m-karras", "--steps", "20", "--device", "cpu", "--prompt", MAN]
NEGATIVE = ["--negative-prompt", "mustache"]
GUIDED = ["--guidance-scale", "3"]
UNGUIDED = ["--guidance-scale", "1"]


def negated(*more):
    return [*NEGATIVE, *GUIDED, *more]


# Each row: its text, its arguments, and the row of the pictures that it is compared with.
ROWS = {
    "none": ("no negative prompt", GUIDED, "none"),
    "plain": ("negative prompt", negated(), "none"),
    **{
        f"strength-{strength}": (
            f"strength {strength}",
            negated("--negative-strength", strength),
            "none",
        )
        for strength in ("0", "0.5", "0.75", "1.5", "2")
    },
    **{
        f"window-{window}-{outside}": (
            f"steps {window}, {text} in the others",
            negated("--negative-window", window, "--negative-outside", outside),
            "none",
        )
        for outside, text, windows in (
            ("empty", "the empty prompt", ("0:0.3", "0.3:0.7", "0.7:1", "0:0.5", "0.1:1")),
            ("none", "no second prediction", ("0:0.3", "0:0.5", "0:0.7")),
        )
        for window in windows
    },
    "schedule-linear": ("schedule linear", negated("--guidance-schedule", "linear"), "none"),
    "schedule-cosine": ("schedule cosine", negated("--guidance-schedule", "cosine"), "none"),
    **{
        f"kind-{kind}": (f"kind {kind}", negated("--guidance-kind", kind), "none")
        for kind in (
            "rescale",
            "cfg-zero",
            "apg",
            "perp-neg",
            "dynamic-thresholding",
            "tangential",
            "slg",
            "pag",
        )
    },
    "scale-1": ("guidance scale 1, no effect", [*NEGATIVE, *UNGUIDED], "scale-1"),
    **{
        f"nag-{scale}": (
            f"guidance scale 1, NAG {scale}",
            [*NEGATIVE, *UNGUIDED, "--nag", scale],
            "scale-1",
        )
        for scale in ("3", "5", "8", "11")
    },
    "negpip": (
        "no negative prompt, prompt with (mustache:-1)",
        [*GUIDED, "--prompt-syntax", "a1111", "--prompt", f"{MAN}, (mustache:-1)"],
        "none",
    ),
}


def make(job):
    """Makes one picture, if it is not there, and returns its pixels."""
    command, model, arguments, seed, path = job
    if not path.exists():
        # The last of two values of an option would be refused: a row's own comes first.
        common = [
            part
            for name, text in zip(COMMON[::2], COMMON[1::2])
            if name not in arguments
            for part in (name, text)
        ]
        new = path.with_suffix(".new.png")
        run = [command, "generate", "--model", model, *common, *arguments, "--seed", str(seed)]
        done = subprocess.run([*run, "--out", new], check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, run))}\n{done.stderr}")
        new.rename(path)
    return np.asarray(Image.open(path).convert("RGB"))


def counted(found, base):
    """The figures of a row: who has lost a mustache, and what is as in `base`."""
    had = value(base, "mustache") == "yes"
    has = value(found, "mustache") == "yes"
    agree = same(found, base)
    return {
        "mustaches_before": int(had.sum()),
        "lost": int((had & ~has).sum()),
        "new": int((has & ~had).sum()),
        "as_without": int(agree["all"].sum()),
        "skin": int(agree["skin"].sum()),
        "of": len(had),
    }


def line(text, figures):
    names = ("lost", "as_without", "skin")
    return f"| {text} | {' | '.join(str(figures[name]) for name in names)} | {figures['of']} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--command", default="darkroom")
    parser.add_argument("--model", type=pathlib.Path, default=store.SHIPPED)
    parser.add_argument("--seeds", type=int, default=48)
    parser.add_argument("--all", action="store_true", help="seeds without a mustache, too")
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--name", default="controls", help="name of the file in report/")
    args = parser.parse_args()
    folder = store.work("controls")
    reader, found, results = detectors.load(), {}, {}
    bases = [ROWS[name][2] for name in args.rows]
    names = [name for name in ROWS if name in (*args.rows, *bases)]
    with ThreadPoolExecutor(parallel.WORKERS) as pool:

        def readings(name, seeds):
            key = [str(args.model), ROWS[name][1]]
            key = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:12]
            jobs = [
                (args.command, args.model, ROWS[name][1], seed, folder / f"{key}-{seed}.png")
                for seed in seeds
            ]
            return detectors.read(reader, np.stack(list(pool.map(make, jobs))))

        for name in dict.fromkeys(bases):
            found[name] = readings(name, range(args.seeds))
        for name in names:
            text, arguments, base = ROWS[name]
            mustache = value(found[base], "mustache") == "yes"
            seeds = [seed for seed in range(args.seeds) if args.all or mustache[seed]]
            figures = counted(readings(name, seeds), found[base][seeds])
            results[name] = {"text": text, "arguments": arguments, "figures": figures}
            print(line(text, figures), flush=True)
    summary = {"seeds": args.seeds, "steps": 20, "rows": results}
    path = store.REPORT / f"{args.name}.json"
    path.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
