"""Samples as a U-Net without error would: each prediction is the posterior mean of targets.py.

    python exact.py               report/exact.json

The results are nearly the drawings themselves. Their frequencies depend on the noise schedule, the
sampler and `unet.noise_mean`. This counts the backgrounds, with and without that mean, for men,
without guidance.
"""

import collections
import json

import torch
from diffusers import DPMSolverMultistepScheduler

import captions
import store
import targets
import unet as unets
import world

SEEDS, STEPS = 384, 20


def sampled(posterior, shape):
    """Latents, float32 [SEEDS, *shape], drawn with evaluate.py's sampler."""
    sampler = DPMSolverMultistepScheduler.from_config(
        unets.noise_schedule().config, use_karras_sigmas=True
    )
    sampler.set_timesteps(STEPS)
    said, sentence = targets.said([captions.NOTHING] * SEEDS)
    x = torch.randn(SEEDS, *shape, generator=torch.Generator().manual_seed(0))
    for t, sigma in zip(sampler.timesteps, sampler.sigmas):
        kept = (1 / (1 + sigma**2)).expand(SEEDS)
        x = sampler.step(posterior.noise(x, kept, said, sentence), t, x).prev_sample
    return x


def main():
    latents, attributes = unets.drawn()
    means = latents[:, :4].float()
    noise_mean = unets.noise_mean(means, unets.noise_schedule().alphas_cumprod)
    report = {}
    for name, mean in (
        ("noise_without_mean", torch.zeros_like(noise_mean)),
        ("noise_with_mean", noise_mean),
    ):
        nearest = torch.cdist(
            sampled(targets.Posterior(means, attributes, mean), means.shape[1:]).flatten(1),
            means.flatten(1),
        ).argmin(1)
        drawn = collections.Counter(attributes[i]["background"] for i in nearest.tolist())
        report[name] = {
            background: round(100 * drawn[background] / SEEDS, 1)
            for background in world.BACKGROUNDS
        }
        print(name, json.dumps(report[name]))
    (store.REPORT / "exact.json").write_text(
        json.dumps({"seeds": SEEDS, "steps": STEPS, "backgrounds": report}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
