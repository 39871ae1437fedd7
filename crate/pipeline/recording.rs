//! Recorded calls of a generation.
//!
//! A recorded generation keeps, for each U-Net call, the predictions of all branches, the guided
//! prediction and the latent. The predictions stay on the device until they are asked for. The host
//! reads the other two after each call in any case. [`RecordingPlan`] says what that takes and what
//! happens beyond its limits. A generation that is not recorded makes the launches that it made
//! before.

use super::denoise::{CallResults, KeptPredictions, branches_first};
use crate::device::memory::RecordingPlan;
use crate::device::read;
use crate::error::{Error, Result};
use crate::sampling::Nag;
use crate::sampling::guidance::{Guidance, Role};
use crate::sampling::update::{Term, Update};

/// Recorded calls of a generation.
pub struct Recording {
    plan: RecordingPlan,
    /// Shape of the latent.
    shape: [usize; 3],
    /// Every so many calls are kept.
    every: usize,
    /// Recorded calls, in order.
    pub calls: Vec<RecordedCall>,
}

/// Facts about a call.
#[derive(Debug, Clone)]
pub struct AboutCall {
    /// Number of the call, counted from 0.
    pub call: usize,
    /// Step by which scheduled prompts are chosen.
    pub prompt_step: usize,
    /// Timestep of the call.
    pub timestep: f64,
    /// Sigma of the call.
    pub sigma: f64,
    /// Guidance scale of the call.
    pub guidance_scale: f64,
    /// Factor on the latent for the network's input.
    pub input_scale: f64,
    /// Text of each branch.
    pub roles: Vec<Role>,
    /// Guidance within the attention.
    pub nag: Option<Nag>,
}

impl AboutCall {
    /// The roles and the attention of the call as guidance.
    pub fn guidance(&self) -> Guidance {
        Guidance {
            roles: self.roles.clone(),
            nag: self.nag,
            ..Guidance::plain(self.guidance_scale)
        }
    }
}

/// A recorded call.
pub struct RecordedCall {
    /// Facts about the call.
    pub about: AboutCall,
    /// `[channels, height, width]`
    pub shape: [usize; 3],
    /// The latent before the call, `[channels, height, width]`.
    pub latent: Vec<f32>,
    /// The guided prediction.
    pub guided: Vec<f32>,
    predictions: KeptPredictions,
    /// The prediction for the empty prompt, once it was asked for.
    pub empty: Option<Vec<f32>>,
    /// The denoised latent as a function of a prediction.
    pub denoising: Denoising,
}

/// The denoised latent as a function of the latent and a prediction.
#[derive(Debug, Clone, Copy)]
pub struct Denoising {
    latent: f64,
    prediction: f64,
    limit: Option<f64>,
}

impl Denoising {
    fn of(update: &Update) -> Self {
        Denoising {
            latent: update.denoised.weight(Term::Latent),
            prediction: update.denoised.weight(Term::Prediction),
            limit: update.limit,
        }
    }

    /// The denoised latent for a prediction.
    pub fn apply(&self, latent: &[f32], prediction: &[f32]) -> Vec<f32> {
        let limit = self.limit.unwrap_or(f64::INFINITY);
        let denoised = |(&x, &p): (&f32, &f32)| {
            let sum = self.latent * f64::from(x) + self.prediction * f64::from(p);
            sum.clamp(-limit, limit) as f32
        };
        latent.iter().zip(prediction).map(denoised).collect()
    }
}

impl Recording {
    /// An empty recording of latents of `shape`.
    pub fn new(plan: RecordingPlan, shape: [usize; 3]) -> Self {
        Recording {
            plan,
            shape,
            every: 1,
            calls: Vec::new(),
        }
    }

    /// Adds a call, and keeps to the limits of the plan.
    ///
    /// # Errors
    /// [`Error::Device`] where the device fails.
    pub async fn add(
        &mut self,
        about: AboutCall,
        results: CallResults,
        update: &Update,
    ) -> Result<()> {
        if !about.call.is_multiple_of(self.every) {
            return Ok(());
        }
        self.calls.push(RecordedCall {
            about,
            shape: self.shape,
            latent: results.latent,
            guided: results.guided,
            predictions: results.predictions,
            empty: None,
            denoising: Denoising::of(update),
        });
        while self.device_bytes() > self.plan.device_limit {
            let mut on_device = self.calls.iter_mut().filter(|call| call.is_on_device());
            match on_device.next() {
                Some(oldest) => oldest.move_to_host().await?,
                None => break,
            }
        }
        self.thin();
        Ok(())
    }

    /// Drops every second call until the host's part is within its limit.
    pub fn thin(&mut self) {
        while self.calls.len() > 1 && self.host_bytes() > self.plan.host_limit {
            self.every *= 2;
            let every = self.every;
            self.calls
                .retain(|call| call.about.call.is_multiple_of(every));
        }
    }

    fn device_bytes(&self) -> u64 {
        let on_device = self.calls.iter().filter(|call| call.is_on_device());
        on_device.map(RecordedCall::prediction_bytes).sum()
    }

    fn host_bytes(&self) -> u64 {
        let arrays = |call: &RecordedCall| {
            let empty = call.empty.as_ref().map_or(0, Vec::len);
            let arrays = call.latent.len() + call.guided.len() + empty;
            let predictions = match call.is_on_device() {
                true => 0,
                false => call.prediction_bytes(),
            };
            (arrays * size_of::<f32>()) as u64 + predictions
        };
        self.calls.iter().map(arrays).sum()
    }

    /// The call with this number.
    ///
    /// # Errors
    /// [`Error::Request`] where it is not recorded.
    pub fn find(&self, call: usize) -> Result<&RecordedCall> {
        let found = self.calls.iter().find(|each| each.about.call == call);
        found.ok_or_else(|| not_recorded(call))
    }

    /// [`Recording::find`], to change it.
    ///
    /// # Errors
    /// [`Error::Request`] where it is not recorded.
    pub fn find_mut(&mut self, call: usize) -> Result<&mut RecordedCall> {
        let found = self.calls.iter_mut().find(|each| each.about.call == call);
        found.ok_or_else(|| not_recorded(call))
    }
}

/// The error for a call that is not recorded.
pub fn not_recorded(call: usize) -> Error {
    Error::request("call", call, "a recorded call")
}

impl RecordedCall {
    fn is_on_device(&self) -> bool {
        matches!(self.predictions, KeptPredictions::Device(_))
    }

    fn prediction_bytes(&self) -> u64 {
        let bytes = match &self.predictions {
            KeptPredictions::Device(tensor) => {
                tensor.shape().num_elements() * tensor.dtype().size()
            }
            KeptPredictions::Host(values) => size_of_val(&values[..]),
        };
        bytes as u64
    }

    async fn move_to_host(&mut self) -> Result<()> {
        self.predictions = KeptPredictions::Host(self.predictions().await?);
        Ok(())
    }

    /// The predictions of all branches, `[branches, channels, height, width]`.
    pub async fn predictions(&self) -> Result<Vec<f32>> {
        match &self.predictions {
            KeptPredictions::Host(values) => Ok(values.clone()),
            KeptPredictions::Device(tensor) => {
                let values = read(tensor.as_ref().clone()).await?;
                Ok(branches_first(&values, self.latent.len(), self.shape[0]))
            }
        }
    }
}
