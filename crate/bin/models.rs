//! `darkroom models`: the models in the cache, and what a model takes.

use std::cell::RefCell;
use std::rc::Rc;

use darkroom::error::printable;
use darkroom::pipeline::survey::{Survey, survey};
use darkroom::weights::source::folder::Folder;
use darkroom::weights::source::hub::{CachedModel, cached_models};
use darkroom::weights::source::locate;
use darkroom::{Precision, Result, Runtime};
use serde_json::{Value, json};

use crate::args::Models;
use crate::generate::{on_hub_event, open_device};
use crate::progress_bar::ProgressBar;

/// Lists the cached models, or surveys the model that `args` name.
///
/// # Errors
/// Those of the named model; [`darkroom::Error::File`] where there is no cache folder.
pub async fn models(args: &Models) -> Result<()> {
    let bar = Rc::new(ProgressBar::default());
    let mut warnings = Vec::new();
    let runtime = open_device(args.device, Precision::Auto, false, &mut warnings).await?;
    bar.warn(&warnings);
    let size = [args.width, args.height];
    match &args.model {
        Some(place) => {
            let notices = Rc::new(RefCell::new(Vec::new()));
            let on_event = on_hub_event(bar.clone(), notices.clone());
            let source = locate::open_with(place, None, on_event)?;
            let survey = survey(&*source, &runtime, size).await?;
            bar.warn(&notices.borrow());
            bar.end();
            match args.json {
                true => println!("{}", json!({ "model": place, "survey": survey })),
                false => print!("{}", survey_text(place, None, &Ok(survey))),
            }
        }
        None => list(&runtime, size, args.json).await?,
    }
    Ok(())
}

/// Prints all models in the cache.
async fn list(runtime: &Runtime, size: [Option<usize>; 2], as_json: bool) -> Result<()> {
    let cached = cached_models()?;
    let (models, others): (Vec<_>, Vec<_>) = cached.into_iter().partition(|m| m.is_diffusers);
    let mut surveys = Vec::new();
    for model in models {
        let folder = Folder::open(&model.folder)?;
        let result = survey(&folder, runtime, size).await;
        surveys.push((model, result));
    }
    if as_json {
        let models: Vec<Value> = surveys.iter().map(|(m, s)| entry(m, s)).collect();
        println!("{}", json!({ "models": models, "others": others.len() }));
        return Ok(());
    }
    for (model, survey) in &surveys {
        print!("{}", survey_text(&model.name, Some(model.bytes), survey));
    }
    match (surveys.is_empty(), others.len()) {
        (true, 0) => println!("no models in the cache"),
        (false, 0) => (),
        (_, count) => println!("{count} of other kinds or without a folder layout, not listed"),
    }
    Ok(())
}

/// A cached model as JSON.
fn entry(model: &CachedModel, survey: &Result<Survey>) -> Value {
    json!({
        "model": model.name,
        "folder": model.folder,
        "bytes": model.bytes,
        "survey": survey.as_ref().ok(),
        "problem": survey.as_ref().err().map(ToString::to_string),
    })
}

/// A model for people; `bytes` are those in the cache.
fn survey_text(name: &str, bytes: Option<u64>, survey: &Result<Survey>) -> String {
    let mb = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    let cached = bytes.map_or(String::new(), |bytes| {
        format!(", {} in the cache", mb(bytes))
    });
    let mut text = printable(format!("{name}{cached}\n"));
    match survey {
        Ok(survey) => {
            let [width, height] = survey.default_size;
            let predicts = survey.prediction_type.unwrap_or("not said in its files");
            text += &format!(
                "  kind      {}, {width}×{height}, prediction: {predicts}\n  \
                   start     {} steps, guidance scale {}\n  \
                   files     {}, of which {} are read\n  \
                   memory    {}\n",
                survey.kind,
                survey.default_steps,
                survey.default_guidance_scale,
                mb(survey.file_bytes),
                mb(survey.weight_bytes),
                survey.memory,
            );
        }
        Err(error) => text += &printable(format!("  problem   {error}\n")),
    }
    text
}
