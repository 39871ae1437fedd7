//! Guidance over a run: the branches, the scale and the method of each call.

use super::{
    Guidance, GuidanceSettings, Method, NegativeOutside, Options, Role, Window, perturbed,
};
use crate::error::{Error, Result};
use crate::sampling::Nag;

/// Guidance over a run. Its state is the work that it saved, and a stop.
#[derive(Debug, Clone)]
pub struct Guiding {
    settings: GuidanceSettings,
    options: Options,
    /// Steps of the run.
    steps: usize,
    /// Weights of the prompts joined by `AND`.
    weights: Vec<f64>,
    /// True if there is a negative prompt with text.
    has_negative: bool,
    /// True if guidance has an effect at all.
    guided: bool,
    nag: Option<Nag>,
    stopped: bool,
    branches: usize,
    saved: usize,
}

impl Guiding {
    /// Guidance of `steps` steps by prompts with these `weights`, and a negative prompt if
    /// `has_negative`. `embedded`: the U-Net reads the guidance scale itself.
    ///
    /// # Errors
    /// [`Error::Request`] for a value out of its range.
    pub fn new(
        settings: GuidanceSettings,
        steps: usize,
        weights: Vec<f64>,
        has_negative: bool,
        embedded: bool,
    ) -> Result<Self> {
        check(&settings)?;
        let options = Options::new(settings.kind, &settings.options)?;
        if options.perturbed_scale() != 0.0 && weights.len() > 1 {
            let expected = "a prompt without AND";
            return Err(Error::request("guidance kind", settings.kind, expected));
        }
        // Prompts with weights are guided at scale 1 too.
        let guided = settings.scale != 1.0 || weights != [1.0];
        Ok(Guiding {
            options,
            nag: settings.nag.checked()?,
            settings,
            steps,
            weights,
            has_negative,
            guided: guided && !embedded,
            stopped: false,
            branches: 0,
            saved: 0,
        })
    }

    /// True if there is guidance at all.
    pub fn is_guided(&self) -> bool {
        self.guided
    }

    /// True if the negative prompt has an effect: by guidance, or within the attention.
    pub fn reads_negative(&self) -> bool {
        self.guided || self.nag.is_some()
    }

    /// True if there may be a perturbed branch.
    pub fn is_perturbed(&self) -> bool {
        self.options.perturbed_scale() != 0.0
    }

    /// Guidance within the attention, if there is any.
    pub fn nag(&self) -> Option<Nag> {
        self.nag
    }

    /// The kind of guidance with its options.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Branches of a call that nothing is saved in.
    pub fn most_branches(&self) -> usize {
        let away = match self.guided {
            true => self.away(true).len(),
            false => 0,
        };
        away + self.weights.len() + usize::from(self.is_perturbed())
    }

    /// Branches of all calls so far.
    pub fn branches(&self) -> usize {
        self.branches
    }

    /// Branches that windows, the lowest sigma and the stop have saved so far.
    pub fn saved(&self) -> usize {
        self.saved
    }

    /// True if the branches are the same in all calls.
    pub fn is_constant(&self) -> bool {
        let GuidanceSettings {
            window,
            negative_window,
            min_sigma,
            stop,
            ..
        } = &self.settings;
        let windows = [*window, *negative_window] == [Window::ALL; 2];
        let changes = self.reads_negative() || self.is_perturbed();
        !changes || (windows && *min_sigma <= 0.0 && stop.is_none())
    }

    /// True if a call may have a branch for the empty prompt.
    pub fn has_empty(&self) -> bool {
        self.guided
            && [true, false]
                .into_iter()
                .any(|inside| self.away(inside)[..].contains(&Role::Empty))
    }

    /// True if the host combines the predictions, on a GPU too.
    pub fn is_on_host(&self) -> bool {
        self.guided && self.options.method(0).is_on_host()
    }

    /// True if the cosine of the predictions is wanted.
    pub fn is_watched(&self) -> bool {
        self.guided && self.settings.stop.is_some()
    }

