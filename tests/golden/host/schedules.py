"""schedules.json and schedules.safetensors: every sampler with every schedule type and file.

The model is the function of sampling.py. Noise comes from one torch generator: the first latent,
then one draw for each call that adds noise.

- `matrix`: every sampler × schedule type × prediction type × number of steps.
- `files`: every sampler with each scheduler file of schedulers/, as diffusers' `from_config` reads
  it.

diffusers' classes are used where they exist. `dpm++2s-a` and `dpm++3m-sde` are written here after
k-diffusion's algorithms, and so are the schedule types that diffusers does not have. The Brownian
tree of DPMSolverSDEScheduler is replaced by independent noise.
"""

import json
import sys
import types
import warnings
from pathlib import Path

import diffusers
import numpy as np
import torch
from safetensors.numpy import save_file

from sampling import STABLE_DIFFUSION, predict as predict_any

# Its import needs the package, and this file replaces what it is used for.
sys.modules.setdefault("torchsde", types.ModuleType("torchsde"))
from diffusers.schedulers.scheduling_dpmsolver_sde import DPMSolverSDEScheduler  # noqa: E402

HERE = Path(__file__).resolve().parent
SHAPE = (1, 1, 4, 4)
STEPS = (1, 2, 4, 20, 50)
FILE_STEPS = 10
SCHEDULES = ("normal", "karras", "exponential", "beta", "sgm-uniform", "simple", "ays")
TIMESTEPS = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "pndm": "PNDMScheduler",
    "lcm": "LCMScheduler",
    "tcd": "TCDScheduler",
}
SAMPLED = {
    "euler": "EulerDiscreteScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "dpm2": "KDPM2DiscreteScheduler",
    "dpm2-a": "KDPM2AncestralDiscreteScheduler",
    "lms": "LMSDiscreteScheduler",
    "dpm++sde": "DPMSolverSDEScheduler",
    "dpm++2s-a": None,
}
TRAINED = {
    "dpm++2m": "DPMSolverMultistepScheduler",
    "dpm++2m-sde": "DPMSolverMultistepScheduler",
    "dpm++3m-sde": None,
    "dpm++2s": "DPMSolverSinglestepScheduler",
    "deis": "DEISMultistepScheduler",
    "unipc": "UniPCMultistepScheduler",
}
FLAGS = {
    "normal": None,
    "karras": "use_karras_sigmas",
    "exponential": "use_exponential_sigmas",
    "beta": "use_beta_sigmas",
}
# Where the class is one for two samplers, the sampler's name decides.
OVERRIDES = {
    "dpm++2m": {"algorithm_type": "dpmsolver++"},
    "dpm++2m-sde": {"algorithm_type": "sde-dpmsolver++", "solver_order": 2},
    "dpm++2s": {"algorithm_type": "dpmsolver++"},
}
ALIGN_YOUR_STEPS = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]


def predict(latent, timestep):
    return predict_any(latent, timestep)


def scheduler_class(name):
    return DPMSolverSDEScheduler if name == "DPMSolverSDEScheduler" else getattr(diffusers, name)


