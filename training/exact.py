"""What a U-Net without error would draw: the prediction is the mean over all drawings, each as likely as it makes the noisy latent.

    python exact.py               report/exact.json

What it draws are the drawings again, near enough. How often which, is for the noise schedule, the sampler and `unet.noise_mean`
to answer; here the backgrounds are counted, with that mean and without it, for men, without guidance.
"""
import collections
import json
import math

import torch

import store
import unet as unets
import world

SEEDS, STEPS = 384, 20


def karras(noises):
    """The noise levels of the samplers, highest first, and none."""
    least, most = (math.sqrt((1 - kept) / kept) for kept in (float(noises[0]), float(noises[-1])))
    levels = [(most ** (1 / 7) + i / (STEPS - 1) * (least ** (1 / 7) - most ** (1 / 7))) ** 7 for i in range(STEPS)]
    return [*levels, 0.0]


def sampled(means, noise_mean, levels):
    """Numbers of the drawings nearest to what DPM-Solver++ 2M draws (Lu et al. 2022, arXiv:2211.01095, algorithm 2)."""
    squares = means.square().sum(1) / 2
    x = torch.randn(SEEDS, means.shape[1], generator=torch.Generator().manual_seed(0)) * levels[0]
    earlier = None
    for i, (sigma, following) in enumerate(zip(levels, levels[1:])):
        likely = ((x - sigma * noise_mean) @ means.T - squares) / sigma ** 2
        picture = torch.softmax(likely, 1) @ means
        if following == 0:
            return torch.cdist(picture, means).argmin(1).tolist()
        extrapolated = picture
        if earlier is not None:
            half_ratio = math.log(sigma / following) / math.log(levels[i - 1] / sigma) / 2
            extrapolated = (1 + half_ratio) * picture - half_ratio * earlier
        x = following / sigma * x + (1 - following / sigma) * extrapolated
        earlier = picture


def main():
    latents, attributes = unets.drawn()
    men = [i for i, a in enumerate(attributes) if a["gender"] == "man"]
    means = latents[men, :4].float()
    kept = unets.noise_schedule().alphas_cumprod
    levels = karras(kept)
    with_mean, without = unets.noise_mean(latents[:, :4].float(), kept).flatten(), torch.zeros(means[0].numel())
    report = {}
    for name, noise_mean in (("noise_without_mean", without), ("noise_with_mean", with_mean)):
        drawn = collections.Counter(attributes[men[i]]["background"] for i in sampled(means.flatten(1), noise_mean, levels))
        report[name] = {background: round(100 * drawn[background] / SEEDS, 1) for background in world.BACKGROUNDS}
        print(name, json.dumps(report[name]))
    (store.REPORT / "exact.json").write_text(json.dumps({"seeds": SEEDS, "steps": STEPS, "backgrounds": report}, indent=1) + "\n")


if __name__ == "__main__":
    main()
