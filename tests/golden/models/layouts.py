"""The configuration files of the tiny models.

Each model represents a kind of folder in use: key names of old and new releases, sharded weights,
variant names, configuration files with every key and with few. Together they cover what the engine
has to read:

| model | kind | U-Net levels | what it covers |
|---|---|---|---|
| sd1-pndm | SD1 | 2 | SD1.5's own terse JSON files, old VAE attention names, `position_ids`, layers_per_block 2, scheduler without timestep_spacing |
| sd1-four-levels | SD1 | 4 | SD1.5's block order, 3 heads and 3 groups, sharded U-Net, DDIM leading, offset 1 |
| sd1-plain-first | SD1 | 3 | plain block first and last, fp16 variant names, tokenizer.json alone, VAE of 3 levels, scheduler without clip_sample |
| sd1-all-cross | SD1 | 4 | cross-attention in every block, layers_per_block 2, linear betas, terse DPM-Solver config, mixed precision on disk |
| sd2-v | SD2 | 2 | v-prediction, padding "!", GELU, linear projections, heads per level with sizes 4 and 40, upcast attention |
| sd2-five-heads | SD2 | 3 | 5 heads of 8, plain block in the middle, Euler trailing, VAE without mid attention and post-quant conv |
| sd2-linear-v | SD2 | 3 | v-prediction with linear betas, linspace, Euler ancestral, plain block first, odd VAE |
"""

START, END = 860, 861  # ids of <|startoftext|> and <|endoftext|> in tokenizer/vocab.json

SD1_DOWN, SD1_UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
PLAIN_DOWN, PLAIN_UP = "DownBlock2D", "UpBlock2D"


def unet(channels, heads, cross, *, plain=(), layers=1, groups=8, sample=8, **more):
    """A U-Net configuration in the short form of SD1.5's file.

    `plain`: levels without attention.
    """
    levels = range(len(channels))
    return {
        "_class_name": "UNet2DConditionModel",
        "_diffusers_version": "0.10.0",
        "act_fn": "silu",
        "attention_head_dim": heads,
        "block_out_channels": list(channels),
        "center_input_sample": False,
        "cross_attention_dim": cross,
        "down_block_types": [PLAIN_DOWN if i in plain else SD1_DOWN for i in levels],
        "downsample_padding": 1,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": 4,
        "layers_per_block": layers,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-05,
        "norm_num_groups": groups,
        "out_channels": 4,
        "sample_size": sample,
        "up_block_types": [PLAIN_UP if i in plain else SD1_UP for i in reversed(levels)],
    } | more


def vae(channels, *, layers=1, groups=4, **more):
    """A VAE configuration in the short form of SD1.5's file."""
    return {
        "_class_name": "AutoencoderKL",
        "_diffusers_version": "0.6.0",
        "act_fn": "silu",
        "block_out_channels": list(channels),
        "down_block_types": ["DownEncoderBlock2D"] * len(channels),
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": layers,
        "norm_num_groups": groups,
        "out_channels": 3,
        "sample_size": 64,
        "up_block_types": ["UpDecoderBlock2D"] * len(channels),
    } | more


def text(width, heads, layers, act, **more):
    """A text encoder configuration."""
    return {
        "architectures": ["CLIPTextModel"],
        "attention_dropout": 0.0,
        "bos_token_id": START,
        "dropout": 0.0,
        "eos_token_id": END,
        "hidden_act": act,
        "hidden_size": width,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "intermediate_size": 2 * width,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 77,
        "model_type": "clip_text_model",
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "pad_token_id": 1,
        "projection_dim": 16,
        "torch_dtype": "float16",
        "vocab_size": 862,
    } | more


SD_BETAS = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}
LINEAR_BETAS = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
}
# Keys that diffusers 0.42 saves in a U-Net's file without needing them.
FULL_UNET = {
    "_diffusers_version": "0.42.1",
    "addition_embed_type": None,
    "addition_embed_type_num_heads": 64,
    "addition_time_embed_dim": None,
    "attention_type": "default",
    "class_embed_type": None,
    "class_embeddings_concat": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_norm": None,
    "dropout": 0.0,
    "dual_cross_attention": False,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "mid_block_only_cross_attention": None,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "num_attention_heads": None,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "projection_class_embeddings_input_dim": None,
    "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False,
    "resnet_time_scale_shift": "default",
    "reverse_transformer_layers_per_block": None,
    "time_cond_proj_dim": None,
    "time_embedding_act_fn": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
    "transformer_layers_per_block": 1,
    "upcast_attention": False,
    "use_linear_projection": False,
}
SD2_UNET = {
    "dual_cross_attention": False,
    "only_cross_attention": False,
    "num_class_embeds": None,
    "use_linear_projection": True,
    "_diffusers_version": "0.10.0.dev0",
}
FULL_VAE = {
    "_diffusers_version": "0.42.1",
    "force_upcast": True,
    "latents_mean": None,
    "latents_std": None,
    "shift_factor": None,
}