def trained_sigmas(scheduler):
    return np.array(((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5)


def explicit(schedule, trained, count):
    """The sigmas of the schedule types that diffusers does not have."""
    trained = trained.astype(np.float64)
    if schedule == "sgm-uniform":
        timesteps = np.linspace(len(trained) - 1, 0, count + 1)[:-1]
        return np.exp(np.interp(timesteps, np.arange(len(trained)), np.log(trained)))
    if schedule == "simple":
        return np.array([trained[-(1 + int(i * len(trained) / count))] for i in range(count)])
    if schedule == "ays":
        ramp = np.linspace(0, 1, len(ALIGN_YOUR_STEPS))
        return np.exp(np.interp(np.linspace(0, 1, count), ramp, np.log(ALIGN_YOUR_STEPS)))
    raise ValueError(schedule)


def make(sampler, schedule, config, steps):
    """diffusers' scheduler with its schedule; `schedule` None is the configuration's own."""
    name = (TIMESTEPS | SAMPLED | TRAINED)[sampler]
    if sampler == "dpm++3m-sde":
        name = "DPMSolverMultistepScheduler"
    if sampler == "dpm++2s-a":
        name = "DPMSolverSDEScheduler"
    overrides = dict(OVERRIDES.get(sampler, {}))
    if sampler == "dpm++3m-sde":
        overrides = {"algorithm_type": "dpmsolver++", "solver_order": 2}
    if schedule is not None and sampler not in TIMESTEPS:
        overrides |= {flag: False for flag in FLAGS.values() if flag}
        if "DPMSolverMultistep" in name:
            overrides["use_lu_lambdas"] = False
        # A class's own spacing from sigmas to timesteps, with other sigmas.
        flag = "use_exponential_sigmas" if sampler in SAMPLED else "use_karras_sigmas"
        flag = FLAGS.get(schedule, flag)
        if flag:
            overrides[flag] = True
    scheduler = scheduler_class(name).from_config(config, **overrides)
    if schedule is not None and schedule not in FLAGS and sampler not in TIMESTEPS:
        sigmas = explicit(schedule, trained_sigmas(scheduler), steps)
        for convert in ("_convert_to_exponential", "_convert_to_karras"):
            setattr(scheduler, convert, lambda *_, **__: sigmas)
    scheduler.set_timesteps(steps)
    if schedule is not None and schedule not in FLAGS and sampler in TRAINED:
        # k-diffusion does not round.
        logs = np.log(trained_sigmas(scheduler))
        scheduler.timesteps = torch.from_numpy(scheduler._sigma_to_t(sigmas, logs))
    if sampler == "euler-a" and schedule not in (None, "normal"):
        space_ancestral(scheduler, schedule, config, steps)
    if sampler == "deis":
        # The class repeats the last sigma of Karras' and other spacings, the training's first.
        scheduler.sigmas[-1] = min(float(scheduler.sigmas[-2]), float(trained_sigmas(scheduler)[0]))
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    return scheduler


def space_ancestral(scheduler, schedule, config, steps):
    """Gives EulerAncestralDiscreteScheduler, which has no such keys, the schedule of Euler."""
    plain = make("euler", schedule, config, steps)
    scheduler.sigmas = torch.cat([plain.sigmas[:-1], torch.zeros(1)])
    scheduler.timesteps = plain.timesteps


def run(sampler, schedule, config, steps, seed):
    scheduler = make(sampler, schedule, config, steps)
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    if sampler == "dpm++3m-sde":
        return dpmpp_3m_sde(scheduler, latent, generator)
    if sampler == "dpm++2s-a":
        return dpmpp_2s_ancestral(scheduler, latent, generator)
    noise = {}
    if sampler in ("euler-a", "dpm2-a", "ddpm", "lcm", "tcd", "dpm++2m-sde"):
        noise = {"generator": generator}
    if sampler == "dpm++sde":
        scheduler.noise_sampler = lambda *_: torch.randn(SHAPE, generator=generator)
    for t in scheduler.timesteps:
        prediction = predict(scheduler.scale_model_input(latent, t), float(t))
        latent = scheduler.step(prediction, t, latent, **noise).prev_sample
    return scheduler.timesteps.numpy(), latent.numpy()


def denoise(scheduler, x, sigma, t):
    """The denoised latent of a latent `denoised + sigma · noise`, in f64."""
    scale = 1 / np.sqrt(sigma**2 + 1)
    prediction = predict(torch.from_numpy((x * scale).astype(np.float32)), t).numpy()
    prediction = prediction.astype(np.float64)
    if scheduler.config.prediction_type == "epsilon":
        return x - sigma * prediction
    return x * scale**2 - sigma * scale * prediction


def dpmpp_3m_sde(scheduler, latent, generator):
    """DPM-Solver++ (3M) SDE with eta 1, in latents of variance 1 at the start and the end."""
    sigmas = scheduler.sigmas.numpy().astype(np.float64)
    x = latent.numpy().astype(np.float64) * np.sqrt(sigmas[0] ** 2 + 1)
    denoised, lambdas = [], []
    for i, t in enumerate(scheduler.timesteps):
        denoised.insert(0, denoise(scheduler, x, sigmas[i], float(t)))
        lambdas.insert(0, -np.log(sigmas[i]))
        if sigmas[i + 1] == 0:
            x = denoised[0]
            continue
        h = -np.log(sigmas[i + 1]) - lambdas[0]
        x = np.exp(-2 * h) * x - np.expm1(-2 * h) * denoised[0]
        phi_2 = np.expm1(-2 * h) / (2 * h) + 1
        if i > 0:
            r0 = (lambdas[0] - lambdas[1]) / h
            slope = (denoised[0] - denoised[1]) / r0
            if i == 1:
                x = x + phi_2 * slope
            else:
                r1 = (lambdas[1] - lambdas[2]) / h
                before = (denoised[1] - denoised[2]) / r1
                bend = (slope - before) / (r0 + r1)
                x = x + phi_2 * (slope + r0 * bend) - (phi_2 / (2 * h) - 0.5) * bend
        noise = torch.randn(SHAPE, generator=generator).numpy()
        x = x + noise * sigmas[i + 1] * np.sqrt(-np.expm1(-2 * h))
    return scheduler.timesteps.numpy(), x / np.sqrt(sigmas[-1] ** 2 + 1)


def dpmpp_2s_ancestral(scheduler, latent, generator):
    """DPM-Solver++ (2S) ancestral with eta 1. `scheduler` has each step's sigma twice."""
    sigmas = scheduler.sigmas.numpy().astype(np.float64)
    sigmas = np.append(sigmas[:-1:2], 0.0) if len(sigmas) > 2 else sigmas
    whole = scheduler.timesteps.numpy()[::2]
    logs = np.log(trained_sigmas(scheduler))
    x = latent.numpy().astype(np.float64)
    timesteps = []
    for i, t in enumerate(whole):
        sigma, following = sigmas[i], sigmas[i + 1]
        timesteps.append(float(t))
        denoised = denoise(scheduler, x, sigma, float(t))
        if following == 0:
            x = denoised
            continue
        up = following * np.sqrt(1 - (following / sigma) ** 2)
        down = np.sqrt(following**2 - up**2)
        middle = np.sqrt(sigma * down)
        halfway = middle / sigma * x + (1 - middle / sigma) * denoised
        timesteps.append(float(scheduler._sigma_to_t(np.array(middle), logs)))
        denoised = denoise(scheduler, halfway, middle, timesteps[-1])
        x = down / sigma * x + (1 - down / sigma) * denoised
        x = x + up * torch.randn(SHAPE, generator=generator).numpy()
    return np.array(timesteps), x


def matrix():
    """Timesteps (for epsilon) and final latents, in the order of the lists in the JSON file."""
    values = []
    for sampler in TIMESTEPS | SAMPLED | TRAINED:
        schedules = ("normal",) if sampler in TIMESTEPS else SCHEDULES
        for schedule in schedules:
            for prediction in ("epsilon", "v_prediction"):
                for steps in STEPS:
                    config = STABLE_DIFFUSION | {"prediction_type": prediction}
                    timesteps, latent = run(sampler, schedule, config, steps, seed=len(values))
                    what = (sampler, schedule, prediction, steps)
                    assert np.isfinite(latent).all(), what
                    if prediction == "epsilon":
                        values.append(timesteps)
                    values.append(latent.ravel())
    return values


def files():
    """Final latents with each scheduler file; empty where diffusers refuses it."""
    values, refused = [], []
    for path in sorted((HERE / "schedulers").glob("*.json")):
        config = {k: v for k, v in json.loads(path.read_text()).items() if v is not None}
        for sampler in TIMESTEPS | SAMPLED | TRAINED:
            try:
                _, latent = run(sampler, None, config, FILE_STEPS, seed=len(values))
            except (ValueError, NotImplementedError) as error:
                refused.append([path.stem, sampler, str(error)[:80]])
                latent = np.zeros(0)
            if not np.isfinite(latent).all():
                refused.append([path.stem, sampler, "not finite"])
                latent = np.zeros(0)
            values.append(latent.ravel())
    return values, refused


def write():
    warnings.filterwarnings("ignore")
    diffusers.utils.logging.set_verbosity_error()
    by_matrix = matrix()
    by_file, refused = files()
    values = np.concatenate(by_matrix + by_file).astype(np.float32)
    save_file({"values": values}, HERE / "schedules.safetensors")
    text = {
        "timestep_samplers": list(TIMESTEPS),
        "samplers": list(TIMESTEPS | SAMPLED | TRAINED),
        "schedules": SCHEDULES,
        "predictions": ["epsilon", "v_prediction"],
        "steps": STEPS,
        "config": STABLE_DIFFUSION,
        "elements": int(np.prod(SHAPE)),
        "files": [path.stem for path in sorted((HERE / "schedulers").glob("*.json"))],
        "file_steps": FILE_STEPS,
        "refused": refused,
    }
    lines = ",\n".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in text.items())
    (HERE / "schedules.json").write_text("{" + lines + "}\n", newline="\n")
    print(len(by_matrix), "arrays of the matrix,", len(by_file), "with files,", len(refused), "refused")
    for line in refused:
        print(line)


if __name__ == "__main__":
    write()
