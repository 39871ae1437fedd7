"""Makes checkpoints of the original format, and diffusers' values for them: `python generate.py`.

Versions are in ../requirements.txt.

For each kind of model this writes `<kind>.json` and `<kind>.safetensors`:

- `tensors`: the tensors of a small checkpoint, with the names that original.py takes from the
  original code. Their values are not stored: they follow from the names (see `values`), so tests
  can write the file.
- `folder`: the same weights as a model folder, named and split by diffusers' own conversion: for
  each part, diffusers' name → the checkpoint's name and which third of its rows (null: all).
  `configs` are the folder's JSON files.
- `cases`: whole generations by StableDiffusionPipeline in f32 on the CPU; latents, and the 8-bit
  picture for some.
- `full`: names and shapes of the tensors of the published model of that kind.
"""

import hashlib
import json
import math
import os
import sys
import tempfile
import warnings

import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.loaders import single_file_utils as convert
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import original

torch.use_deterministic_algorithms(True)
torch.set_grad_enabled(False)
diffusers.logging.set_verbosity_error()
diffusers.logging.disable_progress_bar()
warnings.filterwarnings("ignore")

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB = os.path.join(HERE, "../../../www/vocab/clip")

V1 = {
    "num_res_blocks": 2,
    "attention_resolutions": [4, 2, 1],
    "channel_mult": [1, 2, 4, 4],
    "in_channels": 4,
    "out_channels": 4,
    "transformer_depth": 1,
}
V2 = V1 | {"num_head_channels": 64, "use_linear_in_transformer": True}
DDCONFIG = {
    "z_channels": 4,
    "in_channels": 3,
    "out_ch": 3,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
}
BETAS = {
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
TEXT = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_attention_heads": 2,
    "max_position_embeddings": 77,
    "vocab_size": 49408,
    "layer_norm_eps": 1e-5,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 1,
    "model_type": "clip_text_model",
}

# The small models differ from the published ones in width; SD1's also in the number of text layers.
KINDS = {
    "sd1": {
        "unet": V1 | {"model_channels": 32, "num_heads": 8, "context_dim": 128},
        "vae": DDCONFIG | {"ch": 32},
        "text": original.clip(width=128, layers=3),
        "text_config": TEXT
        | {"num_hidden_layers": 3, "hidden_act": "quick_gelu", "projection_dim": 768},
        "full": [
            original.unet(**V1, model_channels=320, context_dim=768),
            original.vae(**DDCONFIG, ch=128, embed_dim=4),
            original.clip(width=768, layers=12),
        ],
        "dtype": "F32",
        "schedulers": {"epsilon": {"_class_name": "PNDMScheduler", **BETAS}},
        # Further tensors in the published file.
        "more": {
            "alphas_cumprod": ["F32", [1000]],
            "model_ema.decay": ["F32", []],
            "cond_stage_model.transformer.text_model.embeddings.position_ids": ["I64", [1, 77]],
        },
    },
    "sd2": {
        "unet": V2 | {"model_channels": 64, "channel_mult": [1, 2, 3, 3], "context_dim": 128},
        "vae": DDCONFIG | {"ch": 32},
        "text": original.open_clip(width=128, layers=24),
        "text_config": TEXT
        | {"num_hidden_layers": 23, "hidden_act": "gelu", "projection_dim": 512},
        "full": [
            original.unet(**V2, model_channels=320, context_dim=1024),
            original.vae(**DDCONFIG, ch=128, embed_dim=4),
            original.open_clip(width=1024, layers=24),
        ],
        "dtype": "F16",
        "schedulers": {
            "epsilon": {"_class_name": "PNDMScheduler", **BETAS, "prediction_type": "epsilon"},
            "v_prediction": {
                "_class_name": "DDIMScheduler",
                **BETAS,
                "prediction_type": "v_prediction",
            },
        },
        "more": {"betas": ["F32", [1000]], "cond_stage_model.model.logit_scale": ["F16", []]},
    },
}

