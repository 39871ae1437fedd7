//! The prompts of a run: from their texts to the embeddings that each U-Net call takes.
//!
//! Prompts with weights or schedules are read back once, before the first call, and kept on the
//! host: weights are applied there, and the texts in force are uploaded when they change. So are
//! those of guidance that changes over the run. All other prompts stay on the device.

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::Pipeline;
use super::read_prompts::ReadPrompts;
use super::request::Request;
use crate::device::read;
use crate::error::{Error, Result};
use crate::ops::NagImages;
use crate::sampling::guidance::{Guidance, GuidanceKind, Guiding, Role};
use crate::text::encoder::EncodeOptions;
use crate::text::prompt::chunks::Chunk;
use crate::text::prompt::emphasis::{Emphasis, WeightedText};
use crate::text::prompt::negative_weights::{negate, negated_rows};
use crate::text::prompt::plan::Plan;
use crate::unet::{CrossAttnKv, Perturbation, Unet};

/// Texts that are encoded in one batch. A guided run without schedules has as many, so its kernels
/// are compiled.
const TEXTS_AT_ONCE: usize = 2;

/// The texts of a call, encoded, and their part in it.
#[derive(Clone)]
pub struct Context {
    /// A text for each branch, and behind them the negative prompt where only the attention reads
    /// it: `[texts, 77·k, hidden_size]`.
    pub embeddings: Tensor<3>,
    /// The same with tokens of negative weight negated, where there are any: the values of
    /// cross-attentions are computed of these.
    for_values: Option<Tensor<3>>,
    nag: Option<NagImages>,
    perturbation: Option<Perturbation>,
}

impl Context {
    /// The encoded `texts` of a call with `guidance` of a `kind`.
    fn new(
        embeddings: Tensor<3>,
        for_values: Option<Tensor<3>>,
        texts: &[Text],
        (guidance, kind): (&Guidance, GuidanceKind),
    ) -> Self {
        let negative = texts.iter().position(|text| text.is_negative());
        let perturbed = matches!(guidance.roles.last(), Some(Role::Perturbed(_)));
        Context {
            embeddings,
            for_values,
            nag: guidance.nag.zip(negative).map(|(nag, prompt)| NagImages {
                first: guidance.first_positive(),
                prompt,
                nag,
            }),
            perturbation: perturbed.then_some(match kind {
                GuidanceKind::Slg => Perturbation::SkippedLayers,
                _ => Perturbation::IdentityAttention,
            }),
        }
    }

    /// Keys and values of every cross-attention.
    pub fn cross_attn_kv(&self, unet: &Unet) -> CrossAttnKv {
        let for_values = self.for_values.as_ref().unwrap_or(&self.embeddings);
        let kv = unet.cross_attn_kv_with(&self.embeddings, for_values);
        kv.with_nag(self.nag).with_perturbation(self.perturbation)
    }
}

/// The prompts of a run, encoded.
pub struct Prompts {
    /// Present if the host has the embeddings.
    on_host: Option<OnHost>,
}

/// Prompts that change from call to call.
struct OnHost {
    positive: Prompt,
    negative: Prompt,
    empty: Prompt,
    /// The texts that were uploaded last.
    in_force: Vec<Text>,
    kind: GuidanceKind,
    device: Device,
    dtype: DType,
    width: usize,
}

/// A text that a call reads.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Text {
    Positive(usize),
    Negative(usize),
    Empty,
}

impl Text {
    fn is_negative(self) -> bool {
        matches!(self, Text::Negative(_))
    }
}

/// A prompt with its texts.
struct Prompt {
    plan: Plan,
    texts: Vec<Encoded>,
}

/// A text's embeddings, `[77·k, hidden_size]`.
struct Encoded {
    embeddings: Vec<f32>,
    /// The same with tokens of negative weight negated, where there are any.
    for_values: Option<Vec<f32>>,
}

