"""Makes the tiny models and diffusers' values for them: `python generate.py [model …]`.

Versions are in ../requirements.txt.

For each model of layouts.py this writes `<name>/model/`, a complete diffusers folder with fp16
weights, and `<name>/expected.json` with `<name>/expected.safetensors`: values that
StableDiffusionPipeline computes from it in f32 on the CPU.

- `embeddings`: the text encoder's last hidden state for some prompts.
- `predictions`: one U-Net call each, for a latent, a timestep and two prompts (negative first).
- `decodes`: the VAE's picture of a latent (divided by the scaling factor, as the pipeline does).
- `cases`: whole generations; the final latent, and the 8-bit picture for some.

Values that could not show a mistake are refused: prompt and negative prompt must have an effect,
latents must stay finite, pictures must use their range, and the error of f32 itself must be far
below the tests' limits.
"""

import json
import os
import sys
import warnings

import diffusers
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

import build
from layouts import MODELS

torch.use_deterministic_algorithms(True)
torch.set_grad_enabled(False)
diffusers.logging.set_verbosity_error()
diffusers.logging.disable_progress_bar()
warnings.filterwarnings("ignore")

# A1111's names for diffusers' classes.
SAMPLERS = {
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler-a": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "ddim": (diffusers.DDIMScheduler, {}),
    "pndm": (diffusers.PNDMScheduler, {}),
    "dpm++2m": (diffusers.DPMSolverMultistepScheduler, {}),
    "dpm++2m-karras": (diffusers.DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}),
}

MAN, MUSTACHE, _, WOMAN, CAT, BLURRY = build.COLOURS
LONG = (
    "a very long and detailed painting of "
    + ", ".join(
        f"{colour} {thing}"
        for thing in ("house", "tree", "river", "chair", "cat")
        for colour in ("red", "blue", "green", "purple", "orange", "grey")
    )
    + ", end"
)
STRANGE = "Ünïcode 😀 of   a\tman's HAT!! <b>bold</b> 12345 漢字"

# Width and height in latent pixels. At a level of odd size upsampling must use the skip
# connection's size.
SIZES = [(8, 8), (11, 9), (9, 13), (12, 8), (8, 6), (10, 14), (7, 8)]


