"""Makes small LoRAs in every naming, and diffusers' values with them: `python generate.py`.

Versions are in ../requirements.txt. The models are those of ../models.

This writes `lora-*.safetensors`, and `lora.json` with `lora.safetensors`: for each case the files
with their weights, and what StableDiffusionPipeline computes in f32 on the CPU after
`load_lora_weights` and `fuse_lora`: a text embedding, a prediction of the U-Net and a final latent.
diffusers does not read LoHa and LoKr; their changes are added to the weights here, by their papers'
formulas.
"""

import json
import math
import os
import sys
import warnings

import diffusers
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../models"))
import generate as models  # noqa: E402

import embeddings  # noqa: E402

torch.use_deterministic_algorithms(True)
torch.set_grad_enabled(False)
diffusers.logging.set_verbosity_error()
diffusers.logging.disable_progress_bar()
warnings.filterwarnings("ignore")

PROMPT, NEGATIVE = "Portrait photo of a man", "mustache"


def load(model):
    pipe = StableDiffusionPipeline.from_pretrained(
        os.path.join(HERE, "../models", model, "model"), dtype=torch.float32, safety_checker=None
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def layers(pipe, kinds):
    """Names and weights of the layers with a name that ends in one of `kinds`, by network."""
    chosen = {}
    for network in ("unet", "text_encoder"):
        for name, module in getattr(pipe, network).named_modules():
            if name.endswith(tuple(kinds)) and hasattr(module, "weight"):
                chosen[network, name.removeprefix("text_model.")] = module.weight
    return chosen


ATTENTION = ["to_q", "to_k", "to_v", "to_out.0", "q_proj", "v_proj", "out_proj"]
LOCON = ATTENTION + ["proj_in", "proj_out", "ff.net.0.proj", "ff.net.2", "fc1", "conv1", "conv2"]
LOCON += ["conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv"]


def spread(weight):
    """Standard deviation of a change that shows, and leaves the latent in its range."""
    return 0.25 * float(weight.std())


def factors(weight, rank, generator):
    """`down` and `up` of a change of `weight`."""
    down = torch.randn((rank, *weight.shape[1:]), generator=generator)
    end = (1, 1) if weight.dim() == 4 else ()
    up = torch.randn((weight.shape[0], rank, *end), generator=generator)
    return down * spread(weight) / math.sqrt(rank), up


def kohya(name, network):
    prefix = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}[network]
    return prefix + name.replace(".", "_")


def write_kohya(pipe, file, kinds, rank, alpha, seed, dtype=torch.float16):
    generator = torch.Generator("cpu").manual_seed(seed)
    tensors = {}
    for (network, name), weight in layers(pipe, kinds).items():
        down, up = factors(weight, rank, generator)
        base = kohya(name, network)
        tensors |= {
            f"{base}.lora_down.weight": down.to(dtype),
            f"{base}.lora_up.weight": up.to(dtype),
            f"{base}.alpha": torch.tensor(float(alpha), dtype=dtype),
        }
    save_file(tensors, os.path.join(HERE, file), {"ss_network_module": "networks.lora"})


def write_diffusers(pipe, file, rank, seed, old):
    generator = torch.Generator("cpu").manual_seed(seed)
    tensors = {}
    for (network, name), weight in layers(pipe, ATTENTION).items():
        down, up = factors(weight, rank, generator)
        if network == "text_encoder":
            base = f"text_encoder.text_model.{name}.lora_linear_layer"
        elif old:
            module, leaf = name.replace("to_out.0", "to_out").rsplit(".", 1)
            base = f"unet.{module}.processor.{leaf}_lora"
        else:
            base = f"unet.{name}.lora"
        tensors |= {f"{base}.down.weight": down, f"{base}.up.weight": up}
    save_file(tensors, os.path.join(HERE, file))