impl Prompts {
    /// Encodes the prompts that were `read`, with activations in `dtype`; those alone that have an
    /// effect. Returns the texts of the `first` call beside the prompts.
    ///
    /// # Errors
    /// [`Error::Request`] for a clip skip that the text encoder does not have, [`Error::Device`]
    /// where the device fails.
    pub async fn encode(
        pipeline: &Pipeline,
        request: &Request,
        dtype: DType,
        read: ReadPrompts,
        (guiding, first): (&Guiding, &Guidance),
    ) -> Result<(Context, Self)> {
        check_strength(request.negative_strength)?;
        let clip_skip = request
            .clip_skip
            .unwrap_or(pipeline.config().text.own_clip_skip());
        let encoder = Encoder {
            pipeline,
            dtype,
            left_out: pipeline.config().text.layers_left_out(clip_skip)?,
        };
        let strength = match guiding.reads_negative() {
            true => request.negative_strength,
            false => 1.0,
        };
        let applied = request.emphasis != Emphasis::Ignore;
        let changes = |plan: &Plan| {
            let mut chunks = plan.texts.iter().flatten();
            plan.changes() || (applied && chunks.any(Chunk::is_weighted))
        };
        let negative_changes = guiding.reads_negative() && changes(&read.negative);
        let kind = guiding.options().kind();
        let constant = guiding.is_constant() && strength == 1.0;
        if constant && !negative_changes && !changes(&read.positive) {
            let texts = texts_at(first, 0, &read.positive, &read.negative);
            let chunks = texts.iter().map(|text| match text {
                Text::Positive(text) => &read.positive.texts[*text],
                Text::Negative(text) => &read.negative.texts[*text],
                Text::Empty => &read.empty.texts[0],
            });
            let embeddings = encoder.texts(&chunks.collect::<Vec<_>>())?;
            let context = Context::new(embeddings, None, &texts, (first, kind));
            return Ok((context, Prompts { on_host: None }));
        }
        let width = pipeline.config().text.hidden_size;
        let on_host = async |plan: Plan, used: bool| {
            let mut embeddings = Vec::new();
            if used {
                embeddings = encoder.on_host(&plan).await?;
                emphasize(request.emphasis, &plan, &mut embeddings, width);
            }
            let texts = plan.texts.iter().zip(embeddings);
            let texts = texts
                .map(|(chunks, embeddings)| Encoded {
                    for_values: applied
                        .then(|| negated(chunks, &embeddings, width))
                        .flatten(),
                    embeddings,
                })
                .collect();
            Ok::<_, Error>(Prompt { plan, texts })
        };
        let with_empty = strength != 1.0 || guiding.has_empty();
        let mut prompts = OnHost {
            positive: on_host(read.positive, true).await?,
            negative: on_host(read.negative, guiding.reads_negative()).await?,
            empty: on_host(read.empty, with_empty).await?,
            in_force: Vec::new(),
            kind,
            device: pipeline.runtime().device.clone(),
            dtype,
            width,
        };
        prompts.strengthen(strength);
        prompts.in_force = prompts.texts_at(first, 0);
        let context = prompts.upload(&prompts.in_force, first);
        let on_host = Some(prompts);
        Ok((context, Prompts { on_host }))
    }

    /// The texts of a call of the step numbered `step` with this `guidance`, if others are in force
    /// than at the call before.
    pub fn change_at(&mut self, step: usize, guidance: &Guidance) -> Option<Context> {
        let prompts = self.on_host.as_mut()?;
        let in_force = prompts.texts_at(guidance, step);
        if in_force == prompts.in_force {
            return None;
        }
        prompts.in_force = in_force;
        Some(prompts.upload(&prompts.in_force, guidance))
    }

    /// The texts of a call of the step numbered `step` with this `guidance`; `None` if all calls
    /// have the same.
    pub fn at(&self, step: usize, guidance: &Guidance) -> Option<Context> {
        let prompts = self.on_host.as_ref()?;
        Some(prompts.upload(&prompts.texts_at(guidance, step), guidance))
    }
}

/// The text of each branch of `guidance` at the step numbered `step`; and behind them the negative
/// prompt, if only the attention reads it.
fn texts_at(guidance: &Guidance, step: usize, positive: &Plan, negative: &Plan) -> Vec<Text> {
    let mut parts = positive.at(step);
    let first = || positive.at(step).next().unwrap_or(0);
    let negative = Text::Negative(negative.at(step).next().unwrap_or(0));
    let roles = guidance.roles.iter().map(|role| match role {
        Role::Positive(_) => Text::Positive(parts.next().unwrap_or(0)),
        Role::Perturbed(_) => Text::Positive(first()),
        Role::Negative => negative,
        Role::Empty => Text::Empty,
    });
    let mut texts: Vec<_> = roles.collect();
    if guidance.nag.is_some() && !texts.contains(&negative) {
        texts.push(negative);
    }
    texts
}

/// # Errors
/// [`Error::Request`] for a strength out of its range.
fn check_strength(strength: f64) -> Result<()> {
    match (0.0..=2.0).contains(&strength) {
        true => Ok(()),
        false => Err(Error::request("negative strength", strength, "0 to 2")),
    }
}

impl OnHost {
    fn texts_at(&self, guidance: &Guidance, step: usize) -> Vec<Text> {
        texts_at(guidance, step, &self.positive.plan, &self.negative.plan)
    }

    /// Moves the negative prompt's embeddings `n` along the line from the empty prompt's `e`:
    /// `e + strength · (n − e)`.
    fn strengthen(&mut self, strength: f64) {
        if strength == 1.0 {
            return;
        }
        let [empty] = &self.empty.texts[..] else {
            return;
        };
        let texts = self.negative.texts.iter_mut();
        let vectors = texts.flat_map(|text| [Some(&mut text.embeddings), text.for_values.as_mut()]);
        for negative in vectors.flatten() {
            for (n, &e) in negative.iter_mut().zip(&empty.embeddings) {
                let (from, to) = (f64::from(e), f64::from(*n));
                *n = (from + strength * (to - from)) as f32;
            }
        }
    }

