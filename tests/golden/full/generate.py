"""Makes models of full size with random weights, and diffusers' values for them.

`python generate.py FOLDER [model …]`, with the versions in ../requirements.txt.
`cargo xtask test --full` runs it. The files, gigabytes each, go into the build cache, not into the
repository.

For each model of layouts.py this writes into `FOLDER/<name>`:

- `model/`: a folder in diffusers' layout, fp16 weights.
- `checkpoint.safetensors`, for some: the same weights as a single file in the original naming.
- `expected.json` and `expected.safetensors`: values that diffusers and transformers compute from
  the folder in f32 on the CPU. `embeddings`: the text encoder's last hidden state. `predictions`:
  the U-Net's two predictions of one guided step, negative prompt first. `decodes`: the VAE's
  picture of a latent, not divided by the scaling factor. `tiled`: the same in tiles.

The weights are drawn under the original names and converted by diffusers' own functions for single
files, so folder and file hold the same values. Every value follows from its tensor's name and the
model's seed.
"""

import gc
import json
import math
import os
import shutil
import sys
import time
import warnings
import zlib

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as convert
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from layouts import LDM_VAE, MODELS

HERE = os.path.dirname(os.path.abspath(__file__))
VOCAB = os.path.join(HERE, "../../../www/vocab/clip")
sys.path.insert(0, os.path.join(HERE, "../single_file"))
import original  # noqa: E402

torch.set_grad_enabled(False)
torch.set_num_threads(min(2, os.cpu_count()))
diffusers.logging.set_verbosity_error()
diffusers.logging.disable_progress_bar()
warnings.filterwarnings("ignore")

PROMPTS = ["", "Portrait photo of a man"]
TIMESTEP = 601

# Standard deviation of a weight, times the square root of its inputs, by a part of its name.
# Attention is peaked and the last convolutions are large: values of plain initialization would be
# too uniform to show a mistake.
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
NORMS = ("norm", "ln_", ".in_layers.0.", ".out_layers.0.", ".out.0.")


def draw(name, shape, seed):
    """The values of the tensor `name`, fp16."""
    generator = torch.Generator("cpu").manual_seed(seed << 32 | zlib.crc32(name.encode()))
    noise = torch.randn(shape, generator=generator)
    if any(part in name for part in NORMS):
        return (1 + 0.2 * noise if name.endswith("weight") else 0.1 * noise).half()
    if len(shape) < 2:
        return (0.1 * noise).half()
    if "embedding" in name:
        return ((0.4 if "position" in name else 1.0) * noise).half()
    gain = next((gain for part, gain in GAINS if part in name), 1.0)
    return noise.mul_(gain / math.sqrt(math.prod(shape[1:]))).half()


def draw_checkpoint(layout):
    text = layout["text"]
    sd1 = text["hidden_act"] == "quick_gelu"
    # The original file of an SD2 model has the last layer, too.
    tower = (
        original.clip(width=768, layers=12) if sd1 else original.open_clip(width=1024, layers=24)
    )
    shapes = original.unet(**layout["ldm_unet"]) | original.vae(**LDM_VAE, embed_dim=4) | tower
    return {name: draw(name, shape, layout["seed"]) for name, shape in shapes.items()}


