//! Guidance within the attention, on a GPU adapter.

use burn::tensor::{DType, Tensor};
use darkroom::Precision;
use darkroom::ops::gpu::{DryRun, TileMemory};
use darkroom::ops::{self, NagImages};
use darkroom::sampling::Nag;
use darkroom::unet::{CrossAttnKv, Perturbation, Unet};
use darkroom::weights::VarStore;

use crate::step::random_model::sd15_unet;
use crate::support::attention::compare;
use crate::support::gpu::Gpu;
use crate::support::say;

/// At guidance scale 1 and beside classifier-free guidance, in recorded steps.
#[test]
fn guidance_within_the_attention_matches_diffusers() {
    let Some(gpu) = Gpu::new("guidance within the attention") else {
        return;
    };
    let cases = [
        "nag-0",
        "nag-3",
        "nag-4",
        "weights-1",
        "weights-3",
        "pag-0",
        "pag-1",
        "slg-4",
    ];
    compare(&gpu.runtime(Precision::F32), 1e-4, |name| {
        cases.contains(&name)
    });
}

/// SD1.5 has 16 cross-attentions. With two perturbed images the maps of twelve down layers are
/// needed for one image more, and those of the middle block twice.
#[test]
fn dispatches_of_a_step_are_few_with_guidance_within_the_attention() {
    let Some(gpu) = Gpu::new("dispatches of guidance within the attention") else {
        return;
    };
    let config = sd15_unet();
    for memory in [TileMemory::Registers, TileMemory::Workgroup] {
        let dry_run = DryRun::new(&gpu.device);
        let runtime = gpu.runtime(Precision::F32);
        let ops = std::rc::Rc::new(ops::Gpu::new(memory == TileMemory::Registers));
        let unet = Unet::new(
            VarStore::dry_run(&dry_run, runtime.storage, ops).root(),
            &config,
        )
        .expect("a network");
        let dispatches = |images: usize, change: &dyn Fn(CrossAttnKv) -> CrossAttnKv| {
            let tensor = |shape| dry_run.tensor(shape, DType::F32);
            let prompts: Tensor<3> = dry_run.tensor([3, 77, 768], DType::F32);
            let mut predict = None;
            dry_run.record(|| {
                let times = unet.times(&[0.0], 1.0, &prompts);
                predict = Some((times, change(unet.cross_attn_kv(&prompts))));
            });
            let (times, prompts) = predict.expect("made before the step");
            let latent = tensor([images, 64, 64, 4]);
            dry_run
                .record(|| unet.predict(latent, &times, &prompts))
                .len()
        };
        let plain = dispatches(2, &|kv| kv);
        let nag = NagImages {
            first: 1,
            prompt: 0,
            nag: Nag::default(),
        };
        let guided = dispatches(2, &|kv| kv.with_nag(Some(nag)));
        let perturbed =
            |perturbation| dispatches(3, &|kv| kv.with_perturbation(Some(perturbation)));
        let pag = perturbed(Perturbation::IdentityAttention);
        let slg = perturbed(Perturbation::SkippedLayers);
        say(format_args!(
            "SD1.5's U-Net, {memory:?}: {plain} dispatches, with NAG {guided}, PAG {pag}, SLG {slg}"
        ));
        assert_eq!(guided, plain + 16, "one for each cross-attention");
        assert_eq!(pag, plain + 14, "one for each skip connection and two more");
        assert_eq!(slg, pag);
    }
}
