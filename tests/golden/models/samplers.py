"""samplers.json and samplers.safetensors: whole generations with further samplers.

Run by `python samplers.py` after generate.py. StableDiffusionPipeline makes them in f32 on the CPU
from the folders `<name>/model`, with the schedulers of ../host/schedules.py.
"""

import json
import sys
import warnings
from pathlib import Path

import diffusers
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "host"))
import schedules  # noqa: E402

CASES = [
    ("heun", "normal"),
    ("dpm2", "exponential"),
    ("dpm2-a", "karras"),
    ("lms", "beta"),
    ("ddpm", None),
    ("dpm++2m-sde", "karras"),
    ("dpm++sde", "normal"),
    ("dpm++2s", "karras"),
    ("deis", "normal"),
    ("lcm", None),
    ("tcd", None),
]
WIDTH, HEIGHT, STEPS = 64, 48, 5
PROMPT, NEGATIVE = "Portrait photo of a man", "mustache"


def generate(pipe, own, sampler, schedule, seed):
    pipe.scheduler = schedules.make(sampler, schedule, own, STEPS)
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (1, 4, HEIGHT // pipe.vae_scale_factor, WIDTH // pipe.vae_scale_factor)
    noise = torch.randn(shape, generator=generator)
    if sampler == "dpm++sde":
        draw = property(
            lambda _: lambda *_: torch.randn(shape, generator=generator), lambda *_: None
        )
        pipe.scheduler.__class__ = type("Independent", (type(pipe.scheduler),), {"noise_sampler": draw})
    return pipe(
        PROMPT,
        negative_prompt=NEGATIVE,
        width=WIDTH,
        height=HEIGHT,
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        generator=generator,
        latents=noise,
        output_type="latent",
    ).images


def write():
    warnings.filterwarnings("ignore")
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    torch.set_grad_enabled(False)
    cases, tensors = [], {}
    for model in ("sd1-pndm", "sd2-v"):
        pipe = StableDiffusionPipeline.from_pretrained(
            HERE / model / "model", torch_dtype=torch.float32, safety_checker=None
        )
        pipe.set_progress_bar_config(disable=True)
        own = pipe.scheduler.config
        for seed, (sampler, schedule) in enumerate(CASES):
            latent = generate(pipe, own, sampler, schedule, seed)
            assert torch.isfinite(latent).all(), (model, sampler)
            name = f"{model}.{sampler}"
            tensors[name] = latent.contiguous()
            cases.append({"model": model, "sampler": sampler, "schedule": schedule, "seed": seed})
    save_file(tensors, HERE / "samplers.safetensors")
    settings = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "steps": STEPS,
        "guidance_scale": 5.0,
        "width": WIDTH,
        "height": HEIGHT,
    }
    text = {"settings": settings, "cases": cases}
    (HERE / "samplers.json").write_text(json.dumps(text, indent=1) + "\n", newline="\n")
    print(len(cases), "generations")


if __name__ == "__main__":
    write()
