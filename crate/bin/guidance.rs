//! Guidance of `darkroom generate`: its arguments, and its part of the report.

use clap::Args;
use darkroom::sampling::Nag;
use darkroom::sampling::guidance::{GuidanceKind, GuidanceSchedule, NegativeOutside, Window};
use darkroom::{Generation, Request};
use serde_json::{Value, json};

/// Arguments about guidance beside its scale. Their default values leave it as it is.
#[derive(Args)]
pub struct GuidanceArgs {
    /// Strength of the negative prompt, 0 to 2: its embedding on the line from the empty prompt's
    /// (0) through its own (1)
    #[arg(
        long,
        default_value_t = 1.0,
        value_name = "W",
        allow_negative_numbers = true
    )]
    pub negative_strength: f64,
    /// Shares of the steps from and up to which the negative prompt is in force
    #[arg(long, default_value_t, value_name = "A:B", allow_hyphen_values = true)]
    pub negative_window: Window,
    /// The negative prompt's place in the other steps: empty (the empty prompt takes it) or none
    /// (no guidance, which saves half the work)
    #[arg(long, default_value_t)]
    pub negative_outside: NegativeOutside,
    /// Shares of the steps from and up to which there is guidance; the other steps take half the
    /// work
    #[arg(long, default_value_t, value_name = "A:B", allow_hyphen_values = true)]
    pub guidance_window: Window,
    /// Guidance scale over the steps: constant, linear or cosine (both grow from 1; their mean is
    /// the scale)
    #[arg(long, default_value_t)]
    pub guidance_schedule: GuidanceSchedule,
    /// No guidance below this sigma (A1111's NGMS)
    #[arg(
        long,
        default_value_t = 0.0,
        value_name = "SIGMA",
        allow_negative_numbers = true
    )]
    pub guidance_min_sigma: f64,
    /// No more guidance once the predictions for prompt and negative prompt have this cosine, such
    /// as 0.99
    #[arg(long, value_name = "COSINE", allow_negative_numbers = true)]
    pub guidance_stop: Option<f64>,
    /// Normalized attention guidance (NAG): the negative prompt acts within the attention to the
    /// prompt, at guidance scale 1 and with LCM and SD-Turbo too; 0 to 100, at most 1 is off
    #[arg(
        long = "nag",
        value_name = "SCALE",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub nag_scale: f64,
    /// Largest growth of an attention's norm by NAG, 0 to 100
    #[arg(long, value_name = "TAU", default_value_t = Nag::TAU, allow_negative_numbers = true)]
    pub nag_tau: f64,
    /// Share of the guided attention in NAG's result, 0 to 1
    #[arg(long, value_name = "ALPHA", default_value_t = Nag::ALPHA, allow_negative_numbers = true)]
    pub nag_alpha: f64,
    /// plain, rescale, cfg-zero, apg, perp-neg (three predictions a step), dynamic-thresholding,
    /// tangential, pag or slg (perturbed-attention and skip-layer guidance, one prediction more)
    #[arg(long, default_value_t, value_name = "KIND")]
    pub guidance_kind: GuidanceKind,
    /// An option of the kind, such as eta=0.5; may be given several times. rescale: phi; cfg-zero:
    /// zero_steps; apg: eta, momentum, norm_threshold; perp-neg: weight; dynamic-thresholding:
    /// mimic_scale, percentile; pag and slg: scale; all but rescale, pag and slg: rescale
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub guidance_option: Vec<(String, f64)>,
}

fn key_value(text: &str) -> Result<(String, f64), String> {
    let expected = "expected KEY=VALUE with a number, such as eta=0.5";
    let (key, value) = text.split_once('=').ok_or(expected)?;
    let value = value.trim().parse().map_err(|_| expected)?;
    Ok((key.trim().into(), value))
}

/// The guidance that was applied beside its scale, as JSON.
pub fn guidance(request: &Request, generation: &Generation) -> Value {
    let options = generation.guidance();
    json!({
        "kind": options.kind().name(),
        "options": options.values(),
        "schedule": request.guidance_schedule.name(),
        "window": request.guidance_window,
        "min_sigma": request.guidance_min_sigma,
        "stop": request.guidance_stop,
        "negative_strength": request.negative_strength,
        "negative_window": request.negative_window,
        "negative_outside": request.negative_outside.to_string(),
        "nag_scale": request.nag_scale,
        "nag_tau": request.nag_tau,
        "nag_alpha": request.nag_alpha,
        "branches": generation.branches(),
        "branches_saved": generation.branches_saved(),
    })
}
