"""What the bench compares with, from diffusers and PyTorch.

python peer.py export MODEL OUT     OUT/unet.onnx (f32) and OUT/request.json: one guided request as numbers, so that another
                                    runtime can walk the same way from noise to latent
python peer.py time MODEL THREADS   one line of JSON: seconds of guided U-Net calls in PyTorch on the CPU
python peer.py cuda MODEL           likewise in fp16 on a GPU; null where PyTorch has none
python peer.py flops MODEL SIDE …   one line of JSON: FLOPs of a guided U-Net call for latents of SIDE × SIDE, as PyTorch counts
                                    them; nothing is computed

MODEL is a folder in diffusers' layout.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

PROMPT, NEGATIVE_PROMPT, SEED, GUIDANCE, STEPS = "Portrait photo of a man", "mustache", 19, 7.5, 20
OPSET = 17  # the first with LayerNormalization as one operator
CALLS = 15


def load(model):
    parts = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipeline = StableDiffusionPipeline.from_pretrained(model, dtype=torch.float32, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def embeddings(pipeline):
    """[2, 77, cross_attention_dim]: negative, then positive."""
    positive, negative = pipeline.encode_prompt(PROMPT, "cpu", 1, True, NEGATIVE_PROMPT)
    return torch.cat([negative, positive])


class Prediction(torch.nn.Module):
    """The U-Net with a tensor for a result."""

    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, sample, timestep, encoder_hidden_states):
        return self.unet(sample, timestep, encoder_hidden_states, return_dict=False)[0]


def euler(scheduler, steps):
    scheduler.set_timesteps(steps)
    return {
        "init_noise_sigma": float(scheduler.init_noise_sigma),
        "timesteps": scheduler.timesteps.tolist(),
        "sigmas": scheduler.sigmas.tolist(),
    }


def export(pipeline, out):
    out.mkdir(parents=True, exist_ok=True)
    unet = pipeline.unet
    size = unet.config.sample_size
    states = embeddings(pipeline)
    noise = torch.randn(1, unet.config.in_channels, size, size, generator=torch.manual_seed(SEED))
    sample, timestep = noise.repeat(2, 1, 1, 1), torch.tensor([501.0])
    # Shapes stay fixed, so that the runtime can plan for them.
    torch.onnx.export(
        Prediction(unet).eval(),
        (sample, timestep, states),
        str(out / "unet.onnx"),
        input_names=["sample", "timestep", "encoder_hidden_states"],
        output_names=["prediction"],
        opset_version=OPSET,
        dynamo=False,
    )
    scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    request = {
        "prompt": PROMPT,
        "negative_prompt": NEGATIVE_PROMPT,
        "seed": SEED,
        "guidance_scale": GUIDANCE,
        "size": size * 2 ** (len(pipeline.vae.config.block_out_channels) - 1),
        "latent_shape": list(noise.shape[1:]),
        "states_shape": list(states.shape),
        "states": states.flatten().tolist(),
        "noise": noise.flatten().tolist(),
        "euler": {str(steps): euler(scheduler, steps) for steps in (1, STEPS)},
        "parameters": sum(p.numel() for p in unet.parameters()),
    }
    (out / "request.json").write_text(json.dumps(request))


def timing(pipeline, device, dtype, wait):
    unet = pipeline.unet.to(device, dtype)
    size = unet.config.sample_size
    sample = torch.randn(
        2, unet.config.in_channels, size, size, generator=torch.manual_seed(SEED)
    ).to(device, dtype)
    states = embeddings(pipeline).to(device, dtype)
    seconds = []
    for _ in range(CALLS + 3):
        begin = time.perf_counter()
        unet(sample, 501, states)
        wait()
        seconds.append(time.perf_counter() - begin)
    return {"torch": torch.__version__, "seconds": seconds[3:]}


def flops(model, sides):
    """Of each side, a multiply-add being two."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(
            UNet2DConditionModel.load_config(Path(model) / "unet")
        )
        states = torch.empty(2, 77, unet.config.cross_attention_dim)
        counted = []
        for side in sides:
            sample = torch.empty(2, unet.config.in_channels, side, side)
            with FlopCounterMode(display=False) as counter:
                unet(sample, torch.tensor(501), states)
            counted.append(counter.get_total_flops())
    return counted


def main():
    command, model, *rest = sys.argv[1:]
    if command == "cuda" and not torch.cuda.is_available():
        print("null")
        return
    with torch.no_grad():
        if command == "flops":
            print(json.dumps(flops(model, [int(side) for side in rest])))
            return
        pipeline = load(model)
        if command == "export":
            export(pipeline, Path(rest[0]))
        elif command == "time":
            torch.set_num_threads(int(rest[0]))
            print(json.dumps(timing(pipeline, "cpu", torch.float32, lambda: None)))
        elif command == "cuda":
            measured = timing(pipeline, "cuda", torch.float16, torch.cuda.synchronize)
            print(json.dumps({**measured, "gpu": torch.cuda.get_device_name()}))
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