# Standard deviation of a weight, times the square root of its inputs, by a part of its name; see
# models/build.py.
GAINS = [
    ("diffusion_model.input_blocks.0.0.", 2.5),
    ("diffusion_model.out.2.", 1.5),
    ("attn2.to_v", 1.2),
    ("attn2.to_out", 1.4),
    ("attn2.to", 1.6),
    ("attn1.to_out", 0.8),
    ("attn1.to", 1.4),
    ("in_proj", 1.4),
    ("q_proj", 1.4),
    ("k_proj", 1.4),
    ("attn.out_proj", 0.9),
    ("c_proj", 0.9),
    ("fc2", 0.9),
    ("out_layers.3.", 0.8),
    ("ff.net.2.", 0.8),
    ("proj_out", 0.8),
    ("conv2", 0.8),
    ("decoder.conv_out", 0.7),
]


def spread(name, shape):
    """The centre of a tensor's values, and the exponent of two that they reach on both sides."""
    if (
        "norm" in name
        or "ln_" in name
        or ".in_layers.0." in name
        or ".out_layers.0." in name
        or ".out.0." in name
    ):
        return (1, -2) if name.endswith("weight") else (0, -3)
    if len(shape) < 2:
        return 0, -3
    if "token_embedding" in name:
        return 0, 1
    if "position" in name:
        return 0, 0
    gain = next((gain for part, gain in GAINS if part in name), 1.0)
    # Uniform values reach √3 times their standard deviation.
    return 0, round(math.log2(gain * math.sqrt(3 / math.prod(shape[1:]))))


def values(name, count, center, exponent):
    """`center + k·2^(exponent − 7)`, with k from −127 to 128 taken from a hash of name and index.

    f16 represents all of them exactly.
    """
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64  # FNV-1a
    # SplitMix64.
    state = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
        0x9E3779B97F4A7C15
    )
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    state ^= state >> np.uint64(31)
    k = (state >> np.uint64(56)).astype(np.float64) - 127
    return center + k * 2.0 ** (exponent - 7)


def digest(tensor):
    return hashlib.sha256(tensor.float().numpy().tobytes()).hexdigest()


def checkpoint_of(layout):
    shapes = (
        original.unet(**layout["unet"])
        | original.vae(**layout["vae"], embed_dim=4)
        | layout["text"]
    )
    listed = {name: [layout["dtype"], shape] for name, shape in shapes.items()} | layout["more"]
    types = {"F16": torch.float16, "F32": torch.float32, "I64": torch.int64}
    entries, tensors = [], {}
    for name, (dtype, shape) in sorted(listed.items()):
        center, exponent = (0, 7) if dtype == "I64" else spread(name, shape)
        entries.append([name, dtype, shape, center, exponent])
        tensor = torch.from_numpy(values(name, math.prod(shape), center, exponent)).reshape(shape)
        tensors[name] = tensor.to(types[dtype])
        assert torch.equal(tensors[name].double(), tensor), f"{name} cannot hold its values"
    return entries, tensors


def original_config(layout):
    return {
        "model": {
            "params": {
                "linear_start": 0.00085,
                "linear_end": 0.012,
                "timesteps": 1000,
                "scale_factor": 0.18215,
                "unet_config": {"params": layout["unet"]},
                "first_stage_config": {"params": {"embed_dim": 4, "ddconfig": layout["vae"]}},
            }
        }
    }


def converted(layout, checkpoint):
    """The three networks, converted by diffusers, with their configurations."""
    config = original_config(layout)
    unet_config = convert.create_unet_diffusers_config_from_ldm(config, checkpoint, image_size=512)
    vae_config = convert.create_vae_diffusers_config_from_ldm(config, checkpoint, image_size=512)
    # `from_single_file` adds these from its copy of the published model's configuration.
    unet_config |= {"_class_name": "UNet2DConditionModel", "sample_size": 64}
    vae_config |= {"_class_name": "AutoencoderKL"}
    text_model = CLIPTextModel(
        CLIPTextConfig(**{k: v for k, v in layout["text_config"].items() if k != "model_type"})
    )
    if convert.is_clip_model(checkpoint):
        text = convert.convert_ldm_clip_checkpoint(checkpoint)
    else:
        text = convert.convert_open_clip_checkpoint(text_model, checkpoint)
    names = set(text_model.state_dict())
    text = {name.removeprefix("text_model."): tensor for name, tensor in text.items()}
    text = {name: tensor for name, tensor in text.items() if name in names}
    return {
        "unet": (unet_config, convert.convert_ldm_unet_checkpoint(dict(checkpoint), unet_config)),
        "vae": (vae_config, convert.convert_ldm_vae_checkpoint(dict(checkpoint), vae_config)),
        "text_encoder": (layout["text_config"], text),
    }


