//! Pictures of one model, one after the other.

use std::rc::Rc;
use std::time::Instant;

use darkroom::{Picture, Pipeline, Request, Result};

use crate::progress_bar::ProgressBar;

/// Maker of a number of pictures, with its progress.
pub struct Series<'a> {
    pipeline: &'a Rc<Pipeline>,
    bar: &'a ProgressBar,
    begin: Instant,
    done: usize,
    pictures: usize,
    /// Warnings that were shown.
    shown: Vec<String>,
}

impl<'a> Series<'a> {
    /// A series of so many pictures.
    pub fn new(pipeline: &'a Rc<Pipeline>, bar: &'a ProgressBar, pictures: usize) -> Self {
        Series {
            pipeline,
            bar,
            begin: Instant::now(),
            done: 0,
            pictures,
            shown: Vec::new(),
        }
    }

    /// Makes the picture of `request`. Each warning is shown once.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn make(&mut self, request: &Request) -> Result<Picture> {
        let mut generation = self.pipeline.start(request).await?;
        while !generation.is_done() {
            generation.step().await?;
        }
        let picture = generation.finish().await?;
        let mut warnings = generation.warnings().to_vec();
        warnings.retain(|warning| !self.shown.contains(warning));
        self.bar.warn(&warnings);
        self.shown.extend(warnings);
        self.count();
        Ok(picture)
    }

    /// Counts a picture as done.
    pub fn count(&mut self) {
        self.done += 1;
        let left = (self.pictures - self.done) as f64;
        let seconds = self.begin.elapsed().as_secs_f64() / self.done as f64 * left;
        let text = format!(
            "picture {} of {}, {seconds:.0} s left",
            self.done, self.pictures
        );
        self.bar.show(&text);
    }
}
