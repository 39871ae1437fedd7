"""inspect.json and inspect.safetensors: what diffusers computes within its loop.

Run by `python generate.py`. StableDiffusionPipeline runs the tiny models of ../models in f32 on the
CPU, with the schedulers of ../host/schedules.py. For each call of the U-Net this keeps

- the predictions for the prompt (p) and the negative prompt (n), as the U-Net returns them;
- the guided prediction and the latent, as the pipeline gives them to the scheduler;
- for one case, the prediction for the empty prompt (e), by one more call with the same latent.

Token maps are those of DAAM (Tang et al., arXiv 2210.04885), by the rule of its package `daam`
0.2.0: the cross-attention probabilities of the down and up blocks, head by head, summed over the
calls, each enlarged to the latent's size by bicubic interpolation, with values below 0 set to 0;
then the mean over layers and heads. Here the sum over the calls is divided by their number, both
prompts are kept, and latents need not be square.
"""

import functools
import json
import math
import sys
import warnings
from pathlib import Path

import diffusers
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
sys.path.insert(0, str(HERE.parent / "host"))
import schedules  # noqa: E402

PROMPT, NEGATIVE = "Portrait photo of a man", "mustache, blurry"
CASES = [
    # Model, sampler, schedule type, width and height of the latent.
    ("sd1-pndm", "euler", None, (8, 6)),
    ("sd1-pndm", "euler-a", None, (8, 6)),
    ("sd1-pndm", "pndm", None, (8, 6)),
    ("sd1-pndm", "dpm++2m", "karras", (7, 8)),
    ("sd1-pndm", "heun", "normal", (8, 6)),
    ("sd2-v", "ddim", None, (8, 6)),
    ("sd2-v", "unipc", None, (8, 6)),
    ("sd2-v", "deis", "normal", (8, 6)),
]
STEPS, GUIDANCE = 4, 5.0
# Case with token maps and with predictions for the empty prompt.
MAPPED = [0, 3, 5]
MAPPED_CALLS = [1, 3]


class Maps:
    """A processor of cross-attention that keeps its probabilities."""

    def __init__(self, kept, layer):
        self.kept, self.layer = kept, layer

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
        value = attn.head_to_batch_dim(attn.to_v(encoder_hidden_states))
        probabilities = attn.get_attention_scores(query, key, attention_mask)
        # [branches · heads, positions, tokens]
        self.kept.append((self.layer, probabilities.unflatten(0, (-1, attn.heads))))
        attended = attn.batch_to_head_dim(torch.bmm(probabilities, value))
        return attn.to_out[1](attn.to_out[0](attended))


def cross_attentions(unet):
    """Cross-attentions of the down and up blocks; the middle block has none of its own here."""
    blocks = [*unet.down_blocks, *unet.up_blocks]
    return [
        layer.attn2
        for block in blocks
        for transformer in getattr(block, "attentions", None) or []
        for layer in transformer.transformer_blocks
    ]


def level_size(positions, height, width):
    while height * width != positions:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
    return height, width


def token_maps(kept, height, width):
    """[branches, tokens, height, width]"""
    calls = 1 + max(call for call, _, _ in kept)
    sums = {}
    for _, layer, probabilities in kept:
        sums[layer] = sums.get(layer, 0) + probabilities / calls
    merged = []
    for probabilities in sums.values():
        branches, heads, positions, tokens = probabilities.shape
        maps = probabilities.permute(0, 1, 3, 2).reshape(
            branches * heads, tokens, *level_size(positions, height, width)
        )
        maps = torch.nn.functional.interpolate(maps, size=(height, width), mode="bicubic")
        merged.append(maps.clamp(min=0).reshape(branches, heads, tokens, height, width))
    return torch.cat(merged, dim=1).mean(1)