    /// Uploads the texts `in_force`, for a call with `guidance`.
    fn upload(&self, in_force: &[Text], guidance: &Guidance) -> Context {
        let texts = in_force.iter().map(|text| match text {
            Text::Positive(text) => &self.positive.texts[*text],
            Text::Negative(text) => &self.negative.texts[*text],
            Text::Empty => &self.empty.texts[0],
        });
        let texts: Vec<&Encoded> = texts.collect();
        let upload = |vectors: Vec<&[f32]>| {
            let (count, values) = (vectors.len(), vectors.concat());
            let shape = [count, values.len() / count / self.width, self.width];
            let data = TensorData::new(values, shape).convert_dtype(self.dtype);
            Tensor::from_data(data, (&self.device, self.dtype))
        };
        let embeddings = upload(texts.iter().map(|text| &text.embeddings[..]).collect());
        let negated = texts.iter().any(|text| text.for_values.is_some());
        let for_values = negated.then(|| {
            let own = texts
                .iter()
                .map(|text| text.for_values.as_ref().unwrap_or(&text.embeddings));
            upload(own.map(|vectors| &vectors[..]).collect())
        });
        let guidance = (guidance, self.kind);
        Context::new(embeddings, for_values, in_force, guidance)
    }
}

/// The text encoder for one run.
struct Encoder<'a> {
    pipeline: &'a Pipeline,
    dtype: DType,
    /// Layers at the end that are not run.
    left_out: usize,
}

impl Encoder<'_> {
    /// Encodes `texts` as one batch.
    ///
    /// # Shapes
    /// → `[texts, 77·k, hidden_size]`
    fn texts(&self, texts: &[&Vec<Chunk>]) -> Result<Tensor<3>> {
        let pipeline = self.pipeline;
        let chunks = texts.iter().copied().flatten();
        let batch: Vec<Vec<u32>> = chunks.map(|chunk| chunk.ids.clone()).collect();
        let tokens = batch.len() / texts.len() * pipeline.tokenizer().max_length();
        let device = &pipeline.runtime().device;
        let encoder = pipeline.text_encoder();
        let embeddings = {
            let options = EncodeOptions {
                left_out: self.left_out,
                learned: &pipeline.learned,
            };
            encoder.forward_with(&batch, options, device, self.dtype)?
        };
        Ok(embeddings.reshape([texts.len(), tokens, pipeline.config().text.hidden_size]))
    }

    /// Encodes the texts of `plan` and reads them back, `[77·k, hidden_size]` each.
    async fn on_host(&self, plan: &Plan) -> Result<Vec<Vec<f32>>> {
        let mut embeddings = Vec::new();
        let texts: Vec<_> = plan.texts.iter().collect();
        for texts in texts.chunks(TEXTS_AT_ONCE) {
            let values = read(self.texts(texts)?).await?;
            let length = values.len() / texts.len();
            embeddings.extend(values.chunks_exact(length).map(<[f32]>::to_vec));
        }
        Ok(embeddings)
    }
}

/// The embeddings of `chunks` with tokens of negative weight negated, if there are any.
fn negated(chunks: &[Chunk], embeddings: &[f32], width: usize) -> Option<Vec<f32>> {
    let rows = negated_rows(chunks);
    (!rows.is_empty()).then(|| {
        let mut for_values = embeddings.to_vec();
        negate(&mut for_values, &rows, width);
        for_values
    })
}

/// Applies the magnitudes of the weights of `plan` to the embeddings of its texts, chunk by chunk:
/// a mean is that of one chunk in the texts of all stages, as in the web UI.
fn emphasize(emphasis: Emphasis, plan: &Plan, embeddings: &mut [Vec<f32>], width: usize) {
    let absolute = |chunk: &Chunk| chunk.weights.iter().map(|weight| weight.abs()).collect();
    let stages = plan.parts.iter().flat_map(|part| &part.stages);
    let mut uses = vec![0; plan.texts.len()];
    stages.for_each(|&(_, text)| uses[text] += 1);
    for index in 0..plan.chunks() {
        let weights: Vec<Vec<f64>> = plan.texts.iter().map(|t| absolute(&t[index])).collect();
        let texts = weights.iter().zip(embeddings.iter_mut()).zip(&uses);
        let mut chunks: Vec<_> = texts
            .map(|((weights, embeddings), &uses)| {
                let length = weights.len() * width;
                WeightedText {
                    embeddings: &mut embeddings[index * length..][..length],
                    weights,
                    uses,
                }
            })
            .collect();
        emphasis.apply_together(&mut chunks, width);
    }
}
