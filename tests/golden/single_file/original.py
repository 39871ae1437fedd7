"""Names and shapes of a checkpoint's tensors, in the order in which the original code makes them.

Written after the constructors of `UNetModel` (ldm/modules/diffusionmodules/openaimodel.py),
`Encoder` and `Decoder` (ldm/modules/diffusionmodules/model.py), transformers' `CLIPTextModel` below
`FrozenCLIPEmbedder`, and open_clip's text tower below `FrozenOpenCLIPEmbedder`. Parameters are
named as in the published YAML files (v1-inference.yaml, v2-inference.yaml, v2-inference-v.yaml).
"""


class Names(dict):
    """Name → shape. The methods add layers."""

    def __init__(self, prefix):
        super().__init__()
        self.prefix = prefix

    def layer(self, name, *shape, bias=True):
        self[f"{self.prefix}{name}.weight"] = list(shape)
        if bias:
            self[f"{self.prefix}{name}.bias"] = [shape[0]]

    def norm(self, name, channels):
        self.layer(name, channels)


def unet(
    *,
    model_channels,
    channel_mult,
    num_res_blocks,
    attention_resolutions,
    context_dim,
    in_channels=4,
    out_channels=4,
    transformer_depth=1,
    use_linear_in_transformer=False,
    **_,
):
    names = Names("model.diffusion_model.")
    time = 4 * model_channels
    names.layer("time_embed.0", time, model_channels)
    names.layer("time_embed.2", time, time)

    def res_block(at, inputs, outputs):
        names.norm(f"{at}.in_layers.0", inputs)
        names.layer(f"{at}.in_layers.2", outputs, inputs, 3, 3)
        names.layer(f"{at}.emb_layers.1", outputs, time)
        names.norm(f"{at}.out_layers.0", outputs)
        names.layer(f"{at}.out_layers.3", outputs, outputs, 3, 3)
        if inputs != outputs:
            names.layer(f"{at}.skip_connection", outputs, inputs, 1, 1)

    def spatial_transformer(at, channels):
        one = [] if use_linear_in_transformer else [1, 1]
        names.norm(f"{at}.norm", channels)
        names.layer(f"{at}.proj_in", channels, channels, *one)
        for depth in range(transformer_depth):
            block = f"{at}.transformer_blocks.{depth}"
            for attention, context in (("attn1", channels), ("attn2", context_dim)):
                names.layer(f"{block}.{attention}.to_q", channels, channels, bias=False)
                names.layer(f"{block}.{attention}.to_k", channels, context, bias=False)
                names.layer(f"{block}.{attention}.to_v", channels, context, bias=False)
                names.layer(f"{block}.{attention}.to_out.0", channels, channels)
            names.layer(f"{block}.ff.net.0.proj", 8 * channels, channels)
            names.layer(f"{block}.ff.net.2", channels, 4 * channels)
            for norm in ("norm1", "norm2", "norm3"):
                names.norm(f"{block}.{norm}", channels)
        names.layer(f"{at}.proj_out", channels, channels, *one)

    names.layer("input_blocks.0.0", model_channels, in_channels, 3, 3)
    channels, blocks, resolution, skips = model_channels, 1, 1, [model_channels]
    for level, mult in enumerate(channel_mult):
        for _ in range(num_res_blocks):
            res_block(f"input_blocks.{blocks}.0", channels, mult * model_channels)
            channels = mult * model_channels
            if resolution in attention_resolutions:
                spatial_transformer(f"input_blocks.{blocks}.1", channels)
            skips.append(channels)
            blocks += 1
        if level != len(channel_mult) - 1:
            names.layer(f"input_blocks.{blocks}.0.op", channels, channels, 3, 3)
            skips.append(channels)
            blocks += 1
            resolution *= 2
    res_block("middle_block.0", channels, channels)
    spatial_transformer("middle_block.1", channels)
    res_block("middle_block.2", channels, channels)
    blocks = 0
    for level, mult in reversed(list(enumerate(channel_mult))):
        for i in range(num_res_blocks + 1):
            res_block(f"output_blocks.{blocks}.0", channels + skips.pop(), mult * model_channels)
            channels, layers = mult * model_channels, 1
            if resolution in attention_resolutions:
                spatial_transformer(f"output_blocks.{blocks}.1", channels)
                layers = 2
            if level and i == num_res_blocks:
                names.layer(f"output_blocks.{blocks}.{layers}.conv", channels, channels, 3, 3)
                resolution //= 2
            blocks += 1
    names.norm("out.0", channels)
    names.layer("out.2", out_channels, channels, 3, 3)
    return names


