"""Makes the tiny models of layouts.py: random weights on which every mistake shows.

Plain random initialization would hide mistakes: biases are zero, norms are the identity, attention
is uniform, the prompt has no effect and the prediction is tiny. So every parameter is drawn with
its own spread, attention is peaked, and the U-Net's last convolution is fitted (one ridge
regression on drawn latents), so that the prediction is of order 1, follows the noise as a trained
one does, and depends on the prompt.
"""

import json
import math
import os
import shutil

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
# Prompts for fitting the last convolution: each belongs to one colour of latent.
COLOURS = [
    "Portrait photo of a man",
    "mustache",
    "",
    "a smiling woman with curly red hair, earrings",
    "a black cat at night, watercolor!",
    "blurry, low quality, deformed hands",
]

# Standard deviation of a weight, times the square root of its inputs, by the end of its name.
GAINS = [
    ("unet.conv_in.weight", 2.5),
    ("attn2.to_q.weight", 1.6),
    ("attn2.to_k.weight", 1.6),
    ("attn2.to_v.weight", 1.2),
    ("attn2.to_out.0.weight", 1.4),
    ("attn1.to_q.weight", 1.4),
    ("attn1.to_k.weight", 1.4),
    ("attn1.to_out.0.weight", 0.8),
    ("self_attn.q_proj.weight", 1.4),
    ("self_attn.k_proj.weight", 1.4),
    ("self_attn.out_proj.weight", 0.9),
    ("fc2.weight", 0.9),
    ("conv2.weight", 0.8),
    ("ff.net.2.weight", 0.8),
    ("proj_out.weight", 0.8),
]


def draw_parameters(part, model, seed):
    generator = torch.Generator("cpu").manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        if "embedding" in name and parameter.dim() == 2 and "time" not in name:
            value = noise * (0.4 if "position" in name else 1.0)
        elif parameter.dim() == 1:
            value = 1.0 + 0.2 * noise if "norm" in name and name.endswith("weight") else 0.1 * noise
        else:
            gain = next((g for end, g in GAINS if f"{part}.{name}".endswith(end)), 1.0)
            value = gain * noise / math.sqrt(parameter[0].numel())
        parameter.data = value.half().float()


def ridge(features, target, strength):
    """Least-squares weights [features + 1, targets] in f64; the last row is the bias."""
    features = torch.cat([features, torch.ones(len(features), 1)], 1).double()
    square = features.T @ features
    square += strength * len(features) * torch.eye(square.shape[0], dtype=torch.float64)
    return torch.linalg.solve(square, features.T @ target.double())


def smooth(shape, generator):
    coarse = torch.randn(shape[0], shape[1], 3, 3, generator=generator)
    return torch.nn.functional.interpolate(coarse, shape[2:], mode="bicubic")


@torch.no_grad()
def fit_last_convolution(unet, scheduler_config, embeddings, seed):
    """Fits `conv_out` to the training target, for latents with a colour that the prompt decides."""
    generator = torch.Generator("cpu").manual_seed(seed)
    scheduler = DDIMScheduler.from_config(scheduler_config)
    colours = torch.randn(len(embeddings), 4, 1, 1, generator=generator) * 0.9
    kept = []
    hook = unet.conv_out.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    features, targets = [], []
    for size in ((8, 8), (12, 8), (9, 11), (12, 12)):
        for _ in range(3):
            which = torch.arange(3 * len(embeddings)) % len(embeddings)
            shape = (len(which), 4, *size)
            clean = colours[which] + 0.6 * smooth(shape, generator)
            noise = torch.randn(shape, generator=generator)
            times = torch.randint(0, 1000, (len(which),), generator=generator)
            noisy = scheduler.add_noise(clean, noise, times)
            v = scheduler.config.prediction_type == "v_prediction"
            target = scheduler.get_velocity(clean, noise, times) if v else noise
            unet(noisy, times, embeddings[which])
            columns = torch.nn.functional.unfold(kept.pop(), 3, padding=1)  # [n, 9c, h·w]
            features.append(columns.transpose(1, 2).reshape(-1, columns.shape[1]))
            targets.append(target.flatten(2).transpose(1, 2).reshape(-1, 4))
    hook.remove()
    features, targets = torch.cat(features), torch.cat(targets)
    weights = ridge(features, targets, 1e-3)
    fitted = features.double() @ weights[:-1] + weights[-1]
    explained = 1 - (targets - fitted).var() / targets.double().var()
    weights *= 0.9 * targets.double().std() / fitted.std()
    unet.conv_out.weight.data = weights[:-1].T.reshape(unet.conv_out.weight.shape).half().float()
    unet.conv_out.bias.data = weights[-1].half().float()
    return float(explained)


@torch.no_grad()
def scale_pictures(vae, seed):
    """Scales the decoder's last convolution: plausible latents use the whole range of pixels."""
    generator = torch.Generator("cpu").manual_seed(seed)
    latent = torch.randn(16, 4, 1, 1, generator=generator) + 0.6 * smooth((16, 4, 9, 11), generator)
    picture = vae.decode(latent / vae.config.scaling_factor).sample
    vae.decoder.conv_out.weight.data = (
        (vae.decoder.conv_out.weight * 0.45 / picture.std()).half().float()
    )
    picture = vae.decode(latent / vae.config.scaling_factor).sample
    vae.decoder.conv_out.bias.data = (
        (vae.decoder.conv_out.bias - picture.mean((0, 2, 3))).half().float()
    )


