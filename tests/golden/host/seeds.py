"""seeds.json and seeds.safetensors: noise from several seeds, and samplers with another eta.

- `noise`: the first noise and the next one after the rules of A1111's web UI (`modules/rng.py`):
  its `slerp` over the height of the latent, the variation seed, and the eta noise seed delta.
- `eta`: final latents of every sampler that reads it. DDIM and TCD are diffusers' classes. The
  others are written here after k-diffusion's algorithms, with independent noise in place of its
  Brownian tree.
"""

import json

import numpy as np
import torch
from safetensors.numpy import save_file

from noise import philox_randn
from sampling import STABLE_DIFFUSION
from schedules import HERE, SHAPE, denoise, make, predict, trained_sigmas

# Generator, shape, seed, variation seed, strength, delta.
NOISE = [
    ("torch", (4, 8, 8), 1, 2, 0.1, 0),
    ("torch", (4, 8, 8), 1, 2, 1.0, 31337),
    ("torch", (4, 6, 10), 7, 2**32 - 1, 0.5, -3),
    ("torch", (4, 8, 8), 5, 5, 0.3, 0),
    ("torch", (4, 8, 8), 5, 6, 0.0, 31337),
    ("philox", (4, 8, 8), 1, 2, 0.1, 0),
    ("philox", (4, 12, 6), 2**63 + 5, 2**40, 0.75, 31337),
]
ETAS = (0.0, 0.4, 1.0)
STEPS = (4, 10)
SAMPLERS = ("ddim", "tcd", "euler-a", "dpm2-a", "dpm++2s-a", "dpm++sde", "dpm++2m-sde", "dpm++3m-sde")


class Stream:
    """Successive draws with one seed."""

    def __init__(self, rng, seed):
        self.rng, self.seed, self.calls = rng, seed, 0
        self.generator = torch.Generator().manual_seed(seed) if rng == "torch" else None

    def draw(self, shape):
        if self.generator is not None:
            return torch.randn(shape, generator=self.generator)
        self.calls += 1
        values = philox_randn(self.seed, self.calls - 1, int(np.prod(shape)))
        return torch.from_numpy(values).reshape(shape)


def slerp(share, low, high):
    """The web UI's rule for noise `[channels, height, width]`: norms along the height."""
    low_unit = low / torch.norm(low, dim=1, keepdim=True)
    high_unit = high / torch.norm(high, dim=1, keepdim=True)
    dot = (low_unit * high_unit).sum(1)
    if dot.mean() > 0.9995:
        return low * share + high * (1 - share)
    angle = torch.acos(dot)
    sine = torch.sin(angle)
    weights = torch.sin((1.0 - share) * angle) / sine, torch.sin(share * angle) / sine
    return weights[0].unsqueeze(1) * low + weights[1].unsqueeze(1) * high


def noise(rng, shape, seed, variation_seed, strength, delta):
    """The first noise, and the noise that the sampler draws next."""
    stream = Stream(rng, seed)
    first = stream.draw(shape)
    if strength != 0:
        first = slerp(strength, first, Stream(rng, variation_seed).draw(shape))
    if delta:
        stream = Stream(rng, seed + delta)
    return first.numpy().ravel(), stream.draw(shape).numpy().ravel()


def diffusers_run(sampler, config, steps, seed, eta):
    scheduler = make(sampler, "normal", config, steps)
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        prediction = predict(scheduler.scale_model_input(latent, t), float(t))
        latent = scheduler.step(prediction, t, latent, eta=eta, generator=generator).prev_sample
    return latent.numpy()


def ancestral_step(sigma, following, eta):
    """k-diffusion's get_ancestral_step: the sigma to go down to, and the noise."""
    if eta == 0:
        return following, 0.0
    up = eta * np.sqrt(following**2 * (sigma**2 - following**2) / sigma**2)
    up = min(following, up)
    return np.sqrt(following**2 - up**2), up


