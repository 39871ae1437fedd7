//! Survey of a model: its kind, and what it would take to download and to run, without reading
//! its weights.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::Range;

use serde::Serialize;

use super::load::{LoadOptions, load};
use crate::config::{ModelKind, PredictionType};
use crate::device::Runtime;
use crate::device::memory::MemoryPlan;
use crate::error::{Error, Result};
use crate::model::{Model, PredictionSetting};
use crate::weights::Source;
use crate::weights::source::SourceFuture;

/// Facts about a model, from its configuration and the headers of its weight files.
#[derive(Debug, Clone, Serialize)]
pub struct Survey {
    /// "standard", "lcm" or "turbo".
    pub kind: &'static str,
    /// "epsilon" or "v_prediction"; `None` if the files do not tell.
    pub prediction_type: Option<&'static str>,
    /// Width and height in pixels of the pictures the model was trained on.
    pub default_size: [usize; 2],
    /// Sampling steps to start with.
    pub default_steps: usize,
    /// Guidance scale to start with.
    pub default_guidance_scale: f64,
    /// Bytes of the weight files that are needed.
    pub file_bytes: u64,
    /// Bytes of the weights in them that are read.
    pub weight_bytes: u64,
    /// Memory that the model and a picture take.
    pub memory: MemoryPlan,
}

/// Surveys the model `source` for pictures of `size`, width and height in pixels, on `runtime`.
///
/// # Errors
/// Those of loading the model, up to its first weight.
pub async fn survey(
    source: &dyn Source,
    runtime: &Runtime,
    size: [Option<usize>; 2],
) -> Result<Survey> {
    let model = Model::read(source, PredictionSetting::Auto, None).await?;
    let headers = HeadersOnly {
        source,
        announced: RefCell::default(),
        stopped: Cell::new(false),
    };
    let (memory, weight_bytes) = (Cell::new(None), Cell::new(0));
    let options = LoadOptions {
        size,
        on_plan: Box::new(|plan| memory.set(Some(*plan))),
        on_progress: Box::new(|progress| weight_bytes.set(progress.total)),
        ..LoadOptions::default()
    };
    match load(&headers, runtime, options).await {
        Err(error) if !headers.stopped.get() => return Err(error),
        _ => (),
    }
    let memory = memory.into_inner();
    let memory = memory.ok_or_else(|| Error::file("weights", "the model has none"))?;
    let mut file_bytes = 0;
    for path in headers.announced.take() {
        file_bytes += source.size(&path).await?.unwrap_or(0);
    }
    let kind = ModelKind::of(&model.config);
    Ok(Survey {
        kind: kind.name(),
        prediction_type: match model.config.scheduler.prediction_type {
            _ if model.undecided => None,
            PredictionType::Epsilon => Some("epsilon"),
            PredictionType::VPrediction => Some("v_prediction"),
        },
        default_size: model.config.default_size(),
        default_steps: kind.default_steps(),
        default_guidance_scale: kind.default_guidance_scale(),
        file_bytes,
        weight_bytes: weight_bytes.get(),
        memory,
    })
}

/// A model that can be read up to its first weight. The announcement of the weights, which says
/// which files are needed, ends the loading.
struct HeadersOnly<'a> {
    source: &'a dyn Source,
    announced: RefCell<BTreeSet<String>>,
    stopped: Cell<bool>,
}

impl Source for HeadersOnly<'_> {
    fn checkpoint(&self) -> Option<String> {
        self.source.checkpoint()
    }

    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        self.source.size(path)
    }

    fn list<'a>(&'a self, folder: &'a str) -> SourceFuture<'a, Option<Vec<String>>> {
        self.source.list(folder)
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        self.source.read(path, range)
    }

    fn announce<'a>(&'a self, ranges: &'a [(&'a str, Range<u64>)]) -> SourceFuture<'a, ()> {
        let paths = ranges.iter().map(|(path, _)| path.to_string());
        self.announced.borrow_mut().extend(paths);
        self.stopped.set(true);
        Box::pin(async { Err(Error::device("the survey ends before the weights")) })
    }

    fn describe(&self, path: &str) -> String {
        self.source.describe(path)
    }
}
