//! Command-line arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use darkroom::config::{FinalSigma, TimestepSpacing};
use darkroom::device::memory::tiling::VaeTiling;
use darkroom::device::tuning::TilingChoice;
use darkroom::sampling::{Rng, SamplerName, ScheduleKind};
use darkroom::text::prompt::PromptSyntax;
use darkroom::text::prompt::emphasis::Emphasis;
use darkroom::text::tokenizer::LongPrompt;
use darkroom::{ModelInfo, Precision, PredictionSetting, Request};

use crate::additions::{EmbeddingArg, LoraArg};
use crate::batch::VariationArg;
use crate::guidance::GuidanceArgs;
use crate::study::StudyArgs;

#[derive(Parser)]
#[command(version, about = "Stable Diffusion with negative prompts")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make a picture
    Generate(Box<Generate>),
    /// List the models in Hugging Face's cache, or show what a model would take
    Models(Models),
    /// Show what a prompt means: weights, schedule, tokens
    Prompt(Prompt),
}

#[derive(Args)]
pub struct Models {
    /// A model, as for `generate --model`: shows its kind, download and memory, and fetches no
    /// weights [default: all models in the cache]
    pub model: Option<String>,
    /// Width in pixels to plan memory for [default: the model's own]
    #[arg(long)]
    pub width: Option<usize>,
    /// Height in pixels to plan memory for [default: the model's own]
    #[arg(long)]
    pub height: Option<usize>,
    /// Device to plan memory for
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Prompt {
    /// The prompt
    pub text: String,
    /// Sampling steps, 1 to 1000
    #[arg(long, default_value_t = 20, allow_negative_numbers = true)]
    pub steps: usize,
    /// The model with the tokenizer to use, as for `generate` [default: CLIP's vocabulary,
    /// built in]
    #[arg(long)]
    pub model: Option<String>,
    /// A learned word (textual inversion) that the prompt may name; may be given several times
    #[arg(long, value_name = "[NAME=]PATH")]
    pub embedding: Vec<EmbeddingArg>,
    /// Meaning of brackets and capitals: a1111 (weights, schedules, BREAK, AND) or plain
    #[arg(long, default_value_t)]
    pub prompt_syntax: PromptSyntax,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Generate {
    /// A folder in diffusers' layout, a .safetensors checkpoint, the http(s) address of either, or
    /// a name on Hugging Face (owner/name or owner/name@revision), downloaded once into its cache
    #[arg(long)]
    pub model: String,
    /// Prediction type of the model's U-Net: epsilon, v, or auto (from the model's files)
    #[arg(long, default_value_t)]
    pub prediction: PredictionSetting,
    /// Folder with vocab.json and merges.txt for a .safetensors checkpoint [default: CLIP's, built
    /// in]
    #[arg(long)]
    pub vocab: Option<PathBuf>,
    /// A VAE in place of the model's own: a file, a folder, an address or a name, as for --model
    #[arg(long, value_name = "PATH_OR_NAME")]
    pub vae: Option<String>,
    /// A LoRA to merge into the model, with its weight (1 if none is given) or the weights of U-Net
    /// and text encoder: a.safetensors:0.8 or a.safetensors:0.8,0.5; may be given several times.
    /// With --prompt-syntax a1111 a tag such as <lora:a:0.6> in the prompt sets the weight instead
    #[arg(long, value_name = "PATH_OR_NAME[:WEIGHT]")]
    pub lora: Vec<LoraArg>,
    /// A learned word (textual inversion) that prompts may name: a .safetensors, .pt or .bin file;
    /// may be given several times
    #[arg(long, value_name = "[NAME=]PATH")]
    pub embedding: Vec<EmbeddingArg>,
    /// Text that the picture should show
    #[arg(long, default_value = "")]
    pub prompt: String,
    /// Text that the picture should not show
    #[arg(long, default_value = "")]
    pub negative_prompt: String,
    /// Seed of the noise
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
    /// Sampling steps [default: the model's own: 20, fewer for LCM and SD-Turbo]
    #[arg(long, allow_negative_numbers = true)]
    pub steps: Option<usize>,
    /// Guidance scale, 0 to 100; at 1 the negative prompt has no effect without --nag [default: the
    /// model's own: 7.5, 8 for LCM, 1 for SD-Turbo]
    #[arg(long, alias = "guidance", allow_negative_numbers = true)]
    pub guidance_scale: Option<f64>,
    #[command(flatten)]
    pub guidance: GuidanceArgs,
    /// euler, euler-a, heun, dpm2, dpm2-a, lms, ddim, ddpm, pndm, dpm++2m, dpm++2m-sde,
    /// dpm++3m-sde, dpm++sde, dpm++2s, dpm++2s-a, deis, unipc, lcm or tcd, also as A1111 writes
    /// them and with a schedule type behind [default: the model's own]
    #[arg(long)]
    pub sampler: Option<SamplerName>,
    /// Spacing of the noise levels: model, normal, karras, exponential, beta, sgm-uniform, simple
    /// or ays [default: the one in the sampler's name, or the model's own]
    #[arg(long)]
    pub schedule: Option<ScheduleKind>,
    /// Spacing of the timesteps: leading, linspace or trailing [default: the model's own]
    #[arg(long)]
    pub timestep_spacing: Option<TimestepSpacing>,
    /// Begin at a timestep without any signal: true or false [default: the model's own]
    #[arg(long, value_name = "BOOL")]
    pub zero_snr: Option<bool>,
    /// Sigma after the last step: zero or sigma_min [default: the model's own]
    #[arg(long)]
    pub final_sigma: Option<FinalSigma>,
    /// Width in pixels, a multiple of 8 [default: the model's own]
    #[arg(long, allow_negative_numbers = true)]
    pub width: Option<usize>,
    /// Height in pixels, a multiple of 8 [default: the model's own]
    #[arg(long, allow_negative_numbers = true)]
    pub height: Option<usize>,
    /// Source of the noise: torch (torch.randn on a CPU) or philox (on a CUDA GPU)
    #[arg(long, default_value = "torch")]
    pub rng: Rng,
    /// A second noise to mix into the first one, with its share from 0 to 1: a variation of the
    /// picture of --seed
    #[arg(long, value_name = "SEED:STRENGTH", allow_hyphen_values = true)]
    pub variation: Option<VariationArg>,
    /// Number to add to the seed for the noise that the sampler adds in its steps, "eta noise seed
    /// delta" [default: 0, that noise continues the first one]
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    pub ensd: i64,
    /// Amount of noise that the sampler adds in its steps, 0 to 1 [default: the sampler's own: 0
    /// for ddim, 0.3 for tcd, 1 for euler-a, dpm2-a, dpm++2s-a and the SDE samplers]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub eta: Option<f64>,
    /// Number of pictures, with seeds that count up; with --variation its seed counts up instead.
    /// Their files are numbered: name-1.png, name-2.png
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    pub batch: usize,
    /// Device to run on
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Element type of weights and activations
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// GPU kernel tiling: auto (benchmarked once per adapter, then cached), measure (benchmark
    /// again), or one of registers, 32x32, 64x64, 64x64-crowded and 128x128
    #[arg(long, alias = "tiles", default_value_t)]
    pub kernel_tiling: TilingChoice,
    /// Prompts of more than 75 tokens: chunk (read in several chunks) or truncate
    #[arg(long, default_value = "chunk")]
    pub long_prompt: LongPrompt,
    /// Meaning of brackets and capitals in both prompts: a1111 (weights, schedules, BREAK,
    /// AND) or plain
    #[arg(long, default_value_t = PromptSyntax::Plain)]
    pub prompt_syntax: PromptSyntax,
    /// Application of weights such as (x:1.3): original (the mean of the embeddings is restored),
    /// no-norm or ignore
    #[arg(long, default_value_t)]
    pub emphasis: Emphasis,
    /// Last layer of the text encoder that is run, as A1111's web UI counts: 1 the last one, 2 the
    /// last but one [default: the model's own]
    #[arg(long, allow_negative_numbers = true)]
    pub clip_skip: Option<usize>,
    /// Decode the picture in tiles: auto (where it does not fit in memory), always or never
    #[arg(long, alias = "vae-tiles", default_value_t)]
    pub vae_tiling: VaeTiling,
    /// File for the picture (PNG); - writes it to standard output; with --ablate a folder
    #[arg(long)]
    pub out: PathBuf,
    /// File for the final latent (safetensors, f32, [1, 4, h/8, w/8])
    #[arg(long)]
    pub latents_out: Option<PathBuf>,
    /// Print the result as JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// Use Burn's own operations instead of Darkroom's, for comparison
    #[arg(long)]
    pub stock: bool,
    #[command(flatten)]
    pub study: StudyArgs,
}

impl Generate {
    /// Builds the request from the arguments and, where they are silent, the defaults of a model.
    pub fn request(&self, defaults: &ModelInfo) -> Request {
        let variation = self.variation.unwrap_or_default();
        Request {
            prompt: self.prompt.clone(),
            negative_prompt: self.negative_prompt.clone(),
            seed: self.seed,
            steps: self.steps.unwrap_or(defaults.default_steps),
            guidance_scale: self
                .guidance_scale
                .unwrap_or(defaults.default_guidance_scale),
            nag_scale: self.guidance.nag_scale,
            nag_tau: self.guidance.nag_tau,
            nag_alpha: self.guidance.nag_alpha,
            negative_strength: self.guidance.negative_strength,
            negative_window: self.guidance.negative_window,
            negative_outside: self.guidance.negative_outside,
            guidance_window: self.guidance.guidance_window,
            guidance_schedule: self.guidance.guidance_schedule,
            guidance_min_sigma: self.guidance.guidance_min_sigma,
            guidance_stop: self.guidance.guidance_stop,
            guidance_kind: self.guidance.guidance_kind,
            guidance_options: self.guidance.guidance_option.iter().cloned().collect(),
            sampler: self.sampler,
            schedule: self.schedule,
            timestep_spacing: self.timestep_spacing,
            zero_snr: self.zero_snr,
            final_sigma: self.final_sigma,
            width: self.width,
            height: self.height,
            rng: self.rng,
            variation_seed: variation.seed,
            variation_strength: variation.strength,
            ensd: self.ensd,
            eta: self.eta,
            long_prompt: self.long_prompt,
            prompt_syntax: self.prompt_syntax,
            emphasis: self.emphasis,
            clip_skip: self.clip_skip,
            vae_tiling: self.vae_tiling,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DeviceChoice {
    /// A GPU where there is a real one, else the CPU
    #[default]
    Auto,
    Gpu,
    Cpu,
}

#[derive(Clone, Copy, Default, ValueEnum)]
pub enum Dtype {
    #[default]
    Auto,
    F32,
    F16,
}

impl From<Dtype> for Precision {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Auto => Precision::Auto,
            Dtype::F32 => Precision::F32,
            Dtype::F16 => Precision::F16,
        }
    }
}
