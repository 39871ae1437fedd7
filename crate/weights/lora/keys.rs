//! Names of tensors in LoRA files.
//!
//! | program | name of a tensor |
//! |---|---|
//! | kohya's sd-scripts, LyCORIS | `lora_unet_down_blocks_0_…_to_q.lora_down.weight`, `lora_te_…` |
//! | diffusers from 0.19 | `unet.down_blocks.0.….to_q.lora.down.weight`, `text_encoder.…` |
//! | diffusers before | `unet.down_blocks.0.….processor.to_q_lora.down.weight` |
//! | PEFT | `unet.down_blocks.0.….to_q.lora_A.weight`, also under `base_model.model.` |

/// The network that a module belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// The U-Net.
    Unet,
    /// The text encoder.
    Text,
}

impl Network {
    /// The network's folder in diffusers' layout.
    pub fn folder(self) -> &'static str {
        match self {
            Network::Unet => "unet",
            Network::Text => "text_encoder",
        }
    }
}

/// The part that a tensor has in the change of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaf {
    /// First factor, `[rank, inputs, …]`.
    Down,
    /// Second factor, `[outputs, rank, …]`.
    Up,
    /// Kernel between both factors of a convolution, `[rank, rank, 3, 3]`.
    Mid,
    /// Numerator of the scale.
    Alpha,
    /// LoHa's four factors.
    Hada(Side, Side),
    /// One of LoKr's two matrices.
    Lokr(Side),
    /// Factor of one of LoKr's two matrices.
    LokrFactor(Side, Side),
    /// The change itself.
    Diff,
}

/// First or second of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// A tensor's name taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleKey {
    /// The network.
    pub network: Network,
    /// The module, with `_` between its words: `down_blocks_0_attentions_0_proj_in`.
    pub module: String,
    /// The tensor's part in the change.
    pub leaf: Leaf,
}

use Side::{A, B};

/// Ends of names, and what they mean. Of two that match, the first holds.
const LEAVES: [(&str, Leaf); 30] = [
    (".lora_down.weight", Leaf::Down),
    (".lora_up.weight", Leaf::Up),
    (".lora_mid.weight", Leaf::Mid),
    (".lora_linear_layer.down.weight", Leaf::Down),
    (".lora_linear_layer.up.weight", Leaf::Up),
    (".lora.down.weight", Leaf::Down),
    (".lora.up.weight", Leaf::Up),
    ("_lora.down.weight", Leaf::Down),
    ("_lora.up.weight", Leaf::Up),
    (".lora_A.weight", Leaf::Down),
    (".lora_B.weight", Leaf::Up),
    (".lora_A.default.weight", Leaf::Down),
    (".lora_B.default.weight", Leaf::Up),
    (".lora_A.default_0.weight", Leaf::Down),
    (".lora_B.default_0.weight", Leaf::Up),
    ("_lora.alpha", Leaf::Alpha),
    (".lora.alpha", Leaf::Alpha),
    (".alpha", Leaf::Alpha),
    (".hada_w1_a", Leaf::Hada(A, A)),
    (".hada_w1_b", Leaf::Hada(A, B)),
    (".hada_w2_a", Leaf::Hada(B, A)),
    (".hada_w2_b", Leaf::Hada(B, B)),
    (".lokr_w1", Leaf::Lokr(A)),
    (".lokr_w2", Leaf::Lokr(B)),
    (".lokr_w1_a", Leaf::LokrFactor(A, A)),
    (".lokr_w1_b", Leaf::LokrFactor(A, B)),
    (".lokr_w2_a", Leaf::LokrFactor(B, A)),
    (".lokr_w2_b", Leaf::LokrFactor(B, B)),
    (".diff.weight", Leaf::Diff),
    (".diff", Leaf::Diff),
];

/// Beginnings of names, and the network that they stand for.
const PREFIXES: [(&str, Network); 6] = [
    ("lora_unet_", Network::Unet),
    ("lora_te_", Network::Text),
    ("lycoris_unet_", Network::Unet),
    ("unet_", Network::Unet),
    ("text_encoder_", Network::Text),
    ("text_model_", Network::Text),
];