def cases_of(index, scale):
    """The cases of a model: every sampler twice, then edge cases.

    `scale`: pixels per latent pixel.
    """
    cases = []

    def add(sampler, prompt, negative, seed, steps, guidance, size=None, picture=False):
        width, height = (None, None) if size is None else (size[0] * scale, size[1] * scale)
        if size is not None:  # the pipeline accepts multiples of 8
            width, height = -(-width // 8) * 8, -(-height // 8) * 8
        cases.append(
            {
                "sampler": sampler,
                "prompt": prompt,
                "negative_prompt": negative,
                "seed": seed,
                "steps": steps,
                "guidance_scale": guidance,
                "width": width,
                "height": height,
                "picture": picture,
            }
        )

    for number, sampler in enumerate(SAMPLERS):
        turn = index + number
        add(
            sampler,
            MAN,
            MUSTACHE,
            100 + turn,
            6,
            7.5,
            SIZES[0] if turn % 2 else SIZES[1 + turn % 6],
            picture=turn % 7 == 0,
        )
        add(
            sampler,
            [WOMAN, CAT, MAN][turn % 3],
            "" if turn % 4 < 3 else BLURRY,
            2000 + turn,
            [4, 5, 7][turn % 3],
            [3.0, 7.5][turn % 2],
            SIZES[1 + (turn + 3) % 6],
            picture=turn % 7 == 1,
        )
    names = list(SAMPLERS)
    # The model's own scheduler and size.
    add(None, MAN, MUSTACHE, 0, 6, 7.5)
    # Guidance scale 1: one branch, no effect of the negative prompt.
    add(names[index % 7], CAT, BLURRY, 2**32 + 5 + index, 6, 1.0, SIZES[4])
    # Few steps: multistep samplers without history. Many: with all of it.
    add(names[(index + 4) % 7], MAN, BLURRY, 5 + index, 1, 7.5, SIZES[0])
    add(names[(index + 6) % 7], MAN, BLURRY, 6 + index, 2, 7.5, SIZES[0])
    add(names[(index + 5) % 7], WOMAN, MUSTACHE, 7 + index, 20, 7.5, SIZES[4], picture=True)
    # Text that is too long, and strange text; the largest seed.
    add(names[(index + 2) % 7], LONG, STRANGE, 2**64 - 1 - index, 4, 7.5, SIZES[1])
    return cases


def with_sampler(pipe, own, name):
    """Sets the sampler from the model's scheduler configuration, as users of diffusers do."""
    if name is None:
        pipe.scheduler = own.from_config(own.config)
    else:
        kind, more = SAMPLERS[name]
        pipe.scheduler = kind.from_config(own.config, **more)
    return pipe


def generate(pipe, own, case, dtype=torch.float32, **changes):
    """The final latent [1, 4, h, w]. The noise is drawn in f32 for every `dtype`."""
    case = case | changes
    generator = torch.Generator("cpu").manual_seed(case["seed"])
    with_sampler(pipe, own, case["sampler"])
    size = pipe.unet.config.sample_size * pipe.vae_scale_factor
    width, height = case["width"] or size, case["height"] or size
    noise = torch.randn(
        (1, 4, height // pipe.vae_scale_factor, width // pipe.vae_scale_factor), generator=generator
    )
    ancestral = diffusers.schedulers.scheduling_euler_ancestral_discrete
    ancestral.randn_tensor = lambda shape, dtype, device, generator: torch.randn(
        shape, generator=generator
    ).to(dtype)
    return pipe(
        case["prompt"],
        negative_prompt=case["negative_prompt"],
        width=width,
        height=height,
        num_inference_steps=case["steps"],
        guidance_scale=case["guidance_scale"],
        generator=generator,
        latents=noise.to(dtype),
        output_type="latent",
    ).images


def encode(pipe, prompt):
    ids = pipe.tokenizer(
        prompt,
        padding="max_length",
        max_length=pipe.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return pipe.text_encoder(ids)[0]


def decode(pipe, latent):
    """The picture as the pipeline makes it: u8 [h, w, 3]."""
    picture = pipe.vae.decode(latent / pipe.vae.config.scaling_factor).sample
    return (((picture / 2 + 0.5).clamp(0, 1))[0].permute(1, 2, 0) * 255).round().to(torch.uint8)


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def stages(pipe, tensors, seed):
    """Intermediate values, to locate a mismatch."""
    generator = torch.Generator("cpu").manual_seed(seed)
    expected = {"embeddings": [], "predictions": [], "decodes": []}
    for number, prompt in enumerate((MAN, "", LONG, STRANGE, CAT)):
        tensors[f"embedding.{number}"] = encode(pipe, prompt)[0]
        expected["embeddings"].append({"prompt": prompt, "tensor": f"embedding.{number}"})
    for number, (time, size, pair) in enumerate(
        (
            (801.0, (8, 8), (MUSTACHE, MAN)),
            (123.456, (9, 11), ("", CAT)),
            (0.0, (6, 8), (MAN, BLURRY)),
        )
    ):
        latent = torch.randn((1, 4, *size), generator=generator)
        prediction = pipe.unet(
            latent.expand(2, -1, -1, -1),
            torch.tensor(time),
            torch.cat([encode(pipe, text) for text in pair]),
        ).sample
        tensors[f"prediction.{number}.latent"], tensors[f"prediction.{number}"] = latent, prediction
        expected["predictions"].append(
            {
                "negative_prompt": pair[0],
                "prompt": pair[1],
                "timestep": time,
                "latent": f"prediction.{number}.latent",
                "tensor": f"prediction.{number}",
            }
        )
        spread, difference = float(prediction.std()), relative(prediction[0], prediction[1])
        print(f"  prediction at {time}: spread {spread:.2f}, prompts differ by {difference:.2f}")
        assert 0.3 < spread < 3 and difference > 0.03, (
            "the prediction is not of order 1 or ignores the prompt"
        )
    for number, size in enumerate(((5, 7), (8, 6))):
        latent = torch.randn((1, 4, *size), generator=generator)
        tensors[f"decode.{number}.latent"] = latent
        tensors[f"decode.{number}"] = pipe.vae.decode(
            latent / pipe.vae.config.scaling_factor
        ).sample
        expected["decodes"].append(
            {"latent": f"decode.{number}.latent", "tensor": f"decode.{number}"}
        )
    return expected


def check_case(case, latent, single, double, without):
    """Fails if the case could not show a mistake."""
    accuracy = relative(single, double)
    what = f"  {case['name']:32} spread {float(latent.std()):6.2f}  f32 against f64 {accuracy:.0e}"
    if without is not None:
        effect = relative(without, latent)
        what += f"  without the negative prompt {effect:.2f}"
        # A single step may be the schedule's last, where no prediction moves the latent.
        if case["guidance_scale"] == 1:
            assert effect == 0, "a negative prompt without guidance"
        elif case["steps"] > 1:
            assert effect > 0.05, "a negative prompt without effect"
    print(what)
    assert torch.isfinite(latent).all() and 0.05 < float(latent.std()) < 60, (
        "the latent left the plausible range"
    )
    assert accuracy < 1e-4, "f32 is too inexact here for a test at 1e-3"


def expect(index, name, layout):
    folder, explained = build.build(name, layout)
    print(f"{name}: the U-Net explains {explained:.0%} of its target")
    pipe = StableDiffusionPipeline.from_pretrained(
        folder, dtype=torch.float32, safety_checker=None, variant=layout.get("variant")
    )
    precise = StableDiffusionPipeline.from_pretrained(
        folder, dtype=torch.float64, safety_checker=None, variant=layout.get("variant")
    )
    for each in (pipe, precise):
        each.set_progress_bar_config(disable=True)
    own = pipe.scheduler
    tensors = {}
    expected = stages(pipe, tensors, 1000 + layout["seed"])
    expected["cases"] = []
    for number, case in enumerate(cases_of(index, pipe.vae_scale_factor)):
        case["name"] = f"{number:02d}-{case['sampler'] or 'own'}-{case['steps']}"
        latent = generate(pipe, own, case)
        double = generate(precise, own, case, torch.float64)
        without = generate(pipe, own, case, negative_prompt="") if case["negative_prompt"] else None
        check_case(case, latent, latent, double, without)
        case["latent"] = f"case.{case['name']}.latent"
        tensors[case["latent"]] = latent
        if case.pop("picture"):
            case["picture"] = f"case.{case['name']}.picture"
            picture = tensors[case["picture"]] = decode(pipe, latent)
            inside = float(((picture > 0) & (picture < 255)).float().mean())
            print(
                f"    picture: {tuple(picture.shape)}, spread {float(picture.float().std()):.0f} of 255, {inside:.0%} not clipped"
            )
            assert float(picture.float().std()) > 25 and inside > 0.5, (
                "the picture does not use its range"
            )
        expected["cases"].append(case)
    with open(os.path.join(build.HERE, name, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(expected, file, indent=1, ensure_ascii=False)
        file.write("\n")
    save_file(
        {key: value.contiguous() for key, value in tensors.items()},
        os.path.join(build.HERE, name, "expected.safetensors"),
    )


if __name__ == "__main__":
    for index, (name, layout) in enumerate(MODELS.items()):
        if not sys.argv[1:] or name in sys.argv[1:]:
            expect(index, name, layout)
