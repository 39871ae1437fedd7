"""Makes checkpoints from an exported model, so that training goes on from it where the cache of its training is gone.

    python resume.py ../www/models/portraits

What is missing are the optimizers' momenta, which come back within some steps. Existing checkpoints are left alone.
"""
import argparse
import json
import pathlib
import shutil

from safetensors.torch import load_file

import store

PARTS = {"vae": "vae/diffusion_pytorch_model.safetensors", "text": "text_encoder/model.safetensors", "unet": "unet/diffusion_pytorch_model.safetensors"}


def checkpoint(name, model):
    weights = {key: value.float() for key, value in load_file(model / PARTS[name]).items()}
    report = json.loads((store.REPORT / f"{name}.json").read_text())
    state = {"ema": weights, "step": report["steps"], "history": report.get("history", []), "arguments": report["arguments"]}
    if name != "text":
        state |= {"raw": weights, "falling": False}
    config = model / "vae/config.json"
    if name == "vae" and config.exists():     # else vae.py measures it when it is done
        state["scaling"] = json.loads(config.read_text())["scaling_factor"]
    return state


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path, help="a diffusers folder")
    args = parser.parse_args()
    for name in PARTS:
        path = store.work() / f"{name}.pt"
        if path.exists():
            print(f"{path} is there")
        elif not (args.model / PARTS[name]).exists():
            print(f"{args.model} has no {name}: that will be trained from nothing")
        else:
            store.save(path, checkpoint(name, args.model))
    if not (store.work() / "tokenizer").exists():
        shutil.copytree(args.model / "tokenizer", store.work() / "tokenizer", ignore=shutil.ignore_patterns("tokenizer.json"))
