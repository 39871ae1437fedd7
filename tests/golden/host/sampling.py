"""sampling.json and sampling.safetensors: schedules and trajectories of diffusers' schedulers.

The model is a simple function of latent and timestep. The Rust tests (host_values) repeat it.
"""

import json
import warnings
from pathlib import Path

import diffusers
import numpy as np
import torch
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
SHAPE = (1, 4, 3, 4)
SAMPLERS = {
    "euler": ("EulerDiscreteScheduler", {}),
    "euler-a": ("EulerAncestralDiscreteScheduler", {}),
    "ddim": ("DDIMScheduler", {}),
    "pndm": ("PNDMScheduler", {}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": False}),
    "dpm++2m-karras": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
STABLE_DIFFUSION = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
MULTISTEP = ("dpm++2m", "dpm++2m-karras", "unipc")


def without(*keys, **more):
    return {key: value for key, value in STABLE_DIFFUSION.items() if key not in keys} | more


def plans():
    """Tuples of config name, config, samplers, numbers of steps."""
    for prediction in ("epsilon", "v_prediction"):
        for spacing in ("leading", "linspace", "trailing"):
            config = STABLE_DIFFUSION | {"prediction_type": prediction, "timestep_spacing": spacing}
            yield f"{prediction} {spacing}", config, SAMPLERS, (1, 2, 3, 5, 10, 14, 15, 20, 30, 50)
    yield "nothing said", {"_class_name": "DDIMScheduler"}, SAMPLERS, (4, 6, 20)
    yield "no spacing", STABLE_DIFFUSION, SAMPLERS, (20,)
    yield "many steps", STABLE_DIFFUSION, SAMPLERS, (100, 250)
    yield "offset 0, alpha one", without(steps_offset=0, set_alpha_to_one=True), SAMPLERS, (1, 20)
    yield (
        "linear betas",
        without(beta_schedule="linear", beta_start=0.0001, beta_end=0.02),
        SAMPLERS,
        (12,),
    )
    yield "cosine betas", without(beta_schedule="squaredcos_cap_v2"), SAMPLERS, (12, 20)
    yield (
        "listed betas",
        without(trained_betas=[0.001 + 0.002 * i for i in range(60)], num_train_timesteps=60),
        SAMPLERS,
        (5, 12),
    )
    yield (
        "500 timesteps",
        without(num_train_timesteps=500, timestep_spacing="trailing"),
        SAMPLERS,
        (7, 25),
    )
    yield "runge-kutta start", without(skip_prk_steps=False), ("pndm",), (4, 5, 10, 20)
    yield (
        "runge-kutta start v",
        without(skip_prk_steps=False, prediction_type="v_prediction", timestep_spacing="linspace"),
        ("pndm",),
        (10,),
    )
    yield (
        "zero snr",
        without(
            rescale_betas_zero_snr=True, prediction_type="v_prediction", timestep_spacing="trailing"
        ),
        SAMPLERS,
        (10, 20),
    )
    yield "zero snr, leading", without(rescale_betas_zero_snr=True), SAMPLERS, (10,)
    yield "clipped", without(clip_sample=True, clip_sample_range=0.8), ("ddim",), (10,)
    yield "clipped v", without("clip_sample", prediction_type="v_prediction"), ("ddim",), (10,)
    yield (
        "karras",
        without(use_karras_sigmas=True),
        ("euler", "euler-a", "dpm++2m", "unipc"),
        (1, 2, 10, 20),
    )
    yield (
        "karras cosine",
        without(use_karras_sigmas=True, beta_schedule="squaredcos_cap_v2"),
        ("euler", "dpm++2m-karras", "unipc"),
        (10,),
    )
    yield (
        "karras sigma_min",
        without(use_karras_sigmas=True, final_sigmas_type="sigma_min"),
        ("euler", "dpm++2m-karras", "unipc"),
        (10,),
    )
    yield (
        "sigma_min",
        without(final_sigmas_type="sigma_min"),
        ("euler",) + MULTISTEP,
        (10, 14, 15, 20),
    )
    # 1000 / 16 and 1000 / 48 put timesteps half-way between two integers.
    yield "halves", without(timestep_spacing="trailing"), SAMPLERS, (16, 48)
    yield (
        "no lower order at the end",
        without(final_sigmas_type="sigma_min", lower_order_final=False),
        MULTISTEP,
        (6, 20),
    )
    yield "no lower order before zero", without(lower_order_final=False), MULTISTEP[:2], (6, 20)
    yield (
        "euler at the end",
        without(final_sigmas_type="sigma_min", euler_at_final=True),
        MULTISTEP[:2],
        (10, 20),
    )
    yield "order 1", without(solver_order=1), MULTISTEP, (6, 20)
    yield "order 3", without(solver_order=3), MULTISTEP, (1, 2, 3, 6, 14, 15, 20)
    yield (
        "order 3 v",
        without(solver_order=3, prediction_type="v_prediction", final_sigmas_type="sigma_min"),
        ("dpm++2m", "unipc"),
        (20,),
    )
    yield "heun", without(solver_type="heun", algorithm_type="dpmsolver++"), MULTISTEP, (10,)
    yield "bh1", without(solver_type="bh1", final_sigmas_type="sigma_min"), MULTISTEP, (10, 20)
    yield (
        "bh1 order 3",
        without(solver_type="bh1", solver_order=3, final_sigmas_type="sigma_min"),
        ("unipc",),
        (10,),
    )


def predict(latent, timestep):
    """A smooth replacement for the U-Net: latent and neighbour, weighted by the timestep."""
    x = latent.numpy().astype(np.float64).ravel()
    y = np.roll(x, 1)
    w = timestep / 1000.0
    out = (w * x + 0.3 * (1.0 - w) * y) / (1.0 + 0.05 * x * x) + 0.1
    return torch.from_numpy(out.astype(np.float32)).reshape(latent.shape)


def run(sampler, config, steps, seed):
    class_name, override = SAMPLERS[sampler]
    scheduler = getattr(diffusers, class_name).from_config(config, **override)
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    generator = torch.Generator().manual_seed(seed)
    latent = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    noise = {"generator": generator} if sampler == "euler-a" else {}
    middle = None
    for call, t in enumerate(scheduler.timesteps):
        prediction = predict(scheduler.scale_model_input(latent, t), float(t))
        out = scheduler.step(prediction, t, latent, **noise)
        latent = out.prev_sample
        if call == len(scheduler.timesteps) // 2:
            middle = getattr(out, "pred_original_sample", None)
            if sampler in MULTISTEP:
                middle = scheduler.model_outputs[-1]
    timesteps = scheduler.timesteps.numpy().astype(np.float32)
    if hasattr(scheduler, "sigmas"):
        sigmas = scheduler.sigmas.numpy().astype(np.float32)
    else:
        alphas = scheduler.alphas_cumprod[scheduler.timesteps].numpy()
        sigmas = np.append(((1 - alphas) / alphas) ** 0.5, np.float32(0))
    return (
        timesteps,
        sigmas,
        float(scheduler.init_noise_sigma),
        latent.numpy().ravel(),
        None if middle is None else middle.numpy().ravel(),
    )


def write():
    warnings.filterwarnings("ignore")
    diffusers.utils.logging.set_verbosity_error()
    configs, cases, tensors = {}, [], {}
    for name, config, samplers, step_counts in plans():
        configs[name] = config
        for sampler in samplers:
            if sampler == "pndm" and not config.get("skip_prk_steps", False):
                step_counts = [steps for steps in step_counts if steps >= 4]
            for steps in step_counts:
                i = len(cases)
                timesteps, sigmas, init, latent, middle = run(sampler, config, steps, seed=i)
                assert np.isfinite(latent).all() and len(timesteps) >= steps, (name, sampler, steps)
                tensors |= {
                    f"{i}.timesteps": timesteps,
                    f"{i}.sigmas": sigmas,
                    f"{i}.latent": latent,
                }
                if middle is not None:
                    tensors[f"{i}.denoised"] = middle
                cases.append(
                    {"config": name, "sampler": sampler, "steps": steps, "init_noise_sigma": init}
                )
    # One tensor for all, split by the lengths in the JSON file: a header with all names would be
    # larger than the values.
    order = ("timesteps", "sigmas", "latent", "denoised")
    for i, case in enumerate(cases):
        case["lengths"] = [len(tensors.get(f"{i}.{part}", ())) for part in order]
    values = np.concatenate(
        [
            tensors[f"{i}.{part}"]
            for i in range(len(cases))
            for part in order
            if f"{i}.{part}" in tensors
        ]
    )
    save_file({"values": values.astype(np.float32)}, HERE / "sampling.safetensors")
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    text = (
        '{"configs":'
        + json.dumps(configs, separators=(",", ":")).replace('},"', '},\n"')
        + ',\n"cases":[\n'
        + lines
        + "\n]}\n"
    )
    (HERE / "sampling.json").write_text(text, newline="\n")
    print(len(cases), "sampler cases")