def record(pipe, seed, size):
    """Runs the pipeline and returns its arrays by name, `[calls, 4, height, width]` each."""
    arrays = {"positive": [], "negative": [], "guided": [], "latent": []}
    inputs = []
    forward, step = pipe.unet.forward, pipe.scheduler.step

    def recorded_forward(sample, timestep, *args, **kwargs):
        output = forward(sample, timestep, *args, **kwargs)
        negative, positive = output[0].chunk(2)
        arrays["negative"].append(negative)
        arrays["positive"].append(positive)
        inputs.append((sample.chunk(2)[0], timestep, kwargs["encoder_hidden_states"]))
        return output

    # The pipeline looks at the signature to see if there is a generator to pass.
    @functools.wraps(step)
    def recorded_step(guided, timestep, latent, *args, **kwargs):
        arrays["guided"].append(guided)
        arrays["latent"].append(latent)
        return step(guided, timestep, latent, *args, **kwargs)

    pipe.unet.forward, pipe.scheduler.step = recorded_forward, recorded_step
    width, height = size
    generator = torch.Generator("cpu").manual_seed(seed)
    noise = torch.randn((1, 4, height, width), generator=generator)
    pipe(
        PROMPT,
        negative_prompt=NEGATIVE,
        width=width * pipe.vae_scale_factor,
        height=height * pipe.vae_scale_factor,
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=generator,
        latents=noise,
        output_type="latent",
    )
    pipe.unet.forward = forward
    return {name: torch.cat(values) for name, values in arrays.items()}, inputs


def second_pass(pipe, inputs, size):
    """Token maps of some calls, and the predictions for the empty prompt of all."""
    empty, _ = pipe.encode_prompt("", "cpu", 1, False)
    predictions = [
        pipe.unet(sample, timestep, encoder_hidden_states=empty).sample
        for sample, timestep, _ in inputs
    ]
    kept, probabilities = [], []
    own = dict(pipe.unet.attn_processors)
    for layer, attention in enumerate(cross_attentions(pipe.unet)):
        attention.set_processor(Maps(probabilities, layer))
    for number, call in enumerate(MAPPED_CALLS):
        sample, timestep, prompts = inputs[call]
        pipe.unet(sample.repeat(2, 1, 1, 1), timestep, encoder_hidden_states=prompts)
        kept += [(number, layer, values) for layer, values in probabilities]
        probabilities.clear()
    pipe.unet.set_attn_processor(own)
    width, height = size
    return torch.cat(predictions), token_maps(kept, height, width)


def write():
    warnings.filterwarnings("ignore")
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    torch.set_grad_enabled(False)
    cases, tensors = [], {}
    for number, (model, sampler, schedule, size) in enumerate(CASES):
        pipe = StableDiffusionPipeline.from_pretrained(
            MODELS / model / "model", torch_dtype=torch.float32, safety_checker=None
        )
        pipe.set_progress_bar_config(disable=True)
        pipe.scheduler = schedules.make(sampler, schedule, pipe.scheduler.config, STEPS)
        arrays, inputs = record(pipe, number, size)
        assert all(torch.isfinite(values).all() for values in arrays.values()), (model, sampler)
        difference = (arrays["positive"] - arrays["negative"]).norm() / arrays["positive"].norm()
        assert difference > 0.03, "the prompts make no difference"
        case = {
            "name": f"{number}-{sampler}",
            "model": model,
            "sampler": sampler,
            "schedule": schedule,
            "seed": number,
            "width": size[0] * pipe.vae_scale_factor,
            "height": size[1] * pipe.vae_scale_factor,
        }
        if number in MAPPED:
            arrays["empty"], maps = second_pass(pipe, inputs, size)
            for branch, text in enumerate((NEGATIVE, PROMPT)):
                tokens = pipe.tokenizer.tokenize(text)
                # The start token is left out.
                shown = maps[branch, 1 : 1 + len(tokens)]
                spread = float(shown.std() / shown.mean())
                print(f"  {text!r}: spread {spread:.3f} of the mean")
                assert spread > 0.01, "flat maps cannot show a mistake"
                arrays[f"maps.{branch}"] = shown
            case["tokens"] = [pipe.tokenizer.tokenize(text) for text in (NEGATIVE, PROMPT)]
            case["mapped_calls"] = MAPPED_CALLS
        for name, values in arrays.items():
            tensors[f"{case['name']}.{name}"] = values.contiguous()
        print(f"{model} {sampler}: {len(inputs)} calls, prompts differ by {difference:.2f}")
        cases.append(case)
    save_file(tensors, HERE / "inspect.safetensors")
    settings = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE,
        "steps": STEPS,
        "guidance_scale": GUIDANCE,
    }
    text = {"settings": settings, "cases": cases}
    (HERE / "inspect.json").write_text(json.dumps(text, indent=1) + "\n", newline="\n")


if __name__ == "__main__":
    write()