def write_peft(pipe, file, rank, alpha, seed):
    """As diffusers' training scripts do: PEFT's own layers, saved with their settings."""
    torch.manual_seed(seed)
    saved, settings = {}, {}
    for network in ("unet", "text_encoder"):
        kinds = [name for part, name in layers(pipe, LOCON) if part == network]
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            init_lora_weights=False,
            target_modules="(.*\\.)?(" + "|".join(kinds).replace(".", "\\.") + ")",
        )
        module = getattr(pipe, network)
        module.add_adapter(config)
        for name, parameter in module.named_parameters():
            if "lora_A" in name:
                parameter.data *= 0.4
        saved[f"{network}_lora_layers"] = get_peft_model_state_dict(module)
        settings[f"{network}_lora_adapter_metadata"] = config.to_dict()
    StableDiffusionPipeline.save_lora_weights(HERE, **saved, **settings, weight_name=file)


def write_lycoris(pipe, file, kind, seed):
    """A LoHa or LoKr; returns the change of each layer."""
    generator = torch.Generator("cpu").manual_seed(seed)
    random = lambda *shape: torch.randn(shape, generator=generator)
    tensors, changes, rank, alpha = {}, {}, 2, 3.0
    for number, ((network, name), weight) in enumerate(layers(pipe, LOCON).items()):
        base, size, taps = kohya(name, network), weight.flatten(1).shape, weight.shape[2:]
        rows, columns = weight.shape[0] // 2, weight.shape[1] // 2
        if kind == "loha":
            parts = {
                "hada_w1_a": random(size[0], rank),
                "hada_w1_b": random(rank, size[1]) / math.sqrt(rank),
                "hada_w2_a": random(size[0], rank),
                "hada_w2_b": random(rank, size[1]) * spread(weight) / math.sqrt(rank),
            }
        elif number % 2:
            parts = {
                "lokr_w1": random(2, 2),
                "lokr_w2_a": random(rows, rank),
                "lokr_w2_b": random(rank, columns * math.prod(taps)) * spread(weight),
            }
        else:
            parts = {
                "lokr_w1": random(2, 2),
                "lokr_w2": random(rows, columns, *taps) * spread(weight),
            }
        parts = {leaf: value.half() for leaf, value in parts.items()}
        parts["alpha"] = torch.tensor(alpha)
        tensors |= {f"{base}.{leaf}": value for leaf, value in parts.items()}
        get = lambda leaf: parts[leaf].float()
        if kind == "loha":
            change = (get("hada_w1_a") @ get("hada_w1_b")) * (get("hada_w2_a") @ get("hada_w2_b"))
        else:
            full = "lokr_w2" in parts
            second = get("lokr_w2") if full else get("lokr_w2_a") @ get("lokr_w2_b")
            second = second.reshape(rows, columns, *taps)
            change = torch.kron(get("lokr_w1").reshape(2, 2, *(1 for _ in taps)), second)
        # Alpha scales what has a rank.
        scale = 1.0 if "lokr_w2" in parts else alpha / rank
        changes[network, name] = (change * scale).reshape(weight.shape)
    save_file(tensors, os.path.join(HERE, file))
    return changes


def values(pipe, tensors, case, without):
    """Computes the values of a case; fails if the LoRA has no effect."""
    generator = torch.Generator("cpu").manual_seed(case["seed"])
    embeddings = torch.cat([models.encode(pipe, text) for text in (NEGATIVE, PROMPT)])
    latent = torch.randn((1, 4, 8, 8), generator=generator)
    prediction = pipe.unet(latent.expand(2, -1, -1, -1), torch.tensor(601.0), embeddings).sample
    own = pipe.scheduler
    final = models.generate(
        pipe,
        own,
        {
            "sampler": "euler",
            "prompt": PROMPT,
            "negative_prompt": NEGATIVE,
            "seed": case["seed"],
            "steps": case["steps"],
            "guidance_scale": 5.0,
            "width": 8 * pipe.vae_scale_factor,
            "height": 8 * pipe.vae_scale_factor,
        },
    )
    pipe.scheduler = own
    named = {"latent": latent, "prediction": prediction, "embedding": embeddings, "final": final}
    for name, value in named.items():
        assert torch.isfinite(value).all(), f"{case['name']}: {name} is not finite"
        case[name] = f"{case['name']}.{name}"
        tensors[case[name]] = value.contiguous().clone()
    spreads = [float(named[name].std()) for name in ("prediction", "final")]
    effects = []
    if without:
        for name in ("prediction", "embedding", "final"):
            effects.append(models.relative(named[name], without[name]))
    print(f"  {case['name']:28} spread {spreads}, effects {[f'{e:.2f}' for e in effects]}")
    assert all(s < 60 for s in spreads), "the latent left the plausible range"
    assert not without or effects[0] > 0.02 and effects[2] > 0.02, "no effect"
    return named


