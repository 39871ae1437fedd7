//! Changes to a loaded model: LoRAs, learned words, another VAE. None of them loads it again.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::Pipeline;
use super::load::{fit_preview, parts};
use crate::config::ModelConfig;
use crate::device::Runtime;
use crate::error::{Error, Result};
use crate::model::{Model, PredictionSetting};
use crate::text::embedding::{Embedding, LearnedVectors};
use crate::text::encoder::TextEncoder;
use crate::text::prompt::{PromptSyntax, tags};
use crate::unet::Unet;
use crate::vae::decoder::VaeDecoder;
use crate::weights::file::{Found, Part};
use crate::weights::load::{LoadProgress, Located, Reading, locate_in_checkpoint, locate_parts};
use crate::weights::lora::{AppliedLora, Merges};
use crate::weights::params::Loaded;
use crate::weights::vae::ExternalVae;
use crate::weights::{Source, Storage, VarStore};

/// The tensors of text encoder and U-Net, and where each was read. Clones share their memory.
#[derive(Clone)]
pub(super) struct ChangeableWeights {
    /// By network and name.
    tensors: Vec<HashMap<String, Loaded>>,
    found: Rc<Vec<Found>>,
    storage: Storage,
    /// Indices in `found` of tensors that differ from the model's files.
    changed: HashSet<usize>,
    /// False after a change that failed halfway.
    complete: bool,
}

impl ChangeableWeights {
    /// Takes the `tensors` of text encoder and U-Net, `found` in the model's files and changed by
    /// `merges`.
    pub fn new(
        tensors: Vec<HashMap<String, Loaded>>,
        found: &[Found],
        merges: &Merges,
        storage: Storage,
    ) -> Self {
        let networks = tensors.len();
        let found: Vec<_> = found
            .iter()
            .filter(|f| f.part < networks)
            .cloned()
            .collect();
        let changed = (0..found.len())
            .filter(|&i| merges.touches(&found[i]))
            .collect();
        ChangeableWeights {
            tensors,
            found: Rc::new(found),
            storage,
            changed,
            complete: true,
        }
    }

    /// Makes the networks over these tensors.
    pub fn networks(
        &self,
        config: &ModelConfig,
        runtime: &Runtime,
    ) -> Result<(Rc<TextEncoder>, Rc<Unet>)> {
        let mut networks = self.tensors.iter().cloned();
        let mut params =
            || VarStore::loaded(networks.next().unwrap_or_default(), runtime.ops.clone());
        let text_encoder = TextEncoder::new(params().root(), &config.text)?;
        let unet = Unet::new(params().root(), &config.unet)?;
        Ok((Rc::new(text_encoder), Rc::new(unet)))
    }

    /// Checks that the weights are those of the model and of all its LoRAs.
    ///
    /// # Errors
    /// [`Error::Request`] after a change of LoRAs that failed halfway.
    pub fn check(&self) -> Result<()> {
        match self.complete {
            true => Ok(()),
            false => Err(Error::request(
                "loras",
                "a change that failed halfway",
                "the change to be made again, or the model to be loaded again",
            )),
        }
    }

