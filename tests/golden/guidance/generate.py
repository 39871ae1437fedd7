"""expected.json and expected.safetensors: whole generations with every kind of guidance.

The models are those of ../models; its generate.py runs first. The loop is that of
StableDiffusionPipeline in f32 on the CPU, with diffusers' guiders in place of its own guidance.
Perp-Neg, dynamic thresholding, and windows and strength of the negative prompt are not in
diffusers: they are written here after the papers' formulas.
"""

import json
import logging
import sys
import warnings
from pathlib import Path

import diffusers
import torch
from diffusers import StableDiffusionPipeline
from diffusers.guiders import (
    AdaptiveProjectedGuidance,
    ClassifierFreeGuidance,
    ClassifierFreeZeroStarGuidance,
    TangentialClassifierFreeGuidance,
)
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "host"))
import schedules  # noqa: E402

WIDTH, HEIGHT, STEPS = 64, 48, 6
SCALE = 4.0
PROMPT, NEGATIVE = "Portrait photo of a man", "mustache"
APG = {"eta": 0.25, "momentum": -0.5, "norm_threshold": 3.0}

# A name, what the request has beside prompts and seed, and the samplers.
CASES = [
    ("window", {"guidance_window": [0.2, 0.7]}, ["euler", "ddim"]),
    ("rescale", {"guidance_kind": "rescale", "guidance_options": {"phi": 0.7}}, ["euler", "heun"]),
    (
        "cfg-zero",
        {"guidance_kind": "cfg-zero", "guidance_options": {"rescale": 0.3}},
        ["ddim", "dpm++2m"],
    ),
    (
        "cfg-zero-start",
        {"guidance_kind": "cfg-zero", "guidance_options": {"zero_steps": 1}},
        ["euler"],
    ),
    ("apg", {"guidance_kind": "apg", "guidance_options": APG}, ["euler", "pndm", "euler-a"]),
    (
        "apg-window",
        {
            "guidance_kind": "apg",
            "guidance_options": {**APG, "norm_threshold": 0, "rescale": 0.5},
            "guidance_window": [0.3, 1],
        },
        ["dpm++2m"],
    ),
    ("tangential", {"guidance_kind": "tangential"}, ["euler", "unipc"]),
    ("perp-neg", {"guidance_kind": "perp-neg"}, ["euler", "dpm++2m"]),
    (
        "perp-neg-weight",
        {"guidance_kind": "perp-neg", "guidance_options": {"weight": 2.5, "rescale": 0.4}},
        ["ddim"],
    ),
    (
        "dynamic-thresholding",
        {
            "guidance_kind": "dynamic-thresholding",
            "guidance_options": {"mimic_scale": 2, "percentile": 0.9},
        },
        ["euler", "ddim", "dpm++2m"],
    ),
    ("strength", {"negative_strength": 0.5}, ["euler"]),
    ("strength-beyond", {"negative_strength": 2}, ["ddim"]),
    ("negative-window", {"negative_window": [0.2, 0.7]}, ["euler", "heun"]),
    (
        "negative-window-none",
        {"negative_window": [0.2, 0.7], "negative_outside": "none"},
        ["dpm++2m"],
    ),
    ("linear", {"guidance_schedule": "linear"}, ["euler"]),
    ("cosine", {"guidance_schedule": "cosine"}, ["ddim"]),
    ("min-sigma", {"guidance_min_sigma": 1.5}, ["euler"]),
]


def guider_of(request):
    """diffusers' guider for a request; None where there is none."""
    options = dict(request.get("guidance_options", {}))
    start, stop = request.get("guidance_window", [0.0, 1.0])
    common = {
        "guidance_scale": SCALE,
        "guidance_rescale": options.pop("rescale", 0.0),
        "start": start,
        "stop": stop,
    }
    match request.get("guidance_kind", "plain"):
        case "plain":
            return ClassifierFreeGuidance(**common)
        case "rescale":
            return ClassifierFreeGuidance(**{**common, "guidance_rescale": options["phi"]})
        case "cfg-zero":
            zero = options.get("zero_steps", 0)
            return ClassifierFreeZeroStarGuidance(**common, zero_init_steps=zero)
        case "apg":
            return AdaptiveProjectedGuidance(
                **common,
                eta=options["eta"],
                adaptive_projected_guidance_momentum=options["momentum"],
                adaptive_projected_guidance_rescale=float(options["norm_threshold"]),
            )
        case "tangential":
            return TangentialClassifierFreeGuidance(**common)
    return None


def rescaled(guided, positive, phi):
    return phi * guided * (positive.std() / guided.std()) + (1 - phi) * guided


def perp_neg(positive, negative, empty, options):
    """arXiv 2304.04968."""
    main, away = positive - empty, negative - empty
    perpendicular = away - (away * main).sum() / (main * main).sum() * main
    guided = empty + SCALE * (main - options.get("weight", 1.0) * perpendicular)
    return rescaled(guided, positive, options.get("rescale", 0.0))


def dynamic_thresholding(positive, negative, options, denoised):
    """The denoised latents of two scales, centred by channel; see the extension's readme."""
    constant = denoised(torch.zeros_like(positive))
    slope = denoised(torch.ones_like(positive)) - constant
    main, mimicked = (
        constant + slope * (negative + scale * (positive - negative))
        for scale in (SCALE, options["mimic_scale"])
    )
    mean = main.mean((2, 3), keepdim=True)
    centred = main - mean
    range_ = (mimicked - mimicked.mean((2, 3), keepdim=True)).abs().amax((2, 3), keepdim=True)
    quantile = torch.quantile(centred.abs().flatten(2), options["percentile"], dim=2)
    largest = torch.maximum(range_, quantile[..., None, None])
    limited = mean + centred.clamp(-largest, largest) / largest * range_
    return (limited - constant) / slope


