//! Loading a pipeline: configuration, memory plan, weights, and kernels compiled meanwhile.

use burn::tensor::Device;

use super::Pipeline;
use super::detect_prediction::detect_prediction;
use super::precision::{ActivationDtypes, overflow_warning};
use super::preview::LatentToRgb;
use super::warmup::Warmup;
use crate::config::ModelConfig;
use crate::device::Runtime;
use crate::device::memory::MemoryPlan;
use crate::error::{Error, Result};
use crate::model::{Model, PredictionSetting};
use crate::sampling::{OwnSampler, ScheduleKind, ineffective};
use crate::text::encoder::TextEncoder;
use crate::unet::Unet;
use crate::vae::decoder::VaeDecoder;
use crate::weights::file::Part;
use crate::weights::load::{LoadProgress, Weights, load_checkpoint, load_parts};
use crate::weights::sizes::WeightSizes;
use crate::weights::{Source, VarBuilder, VarStore};

/// Options of [`Pipeline::load`].
pub struct LoadOptions<'a> {
    /// The U-Net's prediction type, where the user sets it.
    pub prediction: PredictionSetting,
    /// Called once before the weights are read, with the memory that they and pictures of the
    /// model's own size will take.
    pub on_plan: Box<dyn FnMut(&MemoryPlan) + 'a>,
    /// Called before each few megabytes of weights.
    pub on_progress: Box<dyn FnMut(LoadProgress<'_>) + 'a>,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        LoadOptions {
            prediction: PredictionSetting::Auto,
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
    let model = Model::read(source, options.prediction).await?;
    let (weights, read) = read_weights(source, runtime, &model, options).await?;
    let Model {
        config,
        tokenizer,
        checkpoint,
        undecided,
    } = model;
    let mut loaded = weights.parts.into_iter();
    let mut params = || VarStore::loaded(loaded.next().unwrap_or_default(), runtime.ops.clone());
    let text_encoder = TextEncoder::new(params().root(), &config.text)?;
    let unet = Unet::new(params().root(), &config.unet)?;
    let vae = VaeDecoder::new(params().root(), &config.vae)?;

    let activation_dtypes = ActivationDtypes::new(runtime.dtype);
    let mut warnings = weights.warnings;
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
        vae,
        preview,
        runtime: runtime.clone(),
        activation_dtypes,
        weight_bytes: read.bytes,
        weight_sizes: read.sizes,
        warnings,
    };
    if let Some(checkpoint) = checkpoint.filter(|_| undecided) {
        let (prediction_type, warning) = detect_prediction(&pipeline).await?;
        pipeline.config = checkpoint.config(prediction_type)?;
        pipeline.warnings.push(warning);
    }
    Ok(pipeline)
}

/// Size of the weights that were read.
#[derive(Default)]
struct Read {
    /// Bytes in the files.
    bytes: u64,
    /// Bytes in memory.
    sizes: WeightSizes,
}

/// Reads all weights of `model`. Kernels are compiled while the weights are on their way, one
/// between two tensors.
async fn read_weights(
    source: &dyn Source,
    runtime: &Runtime,
    model: &Model,
    options: LoadOptions<'_>,
) -> Result<(Weights, Read)> {
    let LoadOptions {
        mut on_plan,
        mut on_progress,
        ..
    } = options;
    let config = &model.config;
    let parts = parts(config, runtime)?;
    let mut warmup = Warmup::new(config, runtime)?;
    let mut read = None;
    let mut progress = |p: LoadProgress<'_>| {
        if read.is_none() {
            let size = [config.default_size(); 2];
            on_plan(&MemoryPlan::new(config, &p.sizes, runtime, size));
        }
        read = Some(Read {
            bytes: p.total,
            sizes: p.sizes,
        });
        warmup.compile_next();
        on_progress(p);
    };
    let (device, storage) = (&runtime.device, runtime.storage);
    let weights = match &model.checkpoint {
        None => load_parts(source, &parts, device, storage, &mut progress).await?,
        Some(file) => load_checkpoint(source, file, &parts, device, storage, &mut progress).await?,
    };
    while warmup.compile_next() {}
    Ok((weights, read.unwrap_or_default()))
}

/// The three networks and the tensors that each needs.
fn parts(config: &ModelConfig, runtime: &Runtime) -> Result<[Part; 3]> {
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
async fn fit_preview(
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
