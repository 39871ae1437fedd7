"""Makes learned words in every kind of file, and diffusers' values with them.

Called by generate.py. This writes `word-*`, and `embeddings.json` with `embeddings.safetensors`: for
each case what StableDiffusionPipeline computes in f32 on the CPU after `load_textual_inversion`: text
embeddings and a final latent. The web UI's `string_to_param` files and PyTorch's format before 1.6
are among them.
"""

import json
import os

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))


def vectors(width, count, seed):
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn((count, width), generator=generator)


def write_files(width, wide):
    """Writes the files; returns name, vectors and file of each word."""
    words = {
        "bad-hands": ("word-emb-params.safetensors", vectors(width, 3, 1)),
        "<cat-toy>": ("word-diffusers.safetensors", vectors(width, 1, 2)),
        "easynegative": ("word-webui.pt", vectors(width, 2, 3)),
        "<oak>": ("word-diffusers.bin", vectors(width, 1, 4).half()),
        "oldstyle": ("word-legacy.pt", vectors(width, 2, 5)),
        "listed": ("word-parameters.pt", vectors(width, 2, 6)),
    }
    path = lambda name: os.path.join(HERE, words[name][0])
    tensor = lambda name: words[name][1]
    save_file({"emb_params": tensor("bad-hands").half()}, path("bad-hands"))
    words["bad-hands"] = (words["bad-hands"][0], tensor("bad-hands").half().float())
    save_file({"<cat-toy>": tensor("<cat-toy>")[0].contiguous()}, path("<cat-toy>"))
    torch.save(
        {
            "string_to_token": {"*": 265},
            "string_to_param": {"*": tensor("easynegative").requires_grad_()},
            "name": "easynegative",
            "step": 3000,
            "sd_checkpoint": None,
            "sd_checkpoint_name": None,
        },
        path("easynegative"),
    )
    torch.save({"<oak>": tensor("<oak>")[0].clone()}, path("<oak>"))
    torch.save(
        {"string_to_param": {"*": tensor("oldstyle")}, "name": "oldstyle", "step": 2**40},
        path("oldstyle"),
        _use_new_zipfile_serialization=False,
    )
    parameters = torch.nn.ParameterDict({"*": torch.nn.Parameter(tensor("listed"))})
    torch.save({"string_to_param": parameters, "name": "listed"}, path("listed"))
    # Vectors of another width, for a refusal.
    save_file({"emb_params": vectors(wide, 1, 7)}, os.path.join(HERE, "word-wide.safetensors"))
    return words




def main(models, load, model="sd1-pndm"):
    pipe = load(model)
    words = write_files(pipe.text_encoder.config.hidden_size, 24)
    for name, (file, tensor) in words.items():
        pipe.load_textual_inversion({name: tensor.detach().float().squeeze(0)}, token=name)
        if tensor.shape[0] == 1:
            # The file itself gives the same.
            other = load(model)
            other.load_textual_inversion(HERE, weight_name=file, token=name)
            ours, theirs = (models.encode(p, f"a {name} b") for p in (pipe, other))
            assert torch.equal(ours, theirs), file
    prompts = [
        "a photo of <cat-toy> at night",
        "bad-hands",
        "easynegative, blurry, bad-hands, <oak>, listed",
        "portrait of a man in oldstyle, <cat-toy>",
    ]
    encode = lambda text: models.encode(pipe, pipe.maybe_convert_prompt(text, pipe.tokenizer))
    tensors, cases = {}, []
    for number, text in enumerate(prompts):
        tensors[f"embedding.{number}"] = encode(text)[0].contiguous()
        ids = pipe.tokenizer(pipe.maybe_convert_prompt(text, pipe.tokenizer)).input_ids
        cases.append({"prompt": text, "tensor": f"embedding.{number}", "tokens": len(ids) - 2})
    request = {
        "sampler": "euler",
        "prompt": prompts[0],
        "negative_prompt": prompts[2],
        "seed": 41,
        "steps": 3,
        "guidance_scale": 5.0,
        "width": 8 * pipe.vae_scale_factor,
        "height": 8 * pipe.vae_scale_factor,
    }
    tensors["final"] = models.generate(pipe, pipe.scheduler, request).contiguous()
    assert models.relative(encode(prompts[1]), models.encode(load(model), prompts[1])) > 0.1
    save_file(tensors, os.path.join(HERE, "embeddings.safetensors"))
    expected = {
        "model": model,
        "words": [[name, file] for name, (file, _) in words.items()],
        "embeddings": cases,
        "request": request,
    }
    with open(os.path.join(HERE, "embeddings.json"), "w", encoding="utf-8") as file:
        json.dump(expected, file, indent=1)
        file.write("\n")
