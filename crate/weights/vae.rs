//! A VAE of its own: a folder in diffusers' layout or a single file, in place of a model's VAE.

use serde_json::{Value, json};

use super::file::{Part, WeightFile, read_header};
use super::find::find_files;
use super::infer::{Tensors, infer_vae};
use super::load::{Located, match_part, mismatch};
use super::names::{Key, Ldm, TextKind, aliases};
use super::source::{Source, read_text};
use crate::config::VaeConfig;
use crate::error::{Error, Result};

/// File name of a VAE without extension, in diffusers' layout.
const STEM: &str = "diffusion_pytorch_model";
/// Maximum number of tensors that an error names.
const MAX_NAMES: usize = 3;

/// A VAE with its headers read.
pub(crate) struct ExternalVae {
    /// Its configuration: that of its folder, or inferred from its tensors.
    pub config: VaeConfig,
    files: Vec<WeightFile>,
    naming: Naming,
    /// The file or folder in messages.
    shown: String,
}

/// Names of tensors in the file.
enum Naming {
    /// diffusers' names behind a prefix.
    Diffusers(&'static str),
    /// The original code's names behind a prefix.
    Ldm(Ldm, &'static str),
}

impl Naming {
    /// Possible names of our tensor `name`.
    fn keys(&self, name: &str) -> Vec<Key> {
        let (keys, prefix) = match self {
            Naming::Diffusers(prefix) => (aliases(name), *prefix),
            Naming::Ldm(ldm, prefix) => (ldm.keys("vae", name), *prefix),
        };
        let full = |key: Key| {
            let bare = key.name.strip_prefix(Ldm::VAE).unwrap_or(&key.name);
            Key {
                name: format!("{prefix}{bare}"),
                ..key
            }
        };
        keys.into_iter().map(full).collect()
    }
}

impl ExternalVae {
    /// Opens the VAE `source`: a folder with `config.json`, a model folder with `vae/`, or a file
    /// with the names of diffusers or of the original code, also a whole checkpoint.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Config`] where it is no VAE; errors of `source`.
    pub async fn open(source: &dyn Source) -> Result<Self> {
        match source.checkpoint() {
            Some(path) => Self::open_file(source, path).await,
            None => Self::open_folder(source).await,
        }
    }

    async fn open_folder(source: &dyn Source) -> Result<Self> {
        let (inner, outer) = ("vae/config.json", "config.json");
        let (folder, path, text) = match read_text(source, inner).await? {
            Some(text) => ("vae", inner, text),
            None => match read_text(source, outer).await? {
                Some(text) => ("", outer, text),
                None => {
                    let what = "no such file, nor vae/config.json, as a folder with a VAE has";
                    return Err(Error::file(source.describe(outer), what));
                }
            },
        };
        let part = Part {
            folder,
            stem: STEM,
            required: Vec::new(),
        };
        Ok(ExternalVae {
            config: VaeConfig::from_json(&source.describe(path), &text)?,
            files: find_files(source, &part).await?,
            naming: Naming::Diffusers(""),
            shown: source.describe(folder),
        })
    }

    async fn open_file(source: &dyn Source, path: String) -> Result<Self> {
        let shown = source.describe(&path);
        let size = source.size(&path).await?;
        let size = size.ok_or_else(|| Error::file(&shown, "no such file"))?;
        let file = read_header(source, path, size).await?;
        let has = |name: &str| file.header.tensors.contains_key(name);
        let ldm = |prefix: &&str| has(&format!("{prefix}decoder.up.0.block.0.conv1.weight"));
        let first = "decoder.up_blocks.0.resnets.0.conv1.weight";
        let diffusers = |prefix: &&str| has(&format!("{prefix}{first}"));
        let (naming, json) = if let Some(prefix) = [Ldm::VAE, ""].into_iter().find(ldm) {
            let (vae_levels, json) = infer_vae(&file.header, &shown, prefix)?;
            let names = Ldm {
                unet_level: 0,
                text_prefix: "",
                vae_levels,
                text: TextKind::Clip,
            };
            (Naming::Ldm(names, prefix), json)
        } else if let Some(prefix) = ["", "vae."].into_iter().find(diffusers) {
            let tensors = Tensors {
                header: &file.header,
                shown: &shown,
                prefix,
            };
            (Naming::Diffusers(prefix), infer_diffusers(&tensors)?)
        } else {
            let names: Vec<_> = file
                .header
                .tensors
                .keys()
                .take(MAX_NAMES)
                .cloned()
                .collect();
            let what = match names.is_empty() {
                true => "not a VAE: the file has no tensors".to_string(),
                false => format!(
                    "not a VAE: it has tensors such as {}; expected decoder.up.… or \
                     decoder.up_blocks.…",
                    names.join(", ")
                ),
            };
            return Err(Error::file(shown, what));
        };
        let config = VaeConfig::from_json(&shown, &json.to_string().into_bytes())?;
        Ok(ExternalVae {
            config,
            files: vec![file],
            naming,
            shown,
        })
    }

    /// Finds the tensors that the VAE requires.
    ///
    /// # Errors
    /// [`Error::File`] with the names of tensors that are missing or have another shape.
    pub fn locate(&self, part: &Part) -> Result<Located> {
        let keys = |name: &str| self.naming.keys(name);
        let found = match_part(0, part, &self.files, &keys);
        let expected = "the other tensors of the VAE";
        Ok(Located {
            found: found.map_err(|wrong| mismatch(&self.shown, part, &wrong, expected))?,
            warnings: Vec::new(),
        })
    }

    /// A warning where the VAE scales latents unlike the model's own: it may be another family's.
    pub fn warning(&self, own: f64) -> Option<String> {
        let scale = self.config.scaling_factor;
        (scale != own).then(|| {
            format!(
                "{}: this VAE scales latents by {scale}, the model's own by {own}; it may be made \
                 for other models",
                self.shown
            )
        })
    }
}

/// Infers `vae/config.json` from diffusers' names.
fn infer_diffusers(tensors: &Tensors) -> Result<Value> {
    let first = |level: usize| format!("decoder.up_blocks.{level}.resnets.0.conv1.weight");
    let levels = tensors.count(first);
    let channels = (0..levels)
        .rev()
        .map(|level| tensors.require_dim(&first(level), 0));
    let channels = channels.collect::<Result<Vec<_>>>()?;
    let blocks = tensors.count(|i| format!("decoder.up_blocks.0.resnets.{i}.conv1.weight"));
    let attention = ["to_q", "query"].map(|q| format!("decoder.mid_block.attentions.0.{q}.weight"));
    Ok(json!({
        "latent_channels": tensors.require_dim("decoder.conv_in.weight", 1)?,
        "out_channels": tensors.require_dim("decoder.conv_out.weight", 0)?,
        "block_out_channels": channels,
        "layers_per_block": blocks.saturating_sub(1).max(1),
        "scaling_factor": 0.18215,
        "sample_size": 512,
        "use_post_quant_conv": tensors.has("post_quant_conv.weight"),
        "mid_block_add_attention": attention.iter().any(|name| tensors.has(name)),
    }))
}