class KDiffusion:
    """k-diffusion's samplers in f64."""

    def __init__(self, scheduler, sigmas, timesteps, seed, eta):
        self.scheduler, self.sigmas, self.timesteps, self.eta = scheduler, sigmas, timesteps, eta
        self.logs = np.log(trained_sigmas(scheduler))
        self.generator = torch.Generator().manual_seed(seed)

    def noise(self):
        return torch.randn(SHAPE, generator=self.generator).numpy().astype(np.float64)

    def between(self, x, sigma):
        """The denoised latent at a sigma between those of the steps."""
        t = float(self.scheduler._sigma_to_t(np.array(sigma), self.logs))
        return denoise(self.scheduler, x, sigma, t)

    def euler_a(self, x, denoised, sigma, following):
        down, up = ancestral_step(sigma, following, self.eta)
        x = x + (x - denoised) / sigma * (down - sigma)
        return x + up * self.noise() if up > 0 else x

    def dpm2_a(self, x, denoised, sigma, following):
        down, up = ancestral_step(sigma, following, self.eta)
        middle = np.exp((np.log(sigma) + np.log(down)) / 2)
        halfway = x + (x - denoised) / sigma * (middle - sigma)
        slope = (halfway - self.between(halfway, middle)) / middle
        x = x + slope * (down - sigma)
        return x + up * self.noise() if up > 0 else x

    def dpmpp_2s_a(self, x, denoised, sigma, following):
        down, up = ancestral_step(sigma, following, self.eta)
        middle = np.sqrt(sigma * down)
        halfway = middle / sigma * x + (1 - middle / sigma) * denoised
        x = down / sigma * x + (1 - down / sigma) * self.between(halfway, middle)
        return x + up * self.noise() if up > 0 else x

    def dpmpp_sde(self, x, denoised, sigma, following):
        middle = np.sqrt(sigma * following)
        down, up = ancestral_step(sigma, middle, self.eta)
        halfway = down / sigma * x + (1 - down / sigma) * denoised
        if up > 0:
            halfway = halfway + up * self.noise()
        down, up = ancestral_step(sigma, following, self.eta)
        x = down / sigma * x + (1 - down / sigma) * self.between(halfway, middle)
        return x + up * self.noise() if up > 0 else x

    def run(self, step, x):
        for i, t in enumerate(self.timesteps):
            sigma, following = self.sigmas[i], self.sigmas[i + 1]
            denoised = denoise(self.scheduler, x, sigma, float(t))
            x = denoised if following == 0 else step(x, denoised, sigma, following)
        return x

    def multistep(self, third_order, x):
        denoised, steps = [], []
        for i, t in enumerate(self.timesteps):
            sigma, following = self.sigmas[i], self.sigmas[i + 1]
            denoised.insert(0, denoise(self.scheduler, x, sigma, float(t)))
            if following == 0:
                x = denoised[0]
                continue
            h = np.log(sigma) - np.log(following)
            total = h * (1 + self.eta)
            x = np.exp(-total) * x - np.expm1(-total) * denoised[0]
            phi_2 = np.expm1(-total) / total + 1
            if steps and not third_order:
                slope = (denoised[0] - denoised[1]) * h / steps[0]
                x = x - 0.5 * np.expm1(-total) * slope
            elif len(steps) == 1:
                x = x + phi_2 * (denoised[0] - denoised[1]) * h / steps[0]
            elif len(steps) > 1:
                r0, r1 = steps[0] / h, steps[1] / h
                slopes = (denoised[0] - denoised[1]) / r0, (denoised[1] - denoised[2]) / r1
                slope = slopes[0] + (slopes[0] - slopes[1]) * r0 / (r0 + r1)
                bend = (slopes[0] - slopes[1]) / (r0 + r1)
                x = x + phi_2 * slope - (phi_2 / total - 0.5) * bend
            if self.eta:
                x = x + self.noise() * following * np.sqrt(-np.expm1(-2 * h * self.eta))
            steps.insert(0, h)
        return x


def run(sampler, config, steps, seed, eta):
    if sampler in ("ddim", "tcd"):
        return diffusers_run(sampler, config, steps, seed, eta)
    multistep = sampler in ("dpm++2m-sde", "dpm++3m-sde")
    scheduler = make(sampler if multistep else "dpm++2s-a", "normal", config, steps)
    sigmas = scheduler.sigmas.numpy().astype(np.float64)
    timesteps = scheduler.timesteps.numpy()
    if not multistep:
        # The class has each step's sigma twice.
        sigmas, timesteps = np.append(sigmas[:-1:2], 0.0), timesteps[::2]
    model = KDiffusion(scheduler, sigmas, timesteps, seed, eta)
    if multistep:
        # diffusers' multistep classes have latents of variance 1 at both ends.
        x = model.noise() * np.sqrt(sigmas[0] ** 2 + 1)
        return model.multistep(sampler == "dpm++3m-sde", x)
    start = make("euler-a" if sampler == "euler-a" else "dpm2-a", "normal", config, steps)
    x = model.noise() * float(start.init_noise_sigma)
    step = {
        "euler-a": model.euler_a,
        "dpm2-a": model.dpm2_a,
        "dpm++2s-a": model.dpmpp_2s_a,
        "dpm++sde": model.dpmpp_sde,
    }
    return model.run(step[sampler], x)


def write():
    arrays, cases = {}, []
    for i, (rng, shape, seed, variation, strength, delta) in enumerate(NOISE):
        first, following = noise(rng, shape, seed, variation, strength, delta)
        arrays[f"noise.{i}"] = np.concatenate([first, following])
        cases.append(
            {
                "rng": rng,
                "shape": shape,
                "seed": str(seed),
                "variation_seed": str(variation),
                "variation_strength": strength,
                "ensd": delta,
            }
        )
    latents = []
    for sampler in SAMPLERS:
        for prediction in ("epsilon", "v_prediction"):
            config = STABLE_DIFFUSION | {"prediction_type": prediction}
            for steps in STEPS:
                for eta in ETAS:
                    latents.append(run(sampler, config, steps, len(latents), eta).ravel())
    assert all(np.isfinite(latent).all() for latent in latents)
    arrays["latents"] = np.stack(latents)
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    save_file(arrays, HERE / "seeds.safetensors")
    text = {
        "noise": cases,
        "samplers": SAMPLERS,
        "predictions": ["epsilon", "v_prediction"],
        "steps": STEPS,
        "etas": ETAS,
        "config": STABLE_DIFFUSION,
        "elements": int(np.prod(SHAPE)),
    }
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in text.items())
    (HERE / "seeds.json").write_text("{" + lines + "}\n", newline="\n")


if __name__ == "__main__":
    write()
