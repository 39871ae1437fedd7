"""The published configurations of Stable Diffusion 1.5, 2.1-base and 2.1.

The contents of their folders' JSON files, and the parameters of the same networks in the original
code's YAML files (v1-inference.yaml, v2-inference.yaml, v2-inference-v.yaml).
"""

V1 = {
    "num_res_blocks": 2,
    "attention_resolutions": [4, 2, 1],
    "channel_mult": [1, 2, 4, 4],
    "in_channels": 4,
    "out_channels": 4,
    "transformer_depth": 1,
    "model_channels": 320,
}
LDM_VAE = {
    "z_channels": 4,
    "in_channels": 3,
    "out_ch": 3,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "ch": 128,
}

UNET = {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "down_block_types": [
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
        "CrossAttnDownBlock2D",
        "DownBlock2D",
    ],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": [
        "UpBlock2D",
        "CrossAttnUpBlock2D",
        "CrossAttnUpBlock2D",
        "CrossAttnUpBlock2D",
    ],
}
UNET1 = UNET | {"_diffusers_version": "0.6.0", "attention_head_dim": 8, "cross_attention_dim": 768}
UNET2 = UNET | {
    "_diffusers_version": "0.10.0.dev0",
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "dual_cross_attention": False,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "use_linear_projection": True,
}

VAE = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.6.0",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}

TEXT = {
    "architectures": ["CLIPTextModel"],
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "dropout": 0.0,
    "eos_token_id": 2,
    "initializer_factor": 1.0,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model",
    "pad_token_id": 1,
    "torch_dtype": "float32",
    "vocab_size": 49408,
}
CLIP_L = TEXT | {
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "projection_dim": 768,
}
# 23 of OpenCLIP ViT-H's 24 layers: Stable Diffusion 2 uses the second to last.
OPEN_CLIP_H = TEXT | {
    "hidden_act": "gelu",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 23,
    "projection_dim": 512,
}

SCHEDULER = {
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

SD2 = {
    "ldm_unet": V1
    | {"num_head_channels": 64, "use_linear_in_transformer": True, "context_dim": 1024},
    "text": OPEN_CLIP_H,
    "pad": "!",
}

# `predictions`: latent sizes of the guided U-Net steps. `tiled`: the latent's height and width, and
# the tile's side unless it is the model's own.
MODELS = {
    "sd15": {
        "seed": 15,
        "unet": UNET1,
        "vae": VAE,
        "text": CLIP_L,
        "scheduler": {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **SCHEDULER},
        "ldm_unet": V1 | {"num_heads": 8, "context_dim": 768},
        "pad": "<|endoftext|>",
        "predictions": [(64, 64), (32, 32)],
        "tiled": [(80, 72, None), (64, 64, 32)],
        "checkpoint": True,
    },
    "sd21-base": SD2
    | {
        "seed": 20,
        "unet": UNET2,
        "vae": VAE | {"_diffusers_version": "0.10.0.dev0", "sample_size": 768},
        "scheduler": {
            "_class_name": "PNDMScheduler",
            "_diffusers_version": "0.10.0.dev0",
            **SCHEDULER,
            "prediction_type": "epsilon",
        },
        "predictions": [(64, 64), (32, 32)],
        "tiled": [],
        "checkpoint": False,
    },
    "sd21": SD2
    | {
        "seed": 21,
        "unet": UNET2 | {"sample_size": 96, "upcast_attention": True},
        "vae": VAE | {"_diffusers_version": "0.8.0", "sample_size": 768},
        "scheduler": {
            "_class_name": "DDIMScheduler",
            "_diffusers_version": "0.8.0",
            **SCHEDULER,
            "prediction_type": "v_prediction",
        },
        "predictions": [(64, 64), (32, 32), (96, 96)],
        "tiled": [(56, 40, 32)],
        "checkpoint": True,
    },
}
