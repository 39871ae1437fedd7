//! `text_encoder/config.json`: CLIP's text encoder.

use serde::Deserialize;
use serde_json::Value;

use super::{check_epsilon, check_range, object, require_one_of, typed};
use crate::error::{Error, Result};

/// Largest clip skip, as in the web UI of A1111.
const MAX_CLIP_SKIP: usize = 12;

/// Activation of the text encoder's feed-forward layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(1.702 x)`, CLIP ViT-L (SD1).
    QuickGelu,
    /// The exact GELU, OpenCLIP ViT-H (SD2).
    Gelu,
}

/// `text_encoder/config.json` of transformers' `CLIPTextModel`.
#[derive(Debug, Clone)]
pub struct TextConfig {
    /// Width of the embeddings.
    pub hidden_size: usize,
    /// Width inside the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of transformer layers. SD2's file says 23: its last layer is left out on purpose.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Tokens per chunk (77).
    pub max_position_embeddings: usize,
    /// Rows of the token table.
    pub vocab_size: usize,
    /// Activation of the feed-forward layers.
    pub hidden_act: Activation,
    /// Epsilon of every LayerNorm.
    pub layer_norm_eps: f64,
}

/// `text_encoder/config.json` as it is written, with transformers' defaults.
#[derive(Deserialize)]
#[serde(default)]
struct Raw {
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    max_position_embeddings: usize,
    vocab_size: usize,
    hidden_act: String,
    layer_norm_eps: f64,
}

impl Default for Raw {
    fn default() -> Self {
        Raw {
            hidden_size: 512,
            intermediate_size: 2048,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            vocab_size: 49408,
            hidden_act: "quick_gelu".into(),
            layer_norm_eps: 1e-5,
        }
    }
}

impl Raw {
    fn check(&self, file: &str) -> Result<()> {
        let positions = self.max_position_embeddings;
        for (key, value, max) in [
            ("hidden_size", self.hidden_size, 65536),
            ("intermediate_size", self.intermediate_size, 1 << 20),
            ("num_hidden_layers", self.num_hidden_layers, 256),
            ("num_attention_heads", self.num_attention_heads, 4096),
            ("max_position_embeddings", positions, 65536),
            ("vocab_size", self.vocab_size, 1 << 24),
        ] {
            check_range(file, key, value, max)?;
        }
        check_epsilon(file, "layer_norm_eps", self.layer_norm_eps)?;
        let heads = self.num_attention_heads;
        if !self.hidden_size.is_multiple_of(heads) {
            let expected = format!("a divisor of `hidden_size` = {}", self.hidden_size);
            return Err(Error::config(file, "num_attention_heads", heads, expected));
        }
        Ok(())
    }

    fn activation(&self, file: &str) -> Result<Activation> {
        match self.hidden_act.as_str() {
            "quick_gelu" => Ok(Activation::QuickGelu),
            "gelu" => Ok(Activation::Gelu),
            other => Err(Error::config(
                file,
                "hidden_act",
                format!("\"{other}\""),
                "\"quick_gelu\" or \"gelu\"",
            )),
        }
    }
}

/// Layers of OpenCLIP ViT-H in the files of SD2: the last of its 24 is left out.
const SD2_LAYERS: usize = 23;

impl TextConfig {
    /// Clip skip that the model was trained with, as the web UI of A1111 counts it: 1 for the last
    /// layer of CLIP, 2 for the last but one.
    pub fn own_clip_skip(&self) -> usize {
        let sd2 = self.hidden_act == Activation::Gelu && self.num_hidden_layers == SD2_LAYERS;
        if sd2 { 2 } else { 1 }
    }

    /// Number of the file's layers that `clip_skip` leaves out. A layer that the file lacks cannot
    /// be run: for SD2, 1 is the same as 2, and as in the web UI neither changes anything.
    ///
    /// # Errors
    /// [`Error::Request`] if no layer is left.
    pub fn layers_left_out(&self, clip_skip: usize) -> Result<usize> {
        let left_out = clip_skip.saturating_sub(self.own_clip_skip());
        if clip_skip == 0 || clip_skip > MAX_CLIP_SKIP || left_out >= self.num_hidden_layers {
            let most = self.num_hidden_layers + self.own_clip_skip() - 1;
            let expected = format!("1 to {}", most.min(MAX_CLIP_SKIP));
            return Err(Error::request("clip skip", clip_skip, expected));
        }
        Ok(left_out)
    }
    /// Reads the JSON text of `file`.
    ///
    /// # Errors
    /// [`Error::File`] if the text is not a JSON object, [`Error::Config`] for a value that is not
    /// supported.
    pub fn from_json(file: &str, text: &[u8]) -> Result<Self> {
        let mut json = object(file, text)?;
        // The configuration of a whole CLIP has that of its text encoder within.
        if json.get("model_type").is_some_and(|kind| kind == "clip")
            && let Some(Value::Object(inner)) = json.remove("text_config")
        {
            json = inner;
        }
        let models = ["clip_text_model".into(), "clip".into()];
        require_one_of(file, &json, "model_type", &models)?;
        let raw: Raw = typed(file, &json)?;
        let hidden_act = raw.activation(file)?;
        raw.check(file)?;
        Ok(TextConfig {
            hidden_size: raw.hidden_size,
            intermediate_size: raw.intermediate_size,
            num_hidden_layers: raw.num_hidden_layers,
            num_attention_heads: raw.num_attention_heads,
            max_position_embeddings: raw.max_position_embeddings,
            vocab_size: raw.vocab_size,
            hidden_act,
            layer_norm_eps: raw.layer_norm_eps,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::TextConfig;

    fn config(json: &str) -> TextConfig {
        TextConfig::from_json("text_encoder/config.json", json.as_bytes()).expect("a configuration")
    }

    #[test]
    fn clip_skip_counts_from_the_layer_that_the_model_was_trained_with() {
        let sd1 = config(r#"{"num_hidden_layers": 12, "hidden_act": "quick_gelu"}"#);
        assert_eq!(sd1.own_clip_skip(), 1);
        let left_out = [1, 2, 4, 12].map(|skip| sd1.layers_left_out(skip).expect("layers"));
        assert_eq!(left_out, [0, 1, 3, 11]);
        // The file of SD2 lacks the last of 24 layers.
        let sd2 = config(r#"{"num_hidden_layers": 23, "hidden_act": "gelu"}"#);
        assert_eq!(sd2.own_clip_skip(), 2);
        let left_out = [1, 2, 3, 4].map(|skip| sd2.layers_left_out(skip).expect("layers"));
        assert_eq!(left_out, [0, 0, 1, 2]);
        for (config, skip, expected) in [(&sd1, 0, "1 to 12"), (&sd1, 13, "1 to 12")] {
            let error = config
                .layers_left_out(skip)
                .expect_err("an error")
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
        let small = config(r#"{"num_hidden_layers": 3}"#);
        let error = small.layers_left_out(4).expect_err("an error").to_string();
        assert_eq!(error, "clip skip: got 4, expected 1 to 3");
    }

    #[test]
    fn a_whole_clip_has_its_text_encoder_within() {
        let json = r#"{"model_type": "clip", "hidden_size": 7,
            "text_config": {"hidden_size": 768, "num_attention_heads": 12}}"#;
        assert_eq!(config(json).hidden_size, 768);
    }
}