def vae(*, ch, ch_mult, num_res_blocks, z_channels, embed_dim, in_channels=3, out_ch=3, **_):
    names = Names("first_stage_model.")

    def res_block(at, inputs, outputs):
        names.norm(f"{at}.norm1", inputs)
        names.layer(f"{at}.conv1", outputs, inputs, 3, 3)
        names.norm(f"{at}.norm2", outputs)
        names.layer(f"{at}.conv2", outputs, outputs, 3, 3)
        if inputs != outputs:
            names.layer(f"{at}.nin_shortcut", outputs, inputs, 1, 1)

    def middle(at, channels):
        res_block(f"{at}.mid.block_1", channels, channels)
        names.norm(f"{at}.mid.attn_1.norm", channels)
        for layer in ("q", "k", "v", "proj_out"):
            names.layer(f"{at}.mid.attn_1.{layer}", channels, channels, 1, 1)
        res_block(f"{at}.mid.block_2", channels, channels)

    names.layer("encoder.conv_in", ch, in_channels, 3, 3)
    channels = ch
    for level, mult in enumerate(ch_mult):
        for i in range(num_res_blocks):
            res_block(f"encoder.down.{level}.block.{i}", channels, ch * mult)
            channels = ch * mult
        if level != len(ch_mult) - 1:
            names.layer(f"encoder.down.{level}.downsample.conv", channels, channels, 3, 3)
    middle("encoder", channels)
    names.norm("encoder.norm_out", channels)
    names.layer("encoder.conv_out", 2 * z_channels, channels, 3, 3)
    names.layer("decoder.conv_in", channels, z_channels, 3, 3)
    middle("decoder", channels)
    for level, mult in reversed(list(enumerate(ch_mult))):
        for i in range(num_res_blocks + 1):
            res_block(f"decoder.up.{level}.block.{i}", channels, ch * mult)
            channels = ch * mult
        if level:
            names.layer(f"decoder.up.{level}.upsample.conv", channels, channels, 3, 3)
    names.norm("decoder.norm_out", channels)
    names.layer("decoder.conv_out", out_ch, channels, 3, 3)
    names.layer("quant_conv", 2 * embed_dim, 2 * z_channels, 1, 1)
    names.layer("post_quant_conv", z_channels, embed_dim, 1, 1)
    return names


def clip(*, width, layers, vocab=49408, positions=77):
    names = Names("cond_stage_model.transformer.text_model.")
    names.layer("embeddings.token_embedding", vocab, width, bias=False)
    names.layer("embeddings.position_embedding", positions, width, bias=False)
    for i in range(layers):
        at = f"encoder.layers.{i}"
        for layer in ("k_proj", "v_proj", "q_proj", "out_proj"):
            names.layer(f"{at}.self_attn.{layer}", width, width)
        names.norm(f"{at}.layer_norm1", width)
        names.layer(f"{at}.mlp.fc1", 4 * width, width)
        names.layer(f"{at}.mlp.fc2", width, 4 * width)
        names.norm(f"{at}.layer_norm2", width)
    names.norm("final_layer_norm", width)
    return names


def open_clip(*, width, layers, vocab=49408, positions=77):
    names = Names("cond_stage_model.model.")
    names[f"{names.prefix}positional_embedding"] = [positions, width]
    names[f"{names.prefix}text_projection"] = [width, width]
    for i in range(layers):
        at = f"transformer.resblocks.{i}"
        names.norm(f"{at}.ln_1", width)
        names[f"{names.prefix}{at}.attn.in_proj_weight"] = [3 * width, width]
        names[f"{names.prefix}{at}.attn.in_proj_bias"] = [3 * width]
        names.layer(f"{at}.attn.out_proj", width, width)
        names.norm(f"{at}.ln_2", width)
        names.layer(f"{at}.mlp.c_fc", 4 * width, width)
        names.layer(f"{at}.mlp.c_proj", width, 4 * width)
    names.layer("token_embedding", vocab, width, bias=False)
    names.norm("ln_final", width)
    return names