def convert_checkpoint(layout, checkpoint):
    """The three networks' tensors under diffusers' names.

    Fails if diffusers' conversion and the published configuration disagree.
    """
    config = {
        "model": {
            "params": {
                "linear_start": 0.00085,
                "linear_end": 0.012,
                "timesteps": 1000,
                "scale_factor": 0.18215,
                "unet_config": {"params": layout["ldm_unet"]},
                "first_stage_config": {"params": {"embed_dim": 4, "ddconfig": LDM_VAE}},
            }
        }
    }
    unet_config = convert.create_unet_diffusers_config_from_ldm(config, checkpoint, image_size=512)
    vae_config = convert.create_vae_diffusers_config_from_ldm(config, checkpoint, image_size=512)
    for ours, theirs in ((layout["unet"], unet_config), (layout["vae"], vae_config)):
        for key in set(ours) & set(theirs) - {"sample_size"}:
            same = ours[key] == theirs[key] or list(ours[key]) == list(theirs[key])
            assert same, (
                f"{key}: {ours[key]} is published, {theirs[key]} follows from the original parameters"
            )
    model = CLIPTextModel(
        CLIPTextConfig(
            **{k: v for k, v in layout["text"].items() if k not in ("model_type", "torch_dtype")}
        )
    )
    to_clip = (
        convert.convert_ldm_clip_checkpoint
        if convert.is_clip_model(checkpoint)
        else (lambda tensors: convert.convert_open_clip_checkpoint(model, tensors))
    )
    names = {name.removeprefix("text_model.") for name in model.state_dict()}
    texts = {
        name.removeprefix("text_model."): tensor
        for name, tensor in to_clip(dict(checkpoint)).items()
    }
    return {
        "text_encoder": {
            f"text_model.{name}": tensor for name, tensor in texts.items() if name in names
        },
        "unet": convert.convert_ldm_unet_checkpoint(dict(checkpoint), unet_config),
        "vae": convert.convert_ldm_vae_checkpoint(dict(checkpoint), vae_config),
    }


def write_json(folder, name, value):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2, ensure_ascii=False)
        file.write("\n")


def write_model(folder, layout):
    model = os.path.join(folder, "model")
    shutil.rmtree(folder, ignore_errors=True)
    write_json(
        model,
        "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.6.0",
            "feature_extractor": [None, None],
            "requires_safety_checker": False,
            "safety_checker": [None, None],
            "scheduler": ["diffusers", layout["scheduler"]["_class_name"]],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    write_json(os.path.join(model, "scheduler"), "scheduler_config.json", layout["scheduler"])
    for part, key in (("unet", "unet"), ("vae", "vae"), ("text_encoder", "text")):
        write_json(os.path.join(model, part), "config.json", layout[key])
    token = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    start, end = {"content": "<|startoftext|>", **token}, {"content": "<|endoftext|>", **token}
    tokenizer = os.path.join(model, "tokenizer")
    write_json(
        tokenizer,
        "special_tokens_map.json",
        {"bos_token": start, "eos_token": end, "pad_token": layout["pad"], "unk_token": end},
    )
    write_json(
        tokenizer,
        "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "bos_token": {"__type": "AddedToken", **start},
            "do_lower_case": True,
            "eos_token": {"__type": "AddedToken", **end},
            "errors": "replace",
            "model_max_length": 77,
            "pad_token": "<|endoftext|>",
            "tokenizer_class": "CLIPTokenizer",
            "unk_token": {"__type": "AddedToken", **end},
        },
    )
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(os.path.join(VOCAB, name), os.path.join(tokenizer, name))

    checkpoint = draw_checkpoint(layout)
    counts = {}
    for part, tensors in convert_checkpoint(layout, checkpoint).items():
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        # Rows of one checkpoint tensor are several tensors here, and each gets its own memory.
        tensors = {
            name: tensor.clone()
            if tensor.storage_offset() or not tensor.is_contiguous()
            else tensor
            for name, tensor in tensors.items()
        }
        tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(tensors, os.path.join(model, part, f"{stem}.safetensors"), {"format": "pt"})
        counts[part] = len(tensors)
    if layout["checkpoint"]:
        save_file(checkpoint, os.path.join(folder, "checkpoint.safetensors"))
    return model, counts


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


class Clock:
    """Prints the shape, spread and computing time of each value."""

    def __init__(self):
        self.since = time.monotonic()

    def say(self, what, value):
        now = time.monotonic()
        print(
            f"  {what}: {tuple(value.shape)}, spread {float(value.std()):.3f}, largest {float(value.abs().max()):.1f}, "
            f"{now - self.since:.1f} s",
            flush=True,
        )
        self.since = now
        assert torch.isfinite(value).all(), f"{what} is not finite"