def origins(checkpoint, converted_tensors):
    """The origin of each converted tensor in the checkpoint, found by its values."""
    known = {digest(tensor): [name, None] for name, tensor in checkpoint.items()}
    for name, tensor in checkpoint.items():
        if "in_proj" in name:
            known |= {digest(third): [name, i] for i, third in enumerate(tensor.chunk(3))}
    return {name: known[digest(tensor)] for name, tensor in sorted(converted_tensors.items())}


def pipeline(parts, scheduler, special, dtype):
    unet = diffusers.UNet2DConditionModel.from_config(parts["unet"][0]).to(dtype)
    vae = diffusers.AutoencoderKL.from_config(parts["vae"][0]).to(dtype)
    text = CLIPTextModel(
        CLIPTextConfig(**{k: v for k, v in parts["text_encoder"][0].items() if k != "model_type"})
    ).to(dtype)
    for network, part in ((unet, "unet"), (vae, "vae"), (text, "text_encoder")):
        network.load_state_dict({name: tensor.to(dtype) for name, tensor in parts[part][1].items()})
        network.eval()
    tokenizer = CLIPTokenizer(
        os.path.join(VOCAB, "vocab.json"),
        os.path.join(VOCAB, "merges.txt"),
        model_max_length=77,
        **special,
    )
    scheduler = getattr(diffusers, scheduler["_class_name"]).from_config(scheduler)
    pipe = StableDiffusionPipeline(
        vae, text, tokenizer, unet, scheduler, None, None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def generate(pipe, case, **changes):
    case = case | changes
    generator = torch.Generator("cpu").manual_seed(case["seed"])
    noise = torch.randn((1, 4, case["height"] // 8, case["width"] // 8), generator=generator).to(
        pipe.unet.dtype
    )
    return pipe(
        case["prompt"],
        negative_prompt=case["negative_prompt"],
        width=case["width"],
        height=case["height"],
        latents=noise,
        num_inference_steps=case["steps"],
        guidance_scale=case["guidance_scale"],
        output_type="latent",
    ).images


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


CASES = [
    {
        "prompt": "Portrait photo of a man",
        "negative_prompt": "mustache",
        "seed": 1,
        "steps": 5,
        "guidance_scale": 7.5,
        "width": 64,
        "height": 64,
    },
    {
        "prompt": "a café at night, ISO 800! 😀",
        "negative_prompt": "",
        "seed": 2,
        "steps": 4,
        "guidance_scale": 3.0,
        "width": 128,
        "height": 96,
    },
]


def expect(kind, layout):
    entries, checkpoint = checkpoint_of(layout)
    parts = converted(layout, checkpoint)
    used = {
        name
        for part, (_, tensors) in parts.items()
        for name, _ in origins(checkpoint, tensors).values()
    }
    left = sorted(set(checkpoint) - used - set(layout["more"]))
    print(
        f"{kind}: {len(checkpoint)} tensors, {sum(t.numel() for t in checkpoint.values()):,} elements; not in the folder: {len(left)}"
    )
    assert all("resblocks.23." in name or "text_projection" in name for name in left), left
    special = {"pad_token": "!"} if kind == "sd2" else {}
    tensors, cases = {}, []
    for prediction, scheduler in layout["schedulers"].items():
        pipe, precise = (
            pipeline(parts, scheduler, special, dtype) for dtype in (torch.float32, torch.float64)
        )
        for number, case in enumerate(CASES):
            name = f"{prediction}.{number}"
            latent, double = generate(pipe, case), generate(precise, case)
            other = generate(pipe, case, negative_prompt="blurry")
            picture = pipe.vae.decode(latent / 0.18215).sample
            picture = (
                (((picture / 2 + 0.5).clamp(0, 1))[0].permute(1, 2, 0) * 255)
                .round()
                .to(torch.uint8)
            )
            inside = float(((picture > 0) & (picture < 255)).float().mean())
            print(
                f"  {name}: spread {float(latent.std()):.2f}, f32 against f64 {relative(latent, double):.0e}, another negative prompt "
                f"{relative(other, latent):.2f}, picture spread {float(picture.float().std()):.0f}, {inside:.0%} not clipped"
            )
            assert torch.isfinite(latent).all() and 0.05 < float(latent.std()) < 60, (
                "the latent left the plausible range"
            )
            assert relative(latent, double) < 1e-4 and relative(other, latent) > 0.02
            assert float(picture.float().std()) > 25 and inside > 0.5, (
                "the picture does not use its range"
            )
            tensors[f"{name}.latent"], tensors[f"{name}.picture"] = latent, picture
            cases.append(
                case
                | {
                    "prediction": prediction,
                    "latent": f"{name}.latent",
                    "picture": f"{name}.picture",
                }
            )
    from_file(kind, layout, parts, checkpoint, cases[0], tensors)
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        os.path.join(HERE, f"{kind}.safetensors"),
    )
    lines = {
        "configs": {part: config for part, (config, _) in parts.items()},
        "schedulers": layout["schedulers"],
        "special_tokens": special,
        "cases": cases,
        "folder": {part: origins(checkpoint, tensors) for part, (_, tensors) in parts.items()},
        "tensors": entries,
        "full": [[name, shape] for part in layout["full"] for name, shape in part.items()],
    }
    with open(os.path.join(HERE, f"{kind}.json"), "w", encoding="utf-8") as file:
        write_lines(file, lines)


def from_file(kind, layout, parts, checkpoint, case, tensors):
    """Checks that `from_single_file` with a folder of JSON files gives the same latent."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "checkpoint.safetensors")
        save_file(checkpoint, path)
        pipe = pipeline(
            parts,
            layout["schedulers"][case["prediction"]],
            {"pad_token": "!"} if kind == "sd2" else {},
            torch.float32,
        )
        pipe.save_pretrained(os.path.join(folder, "folder"))
        for part, (_, weights) in parts.items():
            stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
            os.remove(os.path.join(folder, "folder", part, f"{stem}.safetensors"))
        loaded = StableDiffusionPipeline.from_single_file(
            path,
            config=os.path.join(folder, "folder"),
            local_files_only=True,
            torch_dtype=torch.float32,
        )
        loaded.set_progress_bar_config(disable=True)
        same = torch.equal(generate(loaded, case), tensors[case["latent"]])
        print(f"  from_single_file gives the same latent: {same}")
        assert same


def write_lines(file, value):
    """Writes JSON with one tensor per line, for readable diffs."""
    compact = lambda value: json.dumps(value, ensure_ascii=False)
    file.write("{\n")
    for i, (key, entry) in enumerate(value.items()):
        file.write(f"{compact(key)}: ")
        if key in ("tensors", "full", "cases"):
            file.write("[\n" + ",\n".join(map(compact, entry)) + "\n]")
        elif key == "folder":
            parts = [
                f"{compact(part)}: {{\n"
                + ",\n".join(f"{compact(k)}: {compact(v)}" for k, v in names.items())
                + "\n}"
                for part, names in entry.items()
            ]
            file.write("{\n" + ",\n".join(parts) + "\n}")
        else:
            file.write(json.dumps(entry, indent=1, ensure_ascii=False))
        file.write(",\n" if i + 1 < len(value) else "\n")
    file.write("}\n")


if __name__ == "__main__":
    for kind, layout in KINDS.items():
        if not sys.argv[1:] or kind in sys.argv[1:]:
            expect(kind, layout)
