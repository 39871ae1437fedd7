//! Loading a pipeline: configuration, memory plan, weights, and kernels compiled meanwhile.

use std::collections::HashMap;
use std::rc::Rc;

use burn::tensor::Device;

use super::Pipeline;
use super::additions::ChangeableWeights;
use super::detect_prediction::detect_prediction;
use super::generation::MAX_SIDE;
use super::precision::{ActivationDtypes, overflow_warning};
use super::preview::LatentToRgb;
use super::warmup::Warmup;
use crate::config::ModelConfig;
use crate::device::Runtime;
use crate::device::memory::MemoryPlan;
use crate::error::{Error, Result};
use crate::model::{Model, PredictionSetting};
use crate::sampling::{OwnSampler, ScheduleKind, ineffective};
use crate::text::embedding::LearnedVectors;
use crate::text::encoder::TextEncoder;
use crate::unet::Unet;
use crate::vae::decoder::VaeDecoder;
use crate::weights::file::{Found, Part};
use crate::weights::identify_folder::explain;
use crate::weights::load::{
    LoadProgress, Located, Reading, elements, locate_in_checkpoint, locate_parts,
};
use crate::weights::lora::{AppliedLora, Merges};
use crate::weights::params::Loaded;
use crate::weights::sizes::WeightSizes;
use crate::weights::vae::ExternalVae;
use crate::weights::{Source, VarBuilder, VarStore};

/// The factor by which the VAEs of Stable Diffusion 1 and 2 scale latents.
const USUAL_SCALE: f64 = 0.18215;

/// Options of [`Pipeline::load`].
pub struct LoadOptions<'a> {
    /// The U-Net's prediction type, where the user sets it.
    pub prediction: PredictionSetting,
    /// Width and height in pixels of the pictures to plan memory for, where they are known.
    pub size: [Option<usize>; 2],
    /// A VAE in place of the model's own: its file, its folder, or another model.
    pub vae: Option<&'a dyn Source>,
    /// LoRAs that are merged while the weights are read.
    pub loras: Vec<AppliedLora>,
    /// Called once before the weights are read, with the memory that they and pictures of that
    /// size, by default the model's own, will take.
    pub on_plan: Box<dyn FnMut(&MemoryPlan) + 'a>,
    /// Called before each few megabytes of weights.
    pub on_progress: Box<dyn FnMut(LoadProgress<'_>) + 'a>,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        LoadOptions {
            prediction: PredictionSetting::Auto,
            size: [None; 2],
            vae: None,
            loras: Vec::new(),
            on_plan: Box::new(|_| ()),
            on_progress: Box::new(|_| ()),
        }
    }
}

/// Loads the model `source` onto `runtime`'s device; see [`Pipeline::load`].
pub(super) async fn load(
    source: &dyn Source,
    runtime: &Runtime,
    options: LoadOptions<'_>,
) -> Result<Pipeline> {
    let other_vae = match options.vae {
        Some(vae) => Some(ExternalVae::open(vae).await?),
        None => None,
    };
    let vae_config = other_vae.as_ref().map(|vae| &vae.config);
    let model = Model::read(source, options.prediction, vae_config).await?;
    let loras = options.loras.clone();
    let Read {
        weights,
        vae,
        bytes,
        sizes,
        mut warnings,
    } = read_weights(source, runtime, &model, other_vae.as_ref(), options).await?;
    let Model {
        config,
        tokenizer,
        checkpoint,
        undecided,
    } = model;
    let (text_encoder, unet) = weights.networks(&config, runtime)?;
    let vae = VarStore::loaded(vae, runtime.ops.clone());
    let vae = VaeDecoder::new({ vae }.root(), &config.vae)?;
    let activation_dtypes = ActivationDtypes::new(runtime.dtype);
    let own = OwnSampler::of(&config.scheduler);
    warnings.extend(own.warning);
    warnings.extend(ineffective(
        own.kind,
        ScheduleKind::Model,
        &config.scheduler,
    ));
    let preview = fit_preview(
        &config,
        &vae,
        &runtime.device,
        &activation_dtypes,
        &mut warnings,
    )
    .await?;
    let mut pipeline = Pipeline {
        config,
        tokenizer,
        text_encoder,
        unet,
        vae: Rc::new(vae),
        preview,
        runtime: runtime.clone(),
        activation_dtypes,
        weight_bytes: bytes,
        weight_sizes: sizes,
        warnings,
        weights,
        loras,
        embeddings: Vec::new(),
        learned: LearnedVectors::default(),
    };
    if let Some(checkpoint) = checkpoint.filter(|_| undecided) {
        let (prediction_type, warning) = detect_prediction(&pipeline).await?;
        let vae = pipeline.config.vae.clone();
        pipeline.config = checkpoint.config_with(prediction_type, Some(&vae))?;
        pipeline.warnings.push(warning);
    }
    Ok(pipeline)
}

