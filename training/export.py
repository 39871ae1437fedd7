"""Writes the model as a diffusers folder in fp16.

python export.py               to the work folder (model/)
python export.py --ship        also copies it to www/models/portraits
"""

import argparse
import shutil

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

import store
import text
import tokenizer as tokenizers
import unet as unets
import vae as autoencoder

TOKENIZER_FILES = ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json")


def export(folder):
    tokenizer = tokenizers.load()
    # The model's own sampler is the one that evaluate.py counts with. With PNDM, which Stable
    # Diffusion 1.5 names, and 20 steps the negative prompt left mustaches that it removes with the
    # other samplers (NOTES.md).
    scheduler = DPMSolverMultistepScheduler(
        **unets.NOISE_SCHEDULE,
        use_karras_sigmas=True,
        timestep_spacing="leading",
        steps_offset=1,
        prediction_type="epsilon",
    )
    vae, encoder, unet = (
        part.to("cpu", torch.float16, memory_format=torch.contiguous_format)
        for part in (autoencoder.load(), text.load(tokenizer), unets.load())
    )
    # For the other samplers, as in Stable Diffusion 1.5. Unless told not to, diffusers' DDIM clips.
    scheduler.register_to_config(clip_sample=False, set_alpha_to_one=False, skip_prk_steps=True)
    StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    for name in TOKENIZER_FILES:  # transformers 5 writes tokenizer.json only
        shutil.copy(store.work("tokenizer") / name, folder / "tokenizer" / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--ship", action="store_true", help="replace www/models/portraits")
    args = parser.parse_args()
    export(store.work("model"))
    if args.ship:
        shutil.copytree(store.work("model"), store.SHIPPED, dirs_exist_ok=True)
    files = [path for path in store.work("model").rglob("*") if path.is_file()]
    print(f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB in {len(files)} files")
