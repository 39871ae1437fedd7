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
use crate::sampling::guidance::{Guiding, Role};
use crate::text::encoder::EncodeOptions;
use crate::text::prompt::chunks::Chunk;
use crate::text::prompt::emphasis::{Emphasis, WeightedText};
use crate::text::prompt::plan::Plan;

/// Texts that are encoded in one batch. A guided run without schedules has as many, so its kernels
/// are compiled.
const TEXTS_AT_ONCE: usize = 2;

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
    /// The text of each branch that was uploaded last.
    in_force: Vec<Text>,
    device: Device,
    dtype: DType,
    width: usize,
}

/// The text of a branch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Text {
    Positive(usize),
    Negative(usize),
    Empty,
}

/// A prompt with the embeddings of its texts, `[77·k, hidden_size]` each.
struct Prompt {
    plan: Plan,
    embeddings: Vec<Vec<f32>>,
}

impl Prompts {
    /// Encodes the prompts that were `read`, with activations in `dtype`; those alone that have an
    /// effect. Returns the embeddings for the first call beside the prompts.
    ///
    /// # Shapes
    /// → `[branches, 77·k, hidden_size]`, in the order of the first call's guidance
    ///
    /// # Errors
    /// [`Error::Request`] for a clip skip that the text encoder does not have, [`Error::Device`]
    /// where the device fails.
    pub async fn encode(
        pipeline: &Pipeline,
        request: &Request,
        dtype: DType,
        read: ReadPrompts,
        (guiding, first): (&Guiding, &[Role]),
    ) -> Result<(Tensor<3>, Self)> {
        check_strength(request.negative_strength)?;
        let clip_skip = request
            .clip_skip
            .unwrap_or(pipeline.config().text.own_clip_skip());
        let encoder = Encoder {
            pipeline,
            dtype,
            left_out: pipeline.config().text.layers_left_out(clip_skip)?,
        };
        let strength = match guiding.is_guided() {
            true => request.negative_strength,
            false => 1.0,
        };
        let applied = request.emphasis != Emphasis::Ignore;
        let changes = |plan: &Plan| {
            let mut chunks = plan.texts.iter().flatten();
            plan.changes() || (applied && chunks.any(Chunk::is_weighted))
        };
        let negative_changes = guiding.is_guided() && changes(&read.negative);
        let constant = guiding.is_constant() && strength == 1.0;
        if constant && !negative_changes && !changes(&read.positive) {
            let texts: Vec<_> = texts_at(first, 0, &read.positive, &read.negative)
                .map(|text| match text {
                    Text::Positive(text) => &read.positive.texts[text],
                    Text::Negative(text) => &read.negative.texts[text],
                    Text::Empty => &read.empty.texts[0],
                })
                .collect();
            let embeddings = encoder.texts(&texts)?;
            return Ok((embeddings, Prompts { on_host: None }));
        }
        let width = pipeline.config().text.hidden_size;
        let on_host = async |plan: Plan, used: bool| {
            let mut embeddings = Vec::new();
            if used {
                embeddings = encoder.on_host(&plan).await?;
                emphasize(request.emphasis, &plan, &mut embeddings, width);
            }
            Ok::<_, Error>(Prompt { plan, embeddings })
        };
        let with_empty = strength != 1.0 || guiding.has_empty();
        let mut prompts = OnHost {
            positive: on_host(read.positive, true).await?,
            negative: on_host(read.negative, guiding.is_guided()).await?,
            empty: on_host(read.empty, with_empty).await?,
            in_force: Vec::new(),
            device: pipeline.runtime().device.clone(),
            dtype,
            width,
        };
        prompts.strengthen(strength);
        prompts.in_force = prompts.texts_at(first, 0);
        let embeddings = prompts.upload(&prompts.in_force);
        let on_host = Some(prompts);
        Ok((embeddings, Prompts { on_host }))
    }

    /// The embeddings of the branches `roles` for the step numbered `step`, if other texts are in
    /// force than at the call before.
    pub fn change_at(&mut self, step: usize, roles: &[Role]) -> Option<Tensor<3>> {
        let prompts = self.on_host.as_mut()?;
        let in_force = prompts.texts_at(roles, step);
        if in_force == prompts.in_force {
            return None;
        }
        prompts.in_force = in_force;
        Some(prompts.upload(&prompts.in_force))
    }

    /// The embeddings of the branches `roles` for the step numbered `step`; `None` if all calls
    /// have the same.
    pub fn at(&self, step: usize, roles: &[Role]) -> Option<Tensor<3>> {
        let prompts = self.on_host.as_ref()?;
        Some(prompts.upload(&prompts.texts_at(roles, step)))
    }
}

/// The text of each of the branches `roles` at the step numbered `step`.
fn texts_at<'a>(
    roles: &'a [Role],
    step: usize,
    positive: &'a Plan,
    negative: &'a Plan,
) -> impl Iterator<Item = Text> + 'a {
    let mut parts = positive.at(step);
    roles.iter().map(move |role| match role {
        Role::Positive(_) => Text::Positive(parts.next().unwrap_or(0)),
        Role::Negative => Text::Negative(negative.at(step).next().unwrap_or(0)),
        Role::Empty => Text::Empty,
    })
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
    fn texts_at(&self, roles: &[Role], step: usize) -> Vec<Text> {
        texts_at(roles, step, &self.positive.plan, &self.negative.plan).collect()
    }

    /// Moves the negative prompt's embeddings `n` along the line from the empty prompt's `e`:
    /// `e + strength · (n − e)`.
    fn strengthen(&mut self, strength: f64) {
        if strength == 1.0 {
            return;
        }
        let [empty] = &self.empty.embeddings[..] else {
            return;
        };
        for negative in &mut self.negative.embeddings {
            for (n, &e) in negative.iter_mut().zip(empty) {
                let (from, to) = (f64::from(e), f64::from(*n));
                *n = (from + strength * (to - from)) as f32;
            }
        }
    }

    /// Uploads a text for each branch.
    fn upload(&self, in_force: &[Text]) -> Tensor<3> {
        let texts = in_force.iter().map(|text| match text {
            Text::Positive(text) => &self.positive.embeddings[*text][..],
            Text::Negative(text) => &self.negative.embeddings[*text][..],
            Text::Empty => &self.empty.embeddings[0][..],
        });
        let values = texts.collect::<Vec<_>>().concat();
        let branches = in_force.len();
        let shape = [branches, values.len() / branches / self.width, self.width];
        let data = TensorData::new(values, shape).convert_dtype(self.dtype);
        Tensor::from_data(data, (&self.device, self.dtype))
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

/// Applies the weights of `plan` to the embeddings of its texts, chunk by chunk: a mean is that of
/// one chunk in the texts of all stages, as in the web UI.
fn emphasize(emphasis: Emphasis, plan: &Plan, embeddings: &mut [Vec<f32>], width: usize) {
    let stages = plan.parts.iter().flat_map(|part| &part.stages);
    let mut uses = vec![0; plan.texts.len()];
    stages.for_each(|&(_, text)| uses[text] += 1);
    for index in 0..plan.chunks() {
        let texts = plan.texts.iter().zip(embeddings.iter_mut()).zip(&uses);
        let mut chunks: Vec<_> = texts
            .map(|((chunks, embeddings), &uses)| {
                let weights = &chunks[index].weights[..];
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