/// The weights that were read.
struct Read {
    /// Tensors of text encoder and U-Net.
    weights: ChangeableWeights,
    /// Tensors of the VAE.
    vae: HashMap<String, Loaded>,
    /// Bytes in the files.
    bytes: u64,
    /// Bytes in memory.
    sizes: WeightSizes,
    warnings: Vec<String>,
}

/// Reads all weights of `model`. Kernels are compiled while the weights are on their way, one
/// between two tensors.
async fn read_weights(
    source: &dyn Source,
    runtime: &Runtime,
    model: &Model,
    other_vae: Option<&ExternalVae>,
    options: LoadOptions<'_>,
) -> Result<Read> {
    let LoadOptions {
        size,
        mut on_plan,
        mut on_progress,
        vae,
        loras,
        ..
    } = options;
    let config = &model.config;
    let parts = parts(config, runtime)?;
    let Located { found, warnings } = match locate(source, model, &parts, other_vae).await {
        Ok(located) => located,
        Err(error) if model.checkpoint.is_none() => return Err(explain(source, error).await),
        Err(error) => return Err(error),
    };
    let merges = Merges::new(&loras, &found)?;
    let storage = runtime.storage.of(elements(&found));
    let mut warmup = Warmup::new(config, runtime)?;
    let (mut bytes, mut sizes) = (0, None);
    let mut progress = |p: LoadProgress<'_>| {
        if sizes.is_none() {
            let size = planned_size(config, size);
            on_plan(&MemoryPlan::new(config, &p.sizes, runtime, size));
        }
        (bytes, sizes) = (p.total, Some(p.sizes));
        warmup.compile_next();
        on_progress(p);
    };
    let sources: Vec<&dyn Source> = [Some(source), vae].into_iter().flatten().collect();
    let reading = Reading {
        sources: &sources,
        merges: &merges,
        device: &runtime.device,
        storage,
    };
    let mut tensors = reading
        .tensors(found.clone(), parts.len(), &mut progress)
        .await?;
    while warmup.compile_next() {}
    let vae = tensors.pop().unwrap_or_default();
    Ok(Read {
        weights: ChangeableWeights::new(tensors, &found, &merges, storage),
        vae,
        bytes,
        sizes: sizes.unwrap_or_default(),
        warnings,
    })
}

/// Finds the tensors of all parts, those of the VAE in `other_vae` if there is one.
async fn locate(
    source: &dyn Source,
    model: &Model,
    parts: &[Part; 3],
    other_vae: Option<&ExternalVae>,
) -> Result<Located> {
    let own = match other_vae {
        Some(_) => &parts[..2],
        None => &parts[..],
    };
    let mut located = match &model.checkpoint {
        None => locate_parts(source, own).await?,
        Some(file) => locate_in_checkpoint(source, file, own)?,
    };
    if let Some(vae) = other_vae {
        let Located { found, warnings } = vae.locate(&parts[2])?;
        located.warnings.extend(warnings);
        located.warnings.extend(vae.warning(USUAL_SCALE));
        let found = found.into_iter();
        located.found.extend(found.map(|found| Found {
            source: 1,
            part: 2,
            ..found
        }));
    }
    Ok(located)
}

/// Width and height to plan memory for: the wanted ones, or the model's own. A size that cannot be
/// made is refused later, with its name.
fn planned_size(config: &ModelConfig, size: [Option<usize>; 2]) -> [usize; 2] {
    let [width, height] = config.default_size();
    let wanted = |wanted: Option<usize>, own| wanted.unwrap_or(own).min(MAX_SIDE);
    [wanted(size[0], width), wanted(size[1], height)]
}

/// The three networks and the tensors that each needs.
pub(super) fn parts(config: &ModelConfig, runtime: &Runtime) -> Result<[Part; 3]> {
    let required = |build: &dyn Fn(VarBuilder) -> Result<()>| {
        let mut params = VarStore::recording(runtime.ops.clone());
        build(params.root())?;
        Ok::<_, Error>(params.into_required())
    };
    Ok([
        Part {
            folder: "text_encoder",
            stem: "model",
            required: required(&|vb| TextEncoder::new(vb, &config.text).map(drop))?,
        },
        Part {
            folder: "unet",
            stem: "diffusion_pytorch_model",
            required: required(&|vb| Unet::new(vb, &config.unet).map(drop))?,
        },
        Part {
            folder: "vae",
            stem: "diffusion_pytorch_model",
            required: required(&|vb| VaeDecoder::new(vb, &config.vae).map(drop))?,
        },
    ])
}

/// Fits the map for previews to the decoder.
pub(super) async fn fit_preview(
    config: &ModelConfig,
    vae: &VaeDecoder,
    device: &Device,
    dtypes: &ActivationDtypes,
    warnings: &mut Vec<String>,
) -> Result<LatentToRgb> {
    let channels = config.vae.latent_channels;
    let fit = async |dtype| LatentToRgb::fit(vae, channels, device, dtype).await;
    let (preview, overflow) = dtypes.vae.compute(fit).await?;
    warnings.extend(overflow.map(|reason| overflow_warning(&reason, "pictures are decoded")));
    Ok(preview)
}