/// Takes a tensor's name apart; `None` for a name of no known kind.
pub fn parse(name: &str) -> Option<ModuleKey> {
    let (module, leaf) = LEAVES
        .iter()
        .find_map(|&(end, leaf)| Some((name.strip_suffix(end)?, leaf)))?;
    let module = module.strip_prefix("base_model.model.").unwrap_or(module);
    let module = module.replace(".processor.", ".").replace('.', "_");
    // diffusers' processors of old name the projection after attention without its index.
    let module = match module.strip_suffix("_to_out") {
        Some(start) => format!("{start}_to_out_0"),
        None => module,
    };
    let prefix = PREFIXES
        .iter()
        .find_map(|&(prefix, network)| Some((network, module.strip_prefix(prefix)?)));
    let (network, module) = match prefix {
        Some((network, module)) => (network, module),
        // A PEFT adapter of the U-Net alone names no network.
        None if begins_like_a_unet(&module) => (Network::Unet, &*module),
        None => return None,
    };
    let module = match network {
        Network::Text => module.strip_prefix("text_model_").unwrap_or(module),
        Network::Unet => module,
    };
    Some(ModuleKey {
        network,
        module: module.to_string(),
        leaf,
    })
}

fn begins_like_a_unet(module: &str) -> bool {
    [
        "down_blocks_",
        "mid_block_",
        "up_blocks_",
        "conv_in",
        "conv_out",
        "time_embedding_",
    ]
    .iter()
    .any(|start| module.starts_with(start))
}

/// The module of our tensor `name`, if it is a weight.
pub fn module_of(name: &str) -> Option<String> {
    Some(name.strip_suffix(".weight")?.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::{Leaf, ModuleKey, Network, Side, module_of, parse};

    fn key(network: Network, module: &str, leaf: Leaf) -> Option<ModuleKey> {
        Some(ModuleKey {
            network,
            module: module.to_string(),
            leaf,
        })
    }

    #[test]
    fn names_of_all_programs_lead_to_the_same_module() {
        let to_q = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight";
        let to_q = module_of(to_q).expect("a weight");
        for name in [
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q\
             .lora_down.weight",
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora.down.weight",
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora\
             .down.weight",
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight",
            "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q\
             .lora_A.weight",
        ] {
            assert_eq!(parse(name), key(Network::Unet, &to_q, Leaf::Down), "{name}");
        }
        let q = module_of("encoder.layers.3.self_attn.q_proj.weight").expect("a weight");
        for name in [
            "lora_te_text_model_encoder_layers_3_self_attn_q_proj.lora_up.weight",
            "text_encoder.text_model.encoder.layers.3.self_attn.q_proj.lora_linear_layer.up.weight",
            "text_encoder.encoder.layers.3.self_attn.q_proj.lora_B.weight",
        ] {
            assert_eq!(parse(name), key(Network::Text, &q, Leaf::Up), "{name}");
        }
    }

    #[test]
    fn the_projection_after_attention_keeps_its_index() {
        let name = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_out_lora\
                    .up.weight";
        let module = "mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0";
        assert_eq!(parse(name), key(Network::Unet, module, Leaf::Up));
    }

    #[test]
    fn lycoris_names_are_read_and_others_are_not() {
        let leaf = |name: &str| parse(name).map(|key| key.leaf);
        let base = "lora_unet_conv_in";
        assert_eq!(
            leaf(&format!("{base}.hada_w2_a")),
            Some(Leaf::Hada(Side::B, Side::A))
        );
        assert_eq!(
            leaf(&format!("{base}.lokr_w1_b")),
            Some(Leaf::LokrFactor(Side::A, Side::B))
        );
        assert_eq!(leaf(&format!("{base}.lokr_w2")), Some(Leaf::Lokr(Side::B)));
        for name in [
            "lora_unet_conv_in.dora_scale",
            "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight",
            "conv_in.weight",
            ".alpha",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
