"""Makes expected.json and expected.safetensors: guidance within the attention, by diffusers.

Run by `python generate.py` after ../models/generate.py (versions in ../requirements.txt). Final
latents in f32 on the CPU of StableDiffusionPipeline with attention processors of this file:

- NAG (arXiv 2505.21179): the attention of the prompt's image is moved away from that to the
  negative prompt.
- Negative weights (NegPiP): values of the cross-attentions are computed of embeddings in which
  tokens of negative weight are negated, keys of embeddings in which they are not.

And of StableDiffusionPAGPipeline, and of a loop over diffusers' guiders:

- PAG (arXiv 2403.17377): a further prediction with the identity as self-attention of the mid block.
- SLG: a further prediction without the mid block's transformer layer.
"""

import json
import warnings
from pathlib import Path

import diffusers
import torch
from diffusers import StableDiffusionPAGPipeline, StableDiffusionPipeline
from diffusers.guiders import PerturbedAttentionGuidance, SkipLayerGuidance
from diffusers.hooks import HookRegistry, LayerSkipConfig
from diffusers.hooks.layer_skip import _apply_layer_skip_hook
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
MODELS = ("sd1-pndm", "sd2-v")
SAMPLERS = {
    "euler": diffusers.EulerDiscreteScheduler,
    "euler-a": diffusers.EulerAncestralDiscreteScheduler,
    "ddim": diffusers.DDIMScheduler,
    "pndm": diffusers.PNDMScheduler,
    "dpm++2m": diffusers.DPMSolverMultistepScheduler,
    "unipc": diffusers.UniPCMultistepScheduler,
}
WIDTH, HEIGHT, STEPS = 64, 48, 5
PROMPT, NEGATIVE = "Portrait photo of a man", "mustache"

# Sampler, guidance scale, NAG scale, tau, alpha.
NAG = [
    ("euler", 1.0, 5.0, 2.5, 0.25),
    ("dpm++2m", 1.0, 3.0, 1.1, 0.5),
    ("euler-a", 1.0, 11.0, 2.5, 0.25),
    ("pndm", 7.5, 5.0, 2.5, 0.25),
    ("ddim", 3.0, 2.0, 1.0, 1.0),
    ("unipc", 3.0, 5.0, 1.5, 0.5),
]
# Sampler, guidance scale, emphasis, prompts as pieces of text and weight, NAG scale.
NEGATIVE_WEIGHTS = [
    ("euler", 1.0, "original", [("Portrait photo of a man", 1.0), ("mustache", -1.0)], [], 0.0),
    ("ddim", 5.0, "no-norm", [("a man", 1.3), ("red hair", -0.7), ("at night", 1.0)], [("mustache", 1.0)], 0.0),
    ("pndm", 5.0, "original", [("a man", 1.0)], [("mustache", 1.0), ("hat", -1.2)], 0.0),
    ("dpm++2m", 1.0, "original", [("a man", 1.0), ("hat", -0.5)], [("mustache", 1.4)], 5.0),
]
# Kind, sampler, guidance scale, scale of the further prediction.
PERTURBED = [
    ("pag", "euler", 1.0, 3.0),
    ("pag", "ddim", 5.0, 3.0),
    ("pag", "pndm", 3.0, 1.5),
    ("slg", "euler", 1.0, 2.8),
    ("slg", "dpm++2m", 5.0, 2.8),
]


class Processor:
    """The attention to prompts: with NAG if `nag` is set, and with values of `for_values`."""

    def __init__(self):
        self.nag = None
        self.negative = None
        self.for_values = None

    def attend(self, attn, x, keys_of, values_of):
        heads = lambda z: z.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        q, k, v = heads(attn.to_q(x)), heads(attn.to_k(keys_of)), heads(attn.to_v(values_of))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        count = len(encoder_hidden_states)
        for_values = encoder_hidden_states
        if self.for_values is not None:
            for_values = self.for_values[-count:]
        z = self.attend(attn, hidden_states, encoder_hidden_states, for_values)
        if self.nag is not None:
            scale, tau, alpha = self.nag
            keys_of, values_of = self.negative
            positive = z[-1:]
            negative = self.attend(attn, hidden_states[-1:], keys_of, values_of)
            away = scale * positive - (scale - 1) * negative
            norm = lambda x: x.abs().sum(-1, keepdim=True)
            ratio = norm(away) / norm(positive)
            away = away * ratio.clamp(max=tau) / ratio
            self.limited += int((ratio > tau).sum())
            self.tokens += ratio.numel()
            z = torch.cat([z[:-1], alpha * away + (1 - alpha) * positive])
        return attn.to_out[0](z)


