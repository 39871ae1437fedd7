"""Compares what words change in the U-Net's prediction with what they should change.

    python words.py               report/words.json

At the highest noise no picture is visible, and the prediction is the mean of all pictures that fit
the caption. So the effect of a word is known there: the difference of two means over drawings.
Guidance multiplies the U-Net's version of it, first of all steps and everywhere in the picture.
"""

import json

import torch

import places
import store
import text
import tokenizer as tokenizers
import unet as unets

TIME, NOISES = 980, 64
KINDS = ("mustache", "glasses", "hat")
PLAIN = "Portrait photo of a man"


def known(latents, attributes):
    """Mean latent of all men minus that of men with each kind: float32 [4, height, width]."""
    men = torch.tensor([a["gender"] == "man" for a in attributes])
    return {
        kind: latents[men].mean(0)
        - latents[men & torch.tensor([bool(a[kind]) for a in attributes])].mean(0)
        for kind in KINDS
    }


@torch.no_grad()
def predicted(latents):
    """The same from the U-Net's predictions: plain caption minus word."""
    tokenizer = tokenizers.load()
    encoder, unet = text.load(tokenizer), unets.load()
    kept = unets.noise_schedule().alphas_cumprod
    noise = unets.noise_mean(latents, kept) + torch.randn(
        NOISES, *latents.shape[1:], generator=torch.Generator().manual_seed(0)
    )
    kept = kept[TIME]
    noisy = kept.sqrt() * latents[:NOISES] + (1 - kept).sqrt() * noise
    noises = {}
    for caption in (PLAIN, *KINDS):
        hidden = encoder(tokenizers.encode(tokenizer, [caption])).last_hidden_state
        noises[caption] = unet(noisy, TIME, hidden.expand(NOISES, -1, -1)).sample
    return {
        kind: ((1 - kept) / kept).sqrt() * (noises[kind] - noises[PLAIN]).mean(0) for kind in KINDS
    }


def rms(x, where):
    return round(float(x[:, where].square().mean().sqrt()), 4)


if __name__ == "__main__":
    latents, attributes = unets.drawn()
    means = latents[:, :4].float()
    shown, drawings, predictions = places.places(), known(means, attributes), predicted(means)
    report = {}
    for kind in KINDS:
        here = shown[kind]
        report[kind] = {
            "drawings": {
                "shown": rms(drawings[kind], here),
                "elsewhere": rms(drawings[kind], ~here),
            },
            "unet": {
                "shown": rms(predictions[kind], here),
                "elsewhere": rms(predictions[kind], ~here),
            },
            "error": rms(predictions[kind] - drawings[kind], here),
        }
        print(kind, json.dumps(report[kind]))
    (store.REPORT / "words.json").write_text(
        json.dumps({"time": TIME, "words": report}, indent=1) + "\n"
    )
