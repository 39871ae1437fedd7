"""Makes checkpoints from an exported model, to resume training when its own checkpoints are gone.

    python resume.py ../www/models/portraits

The optimizers' momenta are missing; they recover within some steps. Existing checkpoints are kept.
"""

import argparse
import json
import pathlib
import shutil

from safetensors.torch import load_file

import store

PARTS = {
    "vae": "vae/diffusion_pytorch_model.safetensors",
    "text": "text_encoder/model.safetensors",
    "unet": "unet/diffusion_pytorch_model.safetensors",
}


def checkpoint(name, model):
    weights = {key: value.float() for key, value in load_file(model / PARTS[name]).items()}
    report = json.loads((store.REPORT / f"{name}.json").read_text())
    state = {
        "ema": weights,
        "step": report["steps"],
        "history": report.get("history", []),
        "arguments": report["arguments"],
    }
    if name != "text":
        state |= {"raw": weights, "falling": False}
    config = model / "vae/config.json"
    if name == "vae" and config.exists():  # otherwise vae.py measures it at the end
        state["scaling"] = json.loads(config.read_text())["scaling_factor"]
    return state


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path, help="a diffusers folder")
    args = parser.parse_args()
    for name in PARTS:
        path = store.work() / f"{name}.pt"
        if path.exists():
            print(f"{path} exists already")
        elif not (args.model / PARTS[name]).exists():
            print(f"{args.model} has no {name}; it will be trained from nothing")
        else:
            store.save(path, checkpoint(name, args.model))
    if not (store.work() / "tokenizer").exists():
        shutil.copytree(
            args.model / "tokenizer",
            store.work() / "tokenizer",
            ignore=shutil.ignore_patterns("tokenizer.json"),
        )