    /// Warnings about windows without a step.
    pub fn warnings(&self) -> Vec<String> {
        let steps = self.steps;
        let empty = |window: Window| !(0..steps).any(|step| window.contains(step, steps));
        let mut warnings = Vec::new();
        if self.guided && empty(self.settings.window) {
            let window = self.settings.window;
            warnings.push(format!(
                "the guidance window {window} has none of the {steps} steps: there is no guidance"
            ));
        }
        if self.guided && self.has_negative && empty(self.settings.negative_window) {
            let window = self.settings.negative_window;
            warnings.push(format!(
                "the negative window {window} has none of the {steps} steps: the negative prompt \
                 has no effect"
            ));
        }
        warnings
    }

    /// The guidance of a call of `step`, counted from 0, at `sigma`.
    pub fn at(&self, step: usize, sigma: f64) -> Guidance {
        // Some samplers count one step more.
        let step = step.min(self.steps - 1);
        let inside = self.settings.negative_window.contains(step, self.steps);
        let is_on = self.is_on(step, sigma);
        let away = match self.guided && is_on {
            true => self.away(inside),
            false => Vec::new(),
        };
        let nag = self.nag.filter(|_| inside);
        if away.is_empty() {
            let roles = match is_on {
                true => self.prompts(1.0),
                false => Guidance::none(&self.weights).roles,
            };
            return Guidance {
                roles,
                nag,
                ..Guidance::none(&self.weights)
            };
        }
        let method = match self.options.method(step) {
            Method::PerpNeg(_) if away.len() == 1 => Method::Plain,
            method => method,
        };
        let schedule = self.settings.schedule;
        let scale = schedule.scale(self.settings.scale, step, self.steps);
        Guidance {
            scale,
            roles: [away, self.prompts(scale)].concat(),
            method,
            rescale: self.options.rescale(),
            watched: self.is_watched(),
            nag,
        }
    }

    /// The branches of the prompts in a call with this guidance scale.
    fn prompts(&self, scale: f64) -> Vec<Role> {
        match self.is_perturbed() {
            true => perturbed::roles(self.weights[0], scale, self.options.perturbed_scale()),
            false => self.weights.iter().copied().map(Role::Positive).collect(),
        }
    }

    fn is_on(&self, step: usize, sigma: f64) -> bool {
        let window = self.settings.window.contains(step, self.steps);
        !self.stopped && window && sigma >= self.settings.min_sigma
    }

    /// The branches that guidance moves away from, inside the negative prompt's window or not.
    fn away(&self, inside: bool) -> Vec<Role> {
        let perpendicular = matches!(self.options.method(0), Method::PerpNeg(_));
        match (inside, self.settings.negative_outside) {
            (true, _) if perpendicular && self.has_negative => vec![Role::Empty, Role::Negative],
            (true, _) => vec![Role::Negative],
            (false, NegativeOutside::Empty) => vec![Role::Empty],
            (false, NegativeOutside::None) => Vec::new(),
        }
    }

    /// Counts a call that was made with `guidance`. `similarity` is the cosine of its predictions,
    /// where it was wanted.
    pub fn made(&mut self, guidance: &Guidance, similarity: Option<f64>) {
        self.branches += guidance.branches();
        self.saved += self.most_branches() - guidance.branches();
        let passed = |stop| similarity.is_some_and(|cosine| cosine >= stop);
        self.stopped |= self.settings.stop.is_some_and(passed);
    }
}

fn check(settings: &GuidanceSettings) -> Result<()> {
    let scale = settings.scale;
    if !(0.0..=100.0).contains(&scale) {
        return Err(Error::request("guidance scale", scale, "0 to 100"));
    }
    settings.window.check("guidance window")?;
    settings.negative_window.check("negative window")?;
    let sigma = settings.min_sigma;
    if !(sigma >= 0.0 && sigma.is_finite()) {
        return Err(Error::request("guidance min sigma", sigma, "0 or more"));
    }
    match settings.stop {
        Some(stop) if !(-1.0..=1.0).contains(&stop) => {
            Err(Error::request("guidance stop", stop, "a cosine, −1 to 1"))
        }
        _ => Ok(()),
    }
}
