"""Makes pictures decoded in tiles: `python generate.py` (versions in ../requirements.txt).

For some VAEs of ../models this writes latents (not divided by the scaling factor) and the pictures
that diffusers' `AutoencoderKL.tiled_decode` makes of them in f32 on the CPU into
`expected.safetensors`. `expected.json` lists them with the side of the tiles.
"""

import json
import os

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
torch.use_deterministic_algorithms(True)
torch.set_grad_enabled(False)

# Model, height and width of the latent, side of a tile (None: the model's own). Some sizes end in a
# tile of one position, some in a tile no larger than its overlap, some have a single row or column.
CASES = [
    ("sd1-pndm", (13, 19), None),
    ("sd1-pndm", (8, 20), None),
    ("sd1-pndm", (17, 5), 12),
    ("sd1-plain-first", (17, 29), None),
    ("sd2-linear-v", (25, 16), 12),
]


def relative(a, b):
    return float((a.double() - b.double()).norm() / b.double().norm())


def main():
    generator = torch.Generator("cpu").manual_seed(77)
    tensors, cases = {}, []
    for number, (name, (height, width), side) in enumerate(CASES):
        vae = AutoencoderKL.from_pretrained(
            os.path.join(HERE, "../models", name, "model/vae"),
            torch_dtype=torch.float32,
            variant="fp16" if name == "sd1-plain-first" else None,
            local_files_only=True,
            low_cpu_mem_usage=False,
        ).eval()
        latent = torch.randn((1, 4, height, width), generator=generator)
        whole = vae.decode(latent / vae.config.scaling_factor).sample
        if side is not None:
            vae.tile_latent_min_size = side
            vae.tile_sample_min_size = side * 2 ** (len(vae.config.block_out_channels) - 1)
        vae.enable_tiling()
        tiled = vae.decode(latent / vae.config.scaling_factor).sample
        print(
            f"{name} {width}×{height}, tiles of {vae.tile_latent_min_size}: {tuple(tiled.shape)}, {relative(tiled, whole):.2f} from whole"
        )
        assert tiled.shape == whole.shape and relative(tiled, whole) > 0.01, (
            "tiles that cannot be told from the whole show nothing"
        )
        tensors[f"{number}.latent"], tensors[f"{number}.picture"] = latent, tiled.contiguous()
        cases.append(
            {
                "model": name,
                "side": vae.tile_latent_min_size,
                "latent": f"{number}.latent",
                "picture": f"{number}.picture",
            }
        )
    save_file(tensors, os.path.join(HERE, "expected.safetensors"))
    with open(os.path.join(HERE, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(cases, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