    /// Reads the tensors that `merges` or earlier changes concern, and merges them again.
    async fn merge(
        &mut self,
        source: &dyn Source,
        runtime: &Runtime,
        merges: &Merges,
        progress: &mut dyn FnMut(LoadProgress<'_>),
    ) -> Result<()> {
        let found = self.found.clone();
        let touched = (0..found.len()).filter(|&i| merges.touches(&found[i]));
        let touched: HashSet<usize> = touched.collect();
        let mut concerned: Vec<usize> = touched.union(&self.changed).copied().collect();
        concerned.sort_by_cached_key(|&i| (found[i].path.clone(), found[i].info.range.start));
        let concerned: Vec<Found> = concerned.into_iter().map(|i| found[i].clone()).collect();
        self.changed.extend(&touched);
        self.complete = false;
        let reading = Reading {
            sources: &[source],
            merges,
            device: &runtime.device,
            storage: self.storage,
        };
        let tensors = &mut self.tensors;
        let mut keep = |found: &Found, tensor| {
            tensors[found.part].insert(found.required.name.clone(), tensor);
        };
        reading.each(&concerned, &mut keep, progress).await?;
        self.changed = touched;
        self.complete = true;
        Ok(())
    }
}

/// Networks without weights, which hold no memory of the device.
fn without_weights(config: &ModelConfig, runtime: &Runtime) -> Result<(Rc<TextEncoder>, Rc<Unet>)> {
    let mut params = [(); 2].map(|()| VarStore::recording(runtime.ops.clone()));
    let [text, unet] = &mut params;
    let text_encoder = TextEncoder::new(text.root(), &config.text)?;
    let unet = Unet::new(unet.root(), &config.unet)?;
    Ok((Rc::new(text_encoder), Rc::new(unet)))
}

/// The LoRAs of `known` with the weights for `prompt`: those of its tags, such as
/// `<lora:name:0.8>`, take the place of a LoRA's own. Several in one prompt add up.
pub fn requested_loras(
    prompt: &str,
    syntax: PromptSyntax,
    known: &[AppliedLora],
) -> Vec<AppliedLora> {
    let tags = match syntax {
        PromptSyntax::A1111 => tags::parse(prompt).loras,
        PromptSyntax::Plain => Vec::new(),
    };
    let requested = |known: &AppliedLora| {
        let named = || tags.iter().filter(|tag| tag.name == known.lora.name());
        match named().next() {
            None => known.clone(),
            Some(_) => AppliedLora {
                unet: named().map(|tag| tag.unet).sum(),
                text_encoder: named().map(|tag| tag.text_encoder).sum(),
                ..known.clone()
            },
        }
    };
    known.iter().map(requested).collect()
}

impl Pipeline {
    /// Merges `loras` into the model, in place of those merged before; an empty list restores the
    /// model bit for bit. Only the weights that LoRAs change are read again from `source`, the
    /// model's own. A picture in the making goes on with the weights that it began with; they then
    /// take memory beside the new ones.
    ///
    /// # Errors
    /// [`Error::File`] that names a LoRA that does not fit, before anything is changed; errors of
    /// the sources. After a failure halfway [`Pipeline::start`] fails until a change succeeds.
    pub async fn set_loras(
        self: &mut Rc<Self>,
        source: &dyn Source,
        loras: &[AppliedLora],
        progress: &mut dyn FnMut(LoadProgress<'_>),
    ) -> Result<()> {
        if self.loras == loras && self.weights.complete {
            return Ok(());
        }
        let merges = Merges::new(loras, &self.weights.found)?;
        let (text_encoder, unet) = without_weights(&self.config, &self.runtime)?;
        let pipeline = Rc::make_mut(self);
        // The networks must not keep the tensors that are replaced.
        (pipeline.text_encoder, pipeline.unet) = (text_encoder, unet);
        let weights = &mut pipeline.weights;
        let merged = weights.merge(source, &pipeline.runtime, &merges, progress);
        let merged = merged.await;
        let networks = weights.networks(&pipeline.config, &pipeline.runtime)?;
        (pipeline.text_encoder, pipeline.unet) = networks;
        merged?;
        pipeline.loras = loras.to_vec();
        Ok(())
    }

    /// Checks that a LoRA fits the model, without merging it.
    ///
    /// # Errors
    /// [`Error::File`] that names what does not fit.
    pub fn check_lora(&self, lora: &AppliedLora) -> Result<()> {
        Merges::new(std::slice::from_ref(lora), &self.weights.found).map(drop)
    }

    /// The LoRAs merged into the model.
    pub fn loras(&self) -> &[AppliedLora] {
        &self.loras
    }

    /// Sets the learned words that prompts may name, in place of those set before.
    ///
    /// # Errors
    /// [`Error::File`] that names a word that does not fit the model; then nothing is changed.
    pub fn set_embeddings(self: &mut Rc<Self>, embeddings: &[Rc<Embedding>]) -> Result<()> {
        let room = self.tokenizer.max_length() - 2;
        let width = self.config.text.hidden_size;
        let learned = LearnedVectors::new(embeddings, width, room)?;
        let pipeline = Rc::make_mut(self);
        pipeline.learned = learned;
        pipeline.tokenizer.set_embeddings(embeddings);
        pipeline.embeddings = embeddings.to_vec();
        Ok(())
    }

    /// The learned words that prompts may name.
    pub fn embeddings(&self) -> &[Rc<Embedding>] {
        &self.embeddings
    }

    /// Puts `vae` in place of the present VAE: its file, its folder, or another model. `None` reads
    /// the model's own again from `source`. Returns warnings about it.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Config`] for a VAE that does not fit; then the present one
    /// stays.
    pub async fn set_vae(
        self: &mut Rc<Self>,
        source: &dyn Source,
        vae: Option<&dyn Source>,
        progress: &mut dyn FnMut(LoadProgress<'_>),
    ) -> Result<Vec<String>> {
        let mut config = self.config.clone();
        let (
            from,
            Located {
                found,
                mut warnings,
            },
        ) = match vae {
            Some(other) => {
                let external = ExternalVae::open(other).await?;
                let warning = external.warning(config.vae.scaling_factor);
                config.vae = external.config.clone();
                let mut located = external.locate(&vae_part(&config, &self.runtime)?)?;
                located.warnings.extend(warning);
                (other, located)
            }
            None => {
                let model = Model::read(source, PredictionSetting::Auto, None).await?;
                config.vae = model.config.vae.clone();
                let part = [vae_part(&config, &self.runtime)?];
                let located = match &model.checkpoint {
                    None => locate_parts(source, &part).await?,
                    Some(file) => locate_in_checkpoint(source, file, &part)?,
                };
                (source, located)
            }
        };
        config.check()?;
        let reading = Reading {
            sources: &[from],
            merges: &Merges::default(),
            device: &self.runtime.device,
            storage: self.weights.storage,
        };
        let tensors = reading.tensors(found, 1, progress).await?;
        let tensors = tensors.into_iter().next().unwrap_or_default();
        let mut params = VarStore::loaded(tensors, self.runtime.ops.clone());
        let vae = VaeDecoder::new(params.root(), &config.vae)?;
        let device = &self.runtime.device;
        let dtypes = &self.activation_dtypes;
        let preview = fit_preview(&config, &vae, device, dtypes, &mut warnings).await?;
        let pipeline = Rc::make_mut(self);
        pipeline.vae = Rc::new(vae);
        (pipeline.config, pipeline.preview) = (config, preview);
        Ok(warnings)
    }
}

/// The VAE as the only part that is read.
fn vae_part(config: &ModelConfig, runtime: &Runtime) -> Result<Part> {
    let [_, _, vae] = parts(config, runtime)?;
    Ok(vae)
}