def denoised_of(scheduler, sampler, latent, t, sigma):
    """The map from predictions to denoised latents."""
    is_v = scheduler.config.prediction_type == "v_prediction"

    def denoised(prediction):
        if sampler == "dpm++2m":
            if scheduler.step_index is None:
                scheduler._init_step_index(t)
            return scheduler.convert_model_output(prediction, sample=latent)
        if sampler == "ddim":
            alpha = scheduler.alphas_cumprod[int(t)]
            if is_v:
                return alpha.sqrt() * latent - (1 - alpha).sqrt() * prediction
            return (latent - (1 - alpha).sqrt() * prediction) / alpha.sqrt()
        if is_v:
            return latent / (sigma**2 + 1) - prediction * sigma / (sigma**2 + 1) ** 0.5
        return latent - sigma * prediction

    return denoised


def encode(pipe, text):
    ids = pipe.tokenizer(
        text, padding="max_length", max_length=pipe.tokenizer.model_max_length, return_tensors="pt"
    ).input_ids
    return pipe.text_encoder(ids)[0]


def scale_at(request, step):
    done = (step + 0.5) / STEPS
    match request.get("guidance_schedule"):
        case "linear":
            return 1 + (SCALE - 1) * 2 * done
        case "cosine":
            return 1 + (SCALE - 1) * (1 - torch.cos(torch.tensor(torch.pi * done)).item())
    return SCALE


def generate(pipe, own, sampler, request, seed):
    scheduler = schedules.make(sampler, None, own, STEPS)
    scheduler.set_timesteps(STEPS)
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (1, 4, HEIGHT // pipe.vae_scale_factor, WIDTH // pipe.vae_scale_factor)
    latent = torch.randn(shape, generator=generator) * scheduler.init_noise_sigma
    positive, negative, empty = (encode(pipe, text) for text in (PROMPT, NEGATIVE, ""))
    negative = torch.lerp(empty, negative, request.get("negative_strength", 1.0))
    guider = guider_of(request)
    first, last = request.get("negative_window", [0.0, 1.0])
    options = request.get("guidance_options", {})
    for call, t in enumerate(scheduler.timesteps):
        # Samplers may make more calls than there are steps.
        step = min(call // 2 if sampler == "heun" else call, STEPS - 1)
        text = scheduler.scale_model_input(latent, t)

        def predict(prompt):
            return pipe.unet(text, t, prompt).sample

        inside = int(first * STEPS) <= step < int(last * STEPS)
        alpha = scheduler.alphas_cumprod[int(t)]
        sigma = ((1 - alpha) / alpha).sqrt()
        if hasattr(scheduler, "sigmas") and sampler in ("euler", "heun", "euler-a"):
            sigma = scheduler.sigmas[call]
        p = predict(positive)
        kind = request.get("guidance_kind", "plain")
        if kind == "perp-neg":
            prediction = perp_neg(p, predict(negative), predict(empty), options)
        elif kind == "dynamic-thresholding":
            denoised = denoised_of(scheduler, sampler, latent, t, sigma)
            prediction = dynamic_thresholding(p, predict(negative), options, denoised)
        elif sigma < request.get("guidance_min_sigma", 0.0):
            prediction = p
        elif not inside and request.get("negative_outside") == "none":
            prediction = p
        else:
            guider.guidance_scale = scale_at(request, step)
            guider.set_state(step=step, num_inference_steps=STEPS, timestep=t)
            if call == 0 and isinstance(guider, AdaptiveProjectedGuidance):
                guider.momentum_buffer = MomentumBuffer(APG["momentum"])
            prediction = guider.forward(p, predict(negative if inside else empty)).pred
        more = {"generator": generator} if sampler == "euler-a" else {}
        latent = scheduler.step(prediction, t, latent, **more).prev_sample
    return latent


def write():
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    torch.set_grad_enabled(False)
    cases, tensors = [], {}
    for model in ("sd1-pndm", "sd2-v"):
        pipe = StableDiffusionPipeline.from_pretrained(
            HERE.parent / "models" / model / "model", dtype=torch.float32, safety_checker=None
        )
        own = pipe.scheduler.config
        plain = {}
        for name, request, samplers in CASES:
            # The other model predicts v; one sampler shows that.
            for sampler in samplers if model == "sd1-pndm" else samplers[:1]:
                seed = 7
                latent = generate(pipe, own, sampler, request, seed)
                if sampler not in plain:
                    plain[sampler] = generate(pipe, own, sampler, {}, seed)
                effect = float((latent - plain[sampler]).norm() / plain[sampler].norm())
                print(f"{model} {name} {sampler}: spread {float(latent.std()):.2f}, {effect:.0e}")
                assert torch.isfinite(latent).all() and 0.05 < float(latent.std()) < 60
                assert effect > 3e-3, "guidance like plain guidance"
                key = f"{model}.{name}.{sampler}"
                tensors[key] = latent.contiguous()
                case = {"name": key, "model": model, "sampler": sampler, "seed": seed}
                cases.append({**case, "request": request})
    save_file(tensors, HERE / "expected.safetensors")
    settings = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "steps": STEPS,
        "guidance_scale": SCALE,
        "width": WIDTH,
        "height": HEIGHT,
    }
    text = {"settings": settings, "cases": cases}
    (HERE / "expected.json").write_text(json.dumps(text, indent=1) + "\n", newline="\n")
    print(len(cases), "generations")


if __name__ == "__main__":
    write()
