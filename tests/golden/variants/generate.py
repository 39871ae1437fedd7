"""Makes diffusers' values for changed copies of the tiny models: `python generate.py`.

Versions are in ../requirements.txt.

`expected.json` lists cases. Each names a model of ../models and the changes to a copy of it, which
the test makes too: keys of JSON files (`set`), files written (`write`), tensors left out (`drop`),
tensors added (`add`), rows added to a tensor (`rows`). The values of what is added follow from
their index (see `values`). `runs` are whole generations by StableDiffusionPipeline in f32 on the
CPU, `predictions` single U-Net calls with a guidance embedding as LatentConsistencyModelPipeline
makes it, `ids` the tokenizer's. Latents and predictions are in `expected.safetensors`.

`tiny.json` is a checkpoint of the original naming without a middle block, as single files of
distilled models (tiny-sd, bk-sdm) have it: `tensors` as in ../single_file, `gaps` the names that
the usual conversion gives them, with the numbers of the large models.
"""

import json
import os
import shutil
import sys
import tempfile
import warnings

import diffusers
import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.pipelines.latent_consistency_models import (
    pipeline_latent_consistency_text2img as lcm,
)
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../models"))
sys.path.insert(1, os.path.join(HERE, "../single_file"))
import generate as tiny_models  # noqa: E402  (../models comes first)

torch.use_deterministic_algorithms(True)
torch.set_grad_enabled(False)
diffusers.logging.set_verbosity_error()
diffusers.logging.disable_progress_bar()
warnings.filterwarnings("ignore")

UNET = "unet/diffusion_pytorch_model.safetensors"
TEXT = "text_encoder/model.safetensors"
TOKEN_TABLE = "text_model.embeddings.token_embedding.weight"
MAN, MUSTACHE = "Portrait photo of a man", "mustache"

NO_MIDDLE = {
    "set": {"unet/config.json": {"mid_block_type": None}},
    "drop": [[UNET, "mid_block."]],
}
GUIDED = {
    "set": {"unet/config.json": {"time_cond_proj_dim": 256}},
    "add": [[UNET, "time_embedding.cond_proj.weight", [16, 256], 1 / 128]],
}


def run(steps=3, guidance=7.5, prompt=MAN, negative=MUSTACHE, sampler=None, clip_skip=1, size=None):
    """One generation. `clip_skip` counts as the web UI of A1111 does: 1 is the last layer."""
    return {
        "prompt": prompt,
        "negative_prompt": negative,
        "seed": 5,
        "steps": steps,
        "guidance_scale": guidance,
        "sampler": sampler,
        "clip_skip": clip_skip,
        "size": size,
    }


def with_token(model, words, rows=1, **more):
    """A model with learned words behind its vocabulary."""
    return {
        "model": model,
        "rows": [[TEXT, TOKEN_TABLE, rows, 1 / 32]],
        "set": {"text_encoder/config.json": {"vocab_size": 862 + rows}},
        "write": {"tokenizer/added_tokens.json": words},
        **more,
    }


TOY = "a photo of <cat-toy> here"
CASES = {
    "no-middle": {"model": "sd1-pndm", **NO_MIDDLE, "runs": [run(), run(5, sampler="ddim")]},
    "no-middle-linear": {"model": "sd2-v", **NO_MIDDLE, "runs": [run()]},
    "no-middle-all-cross": {"model": "sd1-all-cross", **NO_MIDDLE, "runs": [run(4)]},
    "guidance-embedding": {
        "model": "sd1-pndm",
        **GUIDED,
        "runs": [run(4, 8.5, sampler="ddim"), run(2, 1.5, sampler="euler"), run(4, 1.0)],
        "predictions": [[801.0, 8.5], [123.0, 1.0], [499.0, 3.25]],
    },
    "sample-size": {
        "model": "sd1-pndm",
        "set": {"unet/config.json": {"sample_size": [6, 10]}},
        "runs": [run()],
    },
    "added-token": with_token("sd1-pndm", {"<cat-toy>": 862}, ids=[TOY, "<CAT-TOY>s"])
    | {"runs": [run(prompt=TOY, negative="<cat-toy>")]},
    "added-tokens-two": with_token(
        "sd1-pndm",
        {"<cat-toy>": 863, "grün stil": 862, "<|endoftext|>": 861},
        2,
        ids=["in grün stil, <cat-toy><cat-toy>", "grün", "GRÜN STIL"],
    )
    | {"runs": [run(prompt="a man in grün stil", negative="<cat-toy>")]},
    "added-token-sd2": with_token("sd2-v", {"<cat-toy>": 862}, ids=[TOY])
    | {"runs": [run(prompt=TOY, negative="")]},
    "clip-skip-sd1": {
        "model": "sd1-four-levels",
        "runs": [run(clip_skip=skip) for skip in (1, 2, 3)],
    },
    "clip-skip-sd2": {"model": "sd2-v", "runs": [run(clip_skip=skip) for skip in (1, 2)]},
    "clip-skip-narrow": {"model": "sd2-five-heads", "runs": [run(clip_skip=2)]},
}


