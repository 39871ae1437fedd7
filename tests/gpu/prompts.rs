//! Prompts with weights and schedules on the device, where steps are recorded.

use darkroom::sampling::SamplerKind;
use darkroom::text::prompt::PromptSyntax;
use darkroom::{Precision, Request};

use crate::support::generate::sample;
use crate::support::gpu::Gpu;
use crate::support::models::Model;
use crate::support::{cpu, relative_error};

/// A recorded step holds the memory of its prompts, so a change of texts needs another recording.
#[test]
fn prompts_that_change_give_the_latent_of_the_cpu() {
    let Some(gpu) = Gpu::new("prompts that change") else {
        return;
    };
    let model = Model::named("sd1-pndm");
    let pipelines = [cpu(), gpu.runtime(Precision::F32)].map(|runtime| model.load(&runtime));
    let prompts = [
        ("a (man:1.4) with [red] hair", "(mustache:1.2)"),
        ("a [man:woman:4]", "mustache"),
        ("a man", "[mustache::0.25] [blurry:text:6]"),
        ("a [man|woman] with (red:1.3) hair", "mustache"),
    ];
    for kind in [SamplerKind::EulerA, SamplerKind::Pndm, SamplerKind::UniPc] {
        for (prompt, negative_prompt) in prompts {
            let request = Request {
                prompt: prompt.into(),
                negative_prompt: negative_prompt.into(),
                seed: 7,
                steps: 9,
                sampler: Some(kind.into()),
                width: Some(64),
                height: Some(48),
                prompt_syntax: PromptSyntax::A1111,
                ..Request::default()
            };
            let latent = |pipeline, request: &Request| {
                let sampled = sample(pipeline, request);
                let sampled = sampled.unwrap_or_else(|e| panic!("{prompt}: {e}"));
                sampled.generation.latent().to_vec()
            };
            let [expected, actual] = pipelines.each_ref().map(|p| latent(p, &request));
            let error = relative_error(&actual, &expected);
            assert!(error < 1e-4, "{prompt} with {kind}: {error:.1e}");
            let plain = Request {
                prompt_syntax: PromptSyntax::Plain,
                ..request
            };
            let effect = relative_error(&latent(&pipelines[1], &plain), &actual);
            assert!(effect > 1e-3, "{prompt} is like plain text: {effect:.1e}");
        }
    }
}