def fused(model, loras):
    """The model with LoRAs, each a file and the weights of U-Net and text encoder."""
    pipe = load(model)
    for number, (file, unet, text) in enumerate(loras):
        name = f"lora{number}"
        pipe.load_lora_weights(HERE, weight_name=file, adapter_name=name)
        if unet != text:
            pipe.set_adapters(name, {"unet": unet, "text_encoder": text})
            pipe.fuse_lora(adapter_names=[name])
        else:
            pipe.fuse_lora(adapter_names=[name], lora_scale=unet)
        pipe.unload_lora_weights()
    return pipe


def main():
    embeddings.main(models, load)
    sd1, sd2 = "sd1-pndm", "sd2-v"
    write_kohya(load(sd1), "lora-kohya.safetensors", ATTENTION, 2, 1, 1)
    write_kohya(load(sd1), "lora-locon.safetensors", LOCON, 2, 3, 2)
    write_diffusers(load(sd1), "lora-diffusers.safetensors", 2, 3, False)
    write_diffusers(load(sd1), "lora-diffusers-old.safetensors", 2, 4, True)
    write_peft(load(sd1), "lora-peft.safetensors", 2, 3, 5)
    write_kohya(load(sd2), "lora-sd2.safetensors", LOCON, 2, 2, 6)
    lycoris = {
        f"lora-{kind}.safetensors": write_lycoris(load(sd1), f"lora-{kind}.safetensors", kind, seed)
        for kind, seed in (("loha", 7), ("lokr", 8))
    }
    cases = [{"model": sd1, "loras": []}, {"model": sd2, "loras": []}]
    for file in ("kohya", "locon", "diffusers", "diffusers-old", "peft"):
        for weight in (-1.0, 0.5, 2.0) if file in ("kohya", "locon", "peft", "diffusers") else (1.0,):
            cases.append({"model": sd1, "loras": [[f"lora-{file}.safetensors", weight, weight]]})
    cases.append({"model": sd1, "loras": [["lora-locon.safetensors", 0.7, -0.4]]})
    two = [["lora-locon.safetensors", 0.6, 0.6], ["lora-peft.safetensors", -0.5, -0.5]]
    cases.append({"model": sd1, "loras": two})
    cases.append({"model": sd2, "loras": [["lora-sd2.safetensors", 0.8, 0.8]]})
    for file in lycoris:
        cases.append({"model": sd1, "loras": [[file, 0.7, 0.7]]})
    tensors, without = {}, {}
    for number, case in enumerate(cases):
        files = "+".join(file.split(".")[0].removeprefix("lora-") for file, _, _ in case["loras"])
        case |= {"name": f"{number:02d}-{files or 'none'}", "seed": 40, "steps": 3}
        change = lycoris.get(case["loras"][0][0]) if case["loras"] else None
        if change is None:
            pipe = fused(case["model"], case["loras"])
        else:
            pipe = load(case["model"])
            for (network, name), weight in layers(pipe, LOCON).items():
                weight += 0.7 * change[network, name]
        named = values(pipe, tensors, case, without.get(case["model"]))
        without.setdefault(case["model"], named)
    save_file(tensors, os.path.join(HERE, "lora.safetensors"))
    with open(os.path.join(HERE, "lora.json"), "w", encoding="utf-8") as file:
        json.dump({"prompt": PROMPT, "negative_prompt": NEGATIVE, "cases": cases}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
