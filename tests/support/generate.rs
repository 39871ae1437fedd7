//! Whole generations through the engine's own door.

use std::rc::Rc;

use darkroom::{Generation, LoadOptions, Picture, Pipeline, PredictionSetting, Request, Result};
use darkroom::{Runtime, weights::Source};
use pollster::block_on;

/// A finished generation.
pub struct Generated {
    /// The final latent.
    pub latent: Vec<f32>,
    /// The decoded picture.
    pub picture: Picture,
    /// The call that each step reported.
    pub calls: Vec<usize>,
    /// The steps at which the run started again in f32.
    pub restarts: Vec<usize>,
    /// Warnings of the request, the steps and the decoding.
    pub warnings: Vec<String>,
}

/// A generation after its last step, before the decoding.
pub struct Sampled {
    pub generation: Generation,
    /// The call that each step reported.
    pub calls: Vec<usize>,
    /// The steps at which the run started again in f32.
    pub restarts: Vec<usize>,
}

/// Makes all steps of `request`.
pub fn sample(pipeline: &Rc<Pipeline>, request: &Request) -> Result<Sampled> {
    block_on(async {
        let mut generation = pipeline.start(request).await?;
        let (mut calls, mut restarts) = (Vec::new(), Vec::new());
        while !generation.is_done() {
            let progress = generation.step().await?;
            if progress.restarted {
                restarts.push(calls.len());
            }
            calls.push(progress.call);
        }
        Ok(Sampled {
            generation,
            calls,
            restarts,
        })
    })
}

/// Makes the picture of `request`.
pub fn try_generate(pipeline: &Rc<Pipeline>, request: &Request) -> Result<Generated> {
    let mut sampled = sample(pipeline, request)?;
    let picture = block_on(sampled.generation.finish())?;
    Ok(Generated {
        latent: sampled.generation.latent().to_vec(),
        picture,
        calls: sampled.calls,
        restarts: sampled.restarts,
        warnings: sampled.generation.warnings().to_vec(),
    })
}

/// [`try_generate`], which must succeed.
#[track_caller]
pub fn generate(pipeline: &Rc<Pipeline>, request: &Request) -> Generated {
    try_generate(pipeline, request)
        .unwrap_or_else(|e| panic!("on {}: {e}", pipeline.runtime().name))
}

/// Loads `source`, which must succeed.
#[track_caller]
pub fn load(source: &dyn Source, runtime: &Runtime) -> Rc<Pipeline> {
    load_as(source, runtime, PredictionSetting::Auto)
}

/// [`load`] with a prediction type.
#[track_caller]
pub fn load_as(
    source: &dyn Source,
    runtime: &Runtime,
    prediction: PredictionSetting,
) -> Rc<Pipeline> {
    let options = LoadOptions {
        prediction,
        ..LoadOptions::default()
    };
    block_on(Pipeline::load(source, runtime, options)).unwrap_or_else(|e| panic!("{e}"))
}