def values(count, scale):
    """Values from −50 to 50 times `scale`; f16 holds them exactly."""
    index = np.arange(count, dtype=np.int64)
    return torch.from_numpy(((index * 37 % 101 - 50) * scale).astype(np.float32))


def changed_copy(case, folder):
    shutil.copytree(os.path.join(HERE, "../models", case["model"], "model"), folder)
    for path, keys in case.get("set", {}).items():
        path = os.path.join(folder, path)
        with open(path, encoding="utf-8") as file:
            content = json.load(file) | keys
        os.chmod(path, 0o644)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file)
    for path, content in case.get("write", {}).items():
        with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
            json.dump(content, file)
    changes = [("drop", *c) for c in case.get("drop", [])]
    changes += [("add", *c) for c in case.get("add", [])]
    changes += [("rows", *c) for c in case.get("rows", [])]
    for kind, path, name, *rest in changes:
        path = os.path.join(folder, path)
        tensors = load_file(path)
        if kind == "drop":
            tensors = {key: value for key, value in tensors.items() if not key.startswith(name)}
        elif kind == "add":
            shape, scale = rest
            tensors[name] = values(int(np.prod(shape)), scale).reshape(shape).half()
        else:
            rows, scale = rest
            table = tensors[name]
            more = values(rows * table.shape[1], scale).reshape(rows, -1).to(table.dtype)
            tensors[name] = torch.cat([table, more])
        os.chmod(path, 0o644)
        save_file(tensors, path, {"format": "pt"})


def generate(pipe, own, case):
    tiny_models.with_sampler(pipe, own, case["sampler"])
    scale = pipe.vae_scale_factor
    sample = pipe.unet.config.sample_size
    height, width = [sample] * 2 if isinstance(sample, int) else sample
    noise = torch.randn(
        (1, 4, height, width), generator=torch.Generator("cpu").manual_seed(case["seed"])
    )
    # diffusers counts the layers that are left out, and applies them to the prompt alone; the web UI
    # applies them to both.
    skip = case["clip_skip"] - 1 or None
    prompt, negative = (
        pipe.encode_prompt(case[key], "cpu", 1, False, clip_skip=skip)[0]
        for key in ("prompt", "negative_prompt")
    )
    return pipe(
        prompt_embeds=prompt,
        negative_prompt_embeds=negative,
        width=width * scale,
        height=height * scale,
        num_inference_steps=case["steps"],
        guidance_scale=case["guidance_scale"],
        latents=noise,
        output_type="latent",
    ).images


def predict(pipe, tensors, name, predictions):
    """Single U-Net calls with the embedding of a guidance scale."""
    made = lcm.LatentConsistencyModelPipeline.get_guidance_scale_embedding
    for number, (timestep, guidance) in enumerate(predictions):
        latent = torch.randn(
            (1, 4, 6, 8), generator=torch.Generator("cpu").manual_seed(70 + number)
        )
        embedding = made(None, torch.tensor([guidance - 1]), embedding_dim=256)
        prediction = pipe.unet(
            latent,
            torch.tensor(timestep),
            timestep_cond=embedding,
            encoder_hidden_states=tiny_models.encode(pipe, MAN),
        ).sample
        plain = pipe.unet(
            latent,
            torch.tensor(timestep),
            encoder_hidden_states=tiny_models.encode(pipe, MAN),
        ).sample
        effect = tiny_models.relative(plain, prediction)
        print(f"  prediction at guidance {guidance}: the embedding moves it by {effect:.2f}")
        assert effect > 0.01, "an embedding without effect"
        tensors[f"{name}.prediction.{number}.latent"] = latent
        tensors[f"{name}.prediction.{number}"] = prediction