def write_json(folder, name, value):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def write_tokenizer(folder, kind):
    """Writes one of three kinds of folder: SD1's four files, SD2's, and tokenizer.json alone.

    SD2's two JSON files disagree on padding, and "!" wins.
    """
    os.makedirs(folder)
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(os.path.join(HERE, "tokenizer", name), os.path.join(folder, name))
    token = {"lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    start, end = {"content": "<|startoftext|>", **token}, {"content": "<|endoftext|>", **token}
    pad = "!" if kind == "sd2" else "<|endoftext|>"
    write_json(
        folder,
        "special_tokens_map.json",
        {"bos_token": start, "eos_token": end, "pad_token": pad, "unk_token": end},
    )
    write_json(
        folder,
        "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "bos_token": {"__type": "AddedToken", **start},
            "do_lower_case": True,
            "eos_token": {"__type": "AddedToken", **end},
            "errors": "replace",
            "model_max_length": 77,
            "pad_token": "<|endoftext|>",
            "special_tokens_map_file": "./special_tokens_map.json",
            "tokenizer_class": "CLIPTokenizer",
            "unk_token": {"__type": "AddedToken", **end},
        },
    )
    if kind == "json":
        tokenizer = CLIPTokenizer.from_pretrained(folder)
        shutil.rmtree(folder)
        tokenizer.save_pretrained(folder)


def old_vae_names(name):
    """The names of the middle attention in VAE files of 2022."""
    for new, old in (
        ("to_q", "query"),
        ("to_k", "key"),
        ("to_v", "value"),
        ("to_out.0", "proj_attn"),
    ):
        name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
    return name


def write_weights(folder, name, tensors, dtype, sharded=False):
    tensors = {
        key: value.detach().to(dtype if value.is_floating_point() else value.dtype).contiguous()
        for key, value in tensors.items()
    }
    if not sharded:
        save_file(tensors, os.path.join(folder, name), {"format": "pt"})
        return
    stem, end = name.rsplit(".", 1)
    keys, count = sorted(tensors), 3
    where = {}
    for part in range(count):
        file = f"{stem}-{part + 1:05d}-of-{count:05d}.{end}"
        chosen = keys[part::count]  # neighbours go into different files
        save_file(
            {key: tensors[key] for key in chosen}, os.path.join(folder, file), {"format": "pt"}
        )
        where |= {key: file for key in chosen}
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(
        folder,
        name + ".index.json",
        {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))},
    )


def build(name, layout):
    """Writes the model folder; returns its path and the share of the target that is explained."""
    folder = os.path.join(HERE, name, "model")
    shutil.rmtree(os.path.join(HERE, name), ignore_errors=True)
    part = {
        key: os.path.join(folder, key)
        for key in ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
    }
    write_json(
        folder,
        "model_index.json",
        {
            "_class_name": "StableDiffusionPipeline",
            "_diffusers_version": "0.6.0",
            "feature_extractor": [None, None],
            **(
                {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}
                if layout.get("safety_checker")
                else {"safety_checker": [None, None], "requires_safety_checker": False}
            ),
            "scheduler": ["diffusers", layout["scheduler"]["_class_name"]],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
    write_json(part["scheduler"], "scheduler_config.json", layout["scheduler"])
    write_json(part["unet"], "config.json", layout["unet"])
    write_json(part["vae"], "config.json", layout["vae"])
    write_json(part["text_encoder"], "config.json", layout["text"])
    write_tokenizer(part["tokenizer"], layout.get("tokenizer"))

    text = CLIPTextModel(
        CLIPTextConfig(
            **{k: v for k, v in layout["text"].items() if k not in ("torch_dtype", "dtype")}
        )
    ).eval()
    unet = UNet2DConditionModel.from_config(layout["unet"]).eval()
    vae = AutoencoderKL.from_config(layout["vae"]).eval()
    for offset, (name, module) in enumerate((("text", text), ("unet", unet), ("vae", vae))):
        draw_parameters(name, module, 100 * layout["seed"] + offset)
    tokenizer = CLIPTokenizer.from_pretrained(part["tokenizer"])
    ids = tokenizer(
        COLOURS, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
    ).input_ids
    with torch.no_grad():
        embeddings = text(ids).last_hidden_state
    explained = fit_last_convolution(
        unet, layout["scheduler"], embeddings, 100 * layout["seed"] + 3
    )
    scale_pictures(vae, 100 * layout["seed"] + 4)

    end = f".{layout['variant']}.safetensors" if "variant" in layout else ".safetensors"
    texts, vaes = text.state_dict(), vae.state_dict()
    # Version 5 of transformers writes no prefix, earlier versions do.
    prefix = "" if layout.get("tokenizer") == "json" else "text_model."
    texts = {
        prefix + key.removeprefix("text_model."): value
        for key, value in texts.items()
        if "position_ids" not in key
    }
    if layout.get("old_names"):
        texts["text_model.embeddings.position_ids"] = torch.arange(77)[None]
        vaes = {old_vae_names(key): value for key, value in vaes.items()}
    write_weights(
        part["text_encoder"],
        "model" + end,
        texts,
        torch.float32 if layout.get("text_f32") else torch.float16,
    )
    write_weights(
        part["unet"],
        "diffusion_pytorch_model" + end,
        unet.state_dict(),
        torch.float16,
        layout.get("sharded"),
    )
    write_weights(part["vae"], "diffusion_pytorch_model" + end, vaes, torch.float16)
    return folder, explained