MODELS = {
    "sd1-pndm": {
        "seed": 11,
        "unet": unet((16, 24), 4, 32, plain=(1,), layers=2),
        "vae": vae((8, 8, 16, 16), layers=2),
        "text": text(32, 4, 2, "quick_gelu"),
        # SD1.5's first file, without timestep_spacing and prediction_type.
        "scheduler": {
            "_class_name": "PNDMScheduler",
            "_diffusers_version": "0.6.0",
            **SD_BETAS,
            "clip_sample": False,
            "set_alpha_to_one": False,
            "skip_prk_steps": True,
            "steps_offset": 1,
            "trained_betas": None,
        },
        "old_names": True,
        "safety_checker": True,
    },
    "sd1-four-levels": {
        "seed": 12,
        "unet": unet((12, 12, 24, 24), 3, 24, plain=(3,), groups=3),
        "vae": vae((8, 8, 12, 12), groups=2, scaling_factor=0.18215),
        "text": text(24, 2, 3, "quick_gelu"),
        "scheduler": {
            "_class_name": "DDIMScheduler",
            "_diffusers_version": "0.42.1",
            **SD_BETAS,
            "clip_sample": False,
            "clip_sample_range": 1.0,
            "dynamic_thresholding_ratio": 0.995,
            "prediction_type": "epsilon",
            "rescale_betas_zero_snr": False,
            "sample_max_value": 1.0,
            "set_alpha_to_one": False,
            "steps_offset": 1,
            "skip_prk_steps": True,
            "thresholding": False,
            "timestep_spacing": "leading",
            "trained_betas": None,
        },
        "sharded": True,
    },
    "sd1-plain-first": {
        "seed": 13,
        "unet": unet((16, 16, 24), 2, 32, plain=(0, 2), sample=12, **FULL_UNET),
        "vae": vae(
            (8, 16, 16),
            groups=8,
            scaling_factor=0.4908396693754512,
            mid_block_add_attention=True,
            use_quant_conv=True,
            use_post_quant_conv=True,
            **FULL_VAE,
        ),
        "text": text(32, 2, 2, "quick_gelu", dtype="float16"),
        "scheduler": {
            "_class_name": "PNDMScheduler",
            "_diffusers_version": "0.42.1",
            **SD_BETAS,
            "prediction_type": "epsilon",
            "set_alpha_to_one": False,
            "skip_prk_steps": True,
            "steps_offset": 1,
            "timestep_spacing": "leading",
            "trained_betas": None,
        },
        "variant": "fp16",
        "tokenizer": "json",
    },
    "sd1-all-cross": {
        "seed": 14,
        "unet": unet((8, 8, 16, 16), 2, 20, layers=2, groups=4),
        "vae": vae((4, 8, 8, 16), groups=4, scaling_factor=0.18215),
        "text": text(20, 5, 1, "quick_gelu"),
        # Missing keys take the scheduler class's own defaults.
        "scheduler": {
            "_class_name": "DPMSolverMultistepScheduler",
            "_diffusers_version": "0.11.0",
            **SD_BETAS,
            "beta_schedule": "linear",
            "clip_sample": False,
            "steps_offset": 1,
        },
        "text_f32": True,
    },
    "sd2-v": {
        "seed": 15,
        "unet": unet((20, 40), [5, 1], 28, plain=(1,), groups=5, upcast_attention=True, **SD2_UNET),
        "vae": vae((8, 8, 16, 16), scaling_factor=0.18215),
        "text": text(28, 4, 3, "gelu"),
        # SD2.1's file.
        "scheduler": {
            "_class_name": "DDIMScheduler",
            "_diffusers_version": "0.8.0",
            **SD_BETAS,
            "clip_sample": False,
            "prediction_type": "v_prediction",
            "set_alpha_to_one": False,
            "skip_prk_steps": True,
            "steps_offset": 1,
            "trained_betas": None,
        },
        "tokenizer": "sd2",
        "old_names": True,
    },
    "sd2-five-heads": {
        "seed": 16,
        "unet": unet((8, 8, 40), [2, 2, 5], 40, plain=(1,), groups=4, **SD2_UNET),
        "vae": vae(
            (8, 12, 16, 16),
            groups=4,
            scaling_factor=0.13025,
            mid_block_add_attention=False,
            use_quant_conv=False,
            use_post_quant_conv=False,
            **FULL_VAE,
        ),
        "text": text(40, 5, 2, "gelu"),
        "scheduler": {
            "_class_name": "EulerDiscreteScheduler",
            "_diffusers_version": "0.24.0.dev0",
            **SD_BETAS,
            "clip_sample": False,
            "interpolation_type": "linear",
            "prediction_type": "epsilon",
            "sample_max_value": 1.0,
            "set_alpha_to_one": False,
            "skip_prk_steps": True,
            "steps_offset": 1,
            "timestep_spacing": "trailing",
            "timestep_type": "discrete",
            "trained_betas": None,
            "use_karras_sigmas": False,
        },
        "tokenizer": "sd2",
    },
    "sd2-linear-v": {
        "seed": 17,
        "unet": unet(
            (10, 20, 20), [2, 4, 2], 24, plain=(0,), groups=5, upcast_attention=False, **SD2_UNET
        ),
        "vae": vae((6, 9, 9, 12), groups=3, layers=2, scaling_factor=0.3),
        "text": text(24, 3, 2, "gelu"),
        "scheduler": {
            "_class_name": "EulerAncestralDiscreteScheduler",
            "_diffusers_version": "0.42.1",
            **LINEAR_BETAS,
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": False,
            "steps_offset": 1,
            "set_alpha_to_one": False,
            "skip_prk_steps": True,
            "timestep_spacing": "linspace",
            "trained_betas": None,
        },
        "tokenizer": "sd2",
    },
}