def expect(name, case, tensors):
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.join(folder, "model")
        changed_copy(case, folder)
        pipe = StableDiffusionPipeline.from_pretrained(
            folder, dtype=torch.float32, safety_checker=None
        )
    pipe.set_progress_bar_config(disable=True)
    # diffusers 0.42 looks for the final norm where transformers before 5 had it.
    pipe.text_encoder.__dict__["text_model"] = pipe.text_encoder
    own = pipe.scheduler
    for number, one in enumerate(case["runs"]):
        one["latent"] = f"{name}.{number}"
        latent = tensors[one["latent"]] = generate(pipe, own, one)
        print(f"{one['latent']}: {tuple(latent.shape)}, spread {float(latent.std()):.2f}")
        assert torch.isfinite(latent).all() and 0.05 < float(latent.std()) < 60
    predict(pipe, tensors, name, case.get("predictions", []))
    if "ids" in case:
        case["ids"] = [[text, pipe.tokenizer(text).input_ids] for text in case["ids"]]
    if name.startswith("clip-skip"):
        spread = [tensors[one["latent"]] for one in case["runs"]]
        for a, b in zip(spread, spread[1:]):
            assert tiny_models.relative(a, b) > 0.02, "clip skip without effect"


def gaps(name):
    """The name that the usual conversion gives: three blocks to a level."""
    words = name.split(".")
    if len(words) < 4 or words[2] not in ("input_blocks", "output_blocks"):
        return name
    block = int(words[3])
    if words[2] == "input_blocks":
        # Two to a level: a residual block, a downsampler.
        block = 0 if block == 0 else 3 * ((block - 1) // 2) + (3 if block % 2 == 0 else 1)
    else:
        level, index = divmod(block, 2)
        block = 3 * level + index
        # The upsampler, behind a transformer, has a block of its own there.
        if words[4] == "2" and words[5] == "conv":
            block, words[4] = 3 * level + 2, "1" if level == 0 else "2"
    words[3] = str(block)
    return ".".join(words)


def tiny_checkpoint(tensors):
    """A checkpoint of three levels with one residual block each and no middle block."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "single_file", os.path.join(HERE, "../single_file/generate.py")
    )
    single_file = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(single_file)
    kind = single_file.KINDS["sd1"]
    layout = kind | {
        "unet": kind["unet"]
        | {"num_res_blocks": 1, "channel_mult": [1, 2, 4], "attention_resolutions": [4, 2, 1]},
        "text": single_file.original.clip(width=128, layers=2, vocab=862),
        "text_config": kind["text_config"] | {"num_hidden_layers": 2, "vocab_size": 862},
        "dtype": "F16",
        "more": {},
    }
    entries, checkpoint = single_file.checkpoint_of(layout)
    entries = [entry for entry in entries if ".middle_block." not in entry[0]]
    parts = single_file.converted(layout, checkpoint)
    config, weights = parts["unet"]
    config = config | {"mid_block_type": None}
    weights = {key: value for key, value in weights.items() if not key.startswith("mid_block.")}
    parts["unet"] = config, weights
    vocab = single_file.VOCAB
    single_file.VOCAB = os.path.join(HERE, "../models/tokenizer")
    pipe = single_file.pipeline(
        parts, next(iter(layout["schedulers"].values())), {}, torch.float32
    )
    single_file.VOCAB = vocab
    case = single_file.CASES[0]
    tensors["tiny"] = single_file.generate(pipe, case)
    print(f"tiny: spread {float(tensors['tiny'].std()):.2f}")
    return {
        "case": case | {"prediction": "epsilon", "latent": "tiny", "picture": ""},
        "tensors": entries,
        "gaps": {name: gaps(name) for name, *_ in entries if gaps(name) != name},
    }


def write(name, value):
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    tensors = {}
    for name, case in CASES.items():
        expect(name, case, tensors)
    write("tiny.json", tiny_checkpoint(tensors))
    write("expected.json", CASES)
    save_file(
        {key: value.float().contiguous() for key, value in tensors.items()},
        os.path.join(HERE, "expected.safetensors"),
    )
