//! The prompts of a run: from their texts to the embeddings that each U-Net call takes.
//!
//! Prompts with weights or schedules are read back once, before the first call, and kept on the
//! host: weights are applied there, and the texts in force are uploaded when they change. All other
//! prompts stay on the device.

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::Pipeline;
use super::request::Request;
use crate::device::read;
use crate::error::{Error, Result, brief};
use crate::text::encoder::EncodeOptions;
use crate::text::prompt::PromptSyntax;
use crate::text::prompt::chunks::Chunk;
use crate::text::prompt::describe::problems;
use crate::text::prompt::emphasis::{Emphasis, WeightedText};
use crate::text::prompt::negative_weights::{negate, negated_rows};
use crate::text::prompt::plan::{Plan, Reading};
use crate::text::prompt::problem::Problem;
use crate::text::prompt::tags::{self, Tagged};
use crate::unet::{CrossAttnKv, Unet};

/// Texts that are encoded in one batch. A guided run without schedules has as many, so its kernels
/// are compiled.
const TEXTS_AT_ONCE: usize = 2;

/// Embeddings of the prompts in force.
pub struct Context {
    /// `[prompts, 77·k, hidden_size]`: negative, then positive; or positive alone, behind which NAG
    /// needs the negative one.
    pub embeddings: Tensor<3>,
    /// The same with tokens of negative weight negated, where there are any: the values of the
    /// cross-attentions are computed of these.
    pub for_values: Option<Tensor<3>>,
}

impl Context {
    /// Keys and values of every cross-attention.
    pub fn cross_attn_kv(&self, unet: &Unet) -> CrossAttnKv {
        let for_values = self.for_values.as_ref().unwrap_or(&self.embeddings);
        unet.cross_attn_kv_with(&self.embeddings, for_values)
    }
}

/// The prompts of a run, encoded.
pub struct Prompts {
    /// Present if the host has the embeddings.
    schedule: Option<Schedule>,
}

/// Prompts that change from call to call.
struct Schedule {
    branches: Vec<Branch>,
    /// The text in force of each branch.
    in_force: Vec<usize>,
    device: Device,
    dtype: DType,
    width: usize,
}

/// A prompt with the embeddings of its texts, `[77·k, hidden_size]` each.
struct Branch {
    plan: Plan,
    embeddings: Vec<Vec<f32>>,
    /// Rows of negative weight of each text.
    negated: Vec<Vec<usize>>,
}

impl Branch {
    /// The text in force at a U-Net call.
    fn at(&self, call: usize) -> usize {
        self.plan.at(call).next().unwrap_or(0)
    }
}

impl Prompts {
    /// Reads and encodes both prompts, with activations in `dtype`; the positive one alone where
    /// neither guidance nor NAG uses the negative one. Returns the embeddings for the first call
    /// beside the prompts.
    ///
    /// # Errors
    /// [`Error::Request`] for a prompt with `AND`, [`Error::File`] where the tokenizer does not fit
    /// the text encoder, [`Error::Device`] where the device fails.
    pub async fn encode(
        pipeline: &Pipeline,
        request: &Request,
        dtype: DType,
        warnings: &mut Vec<String>,
    ) -> Result<(Context, Self)> {
        let clip_skip = request
            .clip_skip
            .unwrap_or(pipeline.config().text.own_clip_skip());
        let encoder = Encoder {
            pipeline,
            dtype,
            left_out: pipeline.config().text.layers_left_out(clip_skip)?,
        };
        let plans = read_prompts(pipeline, request, warnings)?;
        let applied = request.emphasis != Emphasis::Ignore;
        let on_host = |plan: &Plan| {
            let mut chunks = plan.texts.iter().flatten();
            plan.texts.len() > 1 || (applied && chunks.any(Chunk::is_weighted))
        };
        if !plans.iter().any(on_host) {
            let texts: Vec<_> = plans.iter().flat_map(|plan| &plan.texts).collect();
            let embeddings = encoder.texts(&texts)?;
            let context = Context {
                embeddings,
                for_values: None,
            };
            return Ok((context, Prompts { schedule: None }));
        }
        let mut branches = Vec::new();
        for plan in plans {
            let mut embeddings = encoder.on_host(&plan).await?;
            let width = pipeline.config().text.hidden_size;
            emphasize(request.emphasis, &plan, &mut embeddings, width);
            let texts = plan.texts.iter().filter(|_| applied);
            let negated = texts.map(|chunks| negated_rows(chunks)).collect();
            branches.push(Branch {
                plan,
                embeddings,
                negated,
            });
        }
        let schedule = Schedule {
            in_force: branches.iter().map(|branch| branch.at(0)).collect(),
            branches,
            device: pipeline.runtime().device.clone(),
            dtype,
            width: pipeline.config().text.hidden_size,
        };
        let context = schedule.upload();
        let schedule = Some(schedule);
        Ok((context, Prompts { schedule }))
    }

    /// The embeddings for the U-Net call numbered `call`, if other texts are in force than at the
    /// call before.
    pub fn change_at(&mut self, call: usize) -> Option<Context> {
        let schedule = self.schedule.as_mut()?;
        let at = |branch: &Branch| branch.at(call);
        let in_force: Vec<usize> = schedule.branches.iter().map(at).collect();
        if in_force == schedule.in_force {
            return None;
        }
        schedule.in_force = in_force;
        Some(schedule.upload())
    }
}