def with_processor(pipe):
    processor = Processor()
    own = pipe.unet.attn_processors
    pipe.unet.set_attn_processor(
        {name: processor if ".attn2." in name else old for name, old in own.items()}
    )
    return processor


def embed(pipe, pieces, emphasis):
    """Embeddings for keys and for values of pieces of text and weight."""
    tokenizer = pipe.tokenizer
    ids, weights = [tokenizer.bos_token_id], [1.0]
    for text, weight in pieces:
        content = tokenizer(text, add_special_tokens=False).input_ids
        ids += content
        weights += [weight] * len(content)
    ids.append(tokenizer.eos_token_id)
    ids += [tokenizer.pad_token_id] * (77 - len(ids))
    weights = torch.tensor(weights + [1.0] * (77 - len(weights)))[None, :, None]
    z = pipe.text_encoder(torch.tensor([ids]))[0]
    weighted = z * weights.abs()
    if emphasis == "original":
        weighted = weighted * (z.mean() / weighted.mean())
    return weighted, torch.where(weights < 0, -weighted, weighted)


def noise(pipe, seed):
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (1, 4, HEIGHT // pipe.vae_scale_factor, WIDTH // pipe.vae_scale_factor)
    return torch.randn(shape, generator=generator), generator


def generate(pipe, own, sampler, guidance, seed, **prompts):
    pipe.scheduler = SAMPLERS[sampler].from_config(own)
    latents, generator = noise(pipe, seed)
    return pipe(
        width=WIDTH,
        height=HEIGHT,
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        generator=generator,
        latents=latents,
        output_type="latent",
        **prompts,
    ).images


def nag_cases(pipe, own, add):
    processor = with_processor(pipe)
    negative, _ = embed(pipe, [(NEGATIVE, 1.0)], "original")
    for seed, (sampler, guidance, *nag) in enumerate(NAG):
        prompts = {"prompt": PROMPT, "negative_prompt": NEGATIVE}
        processor.nag, processor.negative = nag, (negative, negative)
        processor.limited = processor.tokens = 0
        latent = generate(pipe, own, sampler, guidance, seed, **prompts)
        share = processor.limited / processor.tokens
        processor.nag = None
        without = generate(pipe, own, sampler, guidance, seed, **prompts)
        settings = dict(zip(("nag_scale", "nag_tau", "nag_alpha"), nag, strict=True))
        settings |= prompts | {"sampler": sampler, "guidance_scale": guidance, "seed": seed}
        print(f"  norms limited at {share:.0%} of the tokens")
        add(f"nag-{seed}", settings, latent, without)


def spelt(pieces):
    """The pieces in the prompt language."""
    return " ".join(text if weight == 1.0 else f"({text}:{weight})" for text, weight in pieces)


def negative_weight_cases(pipe, own, add):
    processor = with_processor(pipe)
    for seed, (sampler, guidance, emphasis, prompt, negative, scale) in enumerate(NEGATIVE_WEIGHTS):
        keys, values = zip(*(embed(pipe, pieces, emphasis) for pieces in (negative, prompt)))
        processor.for_values = torch.cat(values)
        processor.nag = [scale, 2.5, 0.25] if scale else None
        processor.negative = (keys[0], values[0])
        processor.limited = processor.tokens = 0
        run = lambda: generate(
            pipe, own, sampler, guidance, seed, prompt_embeds=keys[1], negative_prompt_embeds=keys[0]
        )
        latent = run()
        processor.for_values = torch.cat(keys)
        processor.negative = (keys[0], keys[0])
        settings = {
            "prompt": spelt(prompt),
            "negative_prompt": spelt(negative),
            "prompt_syntax": "a1111",
            "emphasis": emphasis,
            "sampler": sampler,
            "guidance_scale": guidance,
            "nag_scale": scale,
            "seed": seed,
        }
        add(f"weights-{seed}", settings, latent, run())


def guided(kind, guidance, scale):
    """A guider of diffusers that perturbs the mid block's only transformer layer."""
    where = {"indices": [0], "fqn": "mid_block.attentions.0.transformer_blocks"}
    if kind == "pag":
        layers = LayerSkipConfig(**where, skip_attention=False, skip_attention_scores=True, skip_ff=False)
        return layers, PerturbedAttentionGuidance(guidance, scale, perturbed_guidance_config=layers)
    layers = LayerSkipConfig(**where)
    return layers, SkipLayerGuidance(guidance, scale, skip_layer_config=layers)


def loop(pipe, own, kind, sampler, guidance, scale, seed):
    """A denoising loop with a guider. It is in force at every step."""
    layers, guider = guided(kind, guidance, scale)
    scheduler = SAMPLERS[sampler].from_config(own)
    scheduler.set_timesteps(STEPS)
    latent, generator = noise(pipe, seed)
    latent = latent * scheduler.init_noise_sigma
    negative, prompt = (embed(pipe, [(text, 1.0)], "none")[0] for text in (NEGATIVE, PROMPT))
    for t in scheduler.timesteps:
        x = scheduler.scale_model_input(latent, t)
        predict = lambda context: pipe.unet(x, t, context).sample
        predictions = {"pred_cond": predict(prompt)}
        if guidance != 1:
            predictions["pred_uncond"] = predict(negative)
        _apply_layer_skip_hook(pipe.unet, layers, name="skip")
        predictions["pred_cond_skip"] = predict(prompt)
        HookRegistry.check_if_exists_or_initialize(pipe.unet).remove_hook("skip", recurse=True)
        prediction = guider.forward(**predictions).pred
        if guidance == 1:
            # The guider starts from the perturbed prediction here, the paper from the other one.
            shift = predictions["pred_cond"] - predictions["pred_cond_skip"]
            prediction = predictions["pred_cond"] + scale * shift
        latent = scheduler.step(prediction, t, latent).prev_sample
    return latent


def perturbed_cases(pipe, own, add):
    pag = StableDiffusionPAGPipeline(**pipe.components, pag_applied_layers=["mid"], requires_safety_checker=False)
    pag.set_progress_bar_config(disable=True)
    for seed, (kind, sampler, guidance, scale) in enumerate(PERTURBED):
        prompts = {"prompt": PROMPT, "negative_prompt": NEGATIVE}
        without = generate(pipe, own, sampler, guidance, seed, **prompts)
        latent = loop(pipe, own, kind, sampler, guidance, scale, seed)
        if kind == "pag":
            whole = generate(pag, own, sampler, guidance, seed, pag_scale=scale, **prompts)
            assert relative(latent, whole) < 1e-5, "the pipeline and the guider disagree"
            latent = whole
        settings = prompts | {"sampler": sampler, "guidance_scale": guidance, "seed": seed}
        settings |= {"guidance_kind": kind, "guidance_options": {"scale": scale}}
        add(f"{kind}-{seed}", settings, latent, without)


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def main():
    warnings.filterwarnings("ignore")
    diffusers.utils.logging.set_verbosity_error()
    diffusers.utils.logging.disable_progress_bar()
    torch.set_grad_enabled(False)
    tensors, cases = {}, []
    for model in MODELS:

        def add(name, settings, latent, without):
            effect = relative(without, latent)
            print(f"{model} {name}: effect {effect:.2f}, spread {float(latent.std()):.2f}")
            assert torch.isfinite(latent).all() and effect > 0.01, "without effect"
            tensors[f"{model}.{name}"] = latent.contiguous()
            cases.append({"model": model, "name": name, "request": settings})

        for make in (nag_cases, negative_weight_cases, perturbed_cases):
            pipe = StableDiffusionPipeline.from_pretrained(
                HERE.parent / "models" / model / "model", torch_dtype=torch.float32, safety_checker=None
            )
            pipe.set_progress_bar_config(disable=True)
            make(pipe, pipe.scheduler.config, add)
    save_file(tensors, HERE / "expected.safetensors")
    text = {"steps": STEPS, "width": WIDTH, "height": HEIGHT, "cases": cases}
    (HERE / "expected.json").write_text(json.dumps(text, indent=1) + "\n", newline="\n")
    print(len(cases), "generations")


if __name__ == "__main__":
    main()