def expect(folder, layout):
    """Computes all expected values, one network in memory at a time."""
    tensors, clock = {}, Clock()
    expected = {
        "prompts": PROMPTS,
        "embeddings": "embeddings",
        "predictions": [],
        "decodes": [],
        "tiled": [],
    }
    generator = torch.Generator("cpu").manual_seed(1000 + layout["seed"])
    model, counts = write_model(folder, layout)
    gc.collect()
    clock.since = time.monotonic()
    load = {"torch_dtype": torch.float32, "local_files_only": True, "low_cpu_mem_usage": False}

    tokenizer = CLIPTokenizer.from_pretrained(os.path.join(model, "tokenizer"))
    text = CLIPTextModel.from_pretrained(
        os.path.join(model, "text_encoder"), dtype=torch.float32, local_files_only=True
    ).eval()
    ids = tokenizer(
        PROMPTS, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    ).input_ids
    embeddings = tensors["embeddings"] = text(ids).last_hidden_state
    clock.say("text encoder", embeddings)
    assert relative(embeddings[0], embeddings[1]) > 0.1, "the prompts do not differ"
    del text

    unet = UNet2DConditionModel.from_pretrained(os.path.join(model, "unet"), **load).eval()
    assert len(unet.state_dict()) == counts["unet"]
    for number, (height, width) in enumerate(layout["predictions"]):
        latent = torch.randn((1, 4, height, width), generator=generator)
        prediction = unet(latent.expand(2, -1, -1, -1), TIMESTEP, embeddings).sample
        clock.say(f"guided step at {width}×{height}", prediction)
        difference = relative(prediction[0], prediction[1])
        print(f"    the branches differ by {difference:.2f}")
        assert 0.1 < float(prediction.std()) < 10 and difference > 0.05, (
            "the prediction is too small or ignores the prompt"
        )
        tensors[f"prediction.{number}.latent"], tensors[f"prediction.{number}"] = latent, prediction
        expected["predictions"].append(
            {
                "timestep": TIMESTEP,
                "latent": f"prediction.{number}.latent",
                "tensor": f"prediction.{number}",
            }
        )
    del unet
    gc.collect()

    vae = AutoencoderKL.from_pretrained(os.path.join(model, "vae"), **load).eval()
    latent = torch.randn((1, 4, 64, 64), generator=generator)
    tensors["decode.latent"] = latent
    picture = tensors["decode"] = vae.decode(latent / vae.config.scaling_factor).sample
    clock.say("decode", picture)
    expected["decodes"].append({"latent": "decode.latent", "tensor": "decode"})
    for number, (height, width, tile) in enumerate(layout["tiled"]):
        latent = torch.randn((1, 4, height, width), generator=generator)
        if tile is not None:
            vae.tile_latent_min_size, vae.tile_sample_min_size = tile, 8 * tile
        vae.enable_tiling()
        picture = vae.decode(latent / vae.config.scaling_factor).sample
        clock.say(f"decode in tiles of {vae.tile_latent_min_size}", picture)
        tensors[f"tiled.{number}.latent"], tensors[f"tiled.{number}"] = latent, picture
        expected["tiled"].append(
            {
                "tile": vae.tile_latent_min_size,
                "latent": f"tiled.{number}.latent",
                "tensor": f"tiled.{number}",
            }
        )
    save_file(
        {key: value.contiguous() for key, value in tensors.items()},
        os.path.join(folder, "expected.safetensors"),
    )
    write_json(folder, "expected.json", expected)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("python generate.py FOLDER [model …]")
    for name in sys.argv[2:] or MODELS:
        print(f"{name}:", flush=True)
        expect(os.path.join(sys.argv[1], name), MODELS[name])