impl Schedule {
    /// Uploads the texts in force.
    fn upload(&self) -> Context {
        let branches = self.branches.len();
        let texts = self.branches.iter().zip(&self.in_force);
        let (mut embeddings, mut rows) = (Vec::new(), Vec::new());
        for (branch, &text) in texts {
            let before = embeddings.len() / self.width;
            let negated = branch.negated.get(text).into_iter().flatten();
            rows.extend(negated.map(|row| before + row));
            embeddings.extend_from_slice(&branch.embeddings[text]);
        }
        let upload = |values: Vec<f32>| {
            let shape = [branches, values.len() / branches / self.width, self.width];
            let data = TensorData::new(values, shape).convert_dtype(self.dtype);
            Tensor::from_data(data, (&self.device, self.dtype))
        };
        let for_values = (!rows.is_empty()).then(|| {
            let mut negated = embeddings.clone();
            negate(&mut negated, &rows, self.width);
            upload(negated)
        });
        Context {
            embeddings: upload(embeddings),
            for_values,
        }
    }
}

/// Reads the prompts of `request`: negative, then positive; or positive alone. All their texts have
/// the same number of chunks.
fn read_prompts(
    pipeline: &Pipeline,
    request: &Request,
    warnings: &mut Vec<String>,
) -> Result<Vec<Plan>> {
    let tokenizer = pipeline.tokenizer();
    let reading = Reading {
        tokenizer,
        syntax: request.prompt_syntax,
        steps: request.steps,
        long_prompt: request.long_prompt,
    };
    let tagged = match request.prompt_syntax {
        PromptSyntax::A1111 => tags::parse(&request.prompt),
        PromptSyntax::Plain => Tagged::plain(&request.prompt),
    };
    let mut positive = reading.prompt(tagged.text.text())?;
    let mut negative = reading.negative_prompt(&request.negative_prompt)?;
    if positive.parts.len() > 1 {
        let expected = "a prompt without AND, which is not supported yet";
        return Err(Error::request("prompt", &request.prompt, expected));
    }
    let prompts = [
        ("prompt", &request.prompt, &positive),
        ("negative prompt", &request.negative_prompt, &negative),
    ];
    for (name, _, plan) in prompts {
        let room = tokenizer.max_length() - 2;
        warnings.extend(plan.cut.as_ref().map(|cut| {
            format!(
                "the {name} has {} tokens, the model reads {room}; cut off: “{}”",
                cut.count,
                cut.text.trim()
            )
        }));
    }
    warnings.extend(without_effect(request, pipeline).map(String::from));
    for (name, text, _) in prompts {
        warnings.extend(problem_warnings(name, text, request.prompt_syntax));
    }
    warnings.extend(lora_warnings(pipeline, request, &tagged));
    // Both prompts on equal footing: the same number of chunks.
    let chunks = positive.chunks().max(negative.chunks());
    positive.pad(chunks, tokenizer);
    negative.pad(chunks, tokenizer);
    let guided = request.is_guided(pipeline.config());
    Ok(match (guided, request.nag()?) {
        (true, _) => vec![negative, positive],
        (false, Some(_)) => vec![positive, negative],
        (false, None) => vec![positive],
    })
}

/// A warning where one of the prompts has no effect.
fn without_effect(request: &Request, pipeline: &Pipeline) -> Option<&'static str> {
    let embedded = pipeline.config().unet.time_cond_proj_dim.is_some();
    let negative = !request.negative_prompt.is_empty() && request.nag_scale <= 1.0;
    match request.guidance_scale {
        _ if embedded && negative => Some(
            "this model has its guidance built in (a latent consistency model): the negative \
             prompt has no effect without normalized attention guidance (NAG scale above 1)",
        ),
        1.0 if negative => Some(
            "at guidance scale 1 the negative prompt has no effect without normalized attention \
             guidance (NAG scale above 1)",
        ),
        0.0 if !embedded && !request.prompt.is_empty() => {
            Some("at guidance scale 0 the prompt has no effect: the picture shows the negative one")
        }
        _ => None,
    }
}

/// Warnings about LoRAs that a prompt names in vain.
fn lora_warnings(pipeline: &Pipeline, request: &Request, tagged: &Tagged) -> Vec<String> {
    let has = |name: &str| {
        pipeline
            .loras()
            .iter()
            .any(|applied| applied.lora.name() == name)
    };
    let unknown = tagged.loras.iter().filter(|tag| !has(&tag.name));
    let mut warnings: Vec<String> = unknown
        .map(|tag| {
            let name = brief(&tag.name);
            format!("the prompt names the LoRA “{name}”, which is not there; it has no effect")
        })
        .collect();
    let negative = tags::parse(&request.negative_prompt);
    if request.prompt_syntax == PromptSyntax::A1111 && !negative.loras.is_empty() {
        warnings.push(
            "a LoRA in the negative prompt is read as text; it belongs into the prompt".into(),
        );
    }
    warnings
}

/// A warning for each part of the prompt `text` that does something other than what it looks like.
fn problem_warnings(name: &str, text: &str, syntax: PromptSyntax) -> Vec<String> {
    let warning = |problem: Problem| {
        let letter = 1 + text[..problem.span.start].chars().count();
        let sign = &text[problem.span];
        format!("the {name}, “{sign}” at letter {letter}: {}", problem.kind)
    };
    problems(text, syntax).into_iter().map(warning).collect()
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
