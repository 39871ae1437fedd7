//! LoRAs merged into a model on a GPU adapter, and taken out again.

use std::rc::Rc;

use darkroom::weights::Source;
use darkroom::weights::lora::{AppliedLora, Lora};
use darkroom::weights::source::locate;
use darkroom::{Precision, Request};
use pollster::block_on;

use crate::support::generate::generate;
use crate::support::gpu::Gpu;
use crate::support::models::Model;
use crate::support::{cpu, golden, relative_error, say};

fn applied(file: &str, weight: f32) -> AppliedLora {
    let path = golden().join("additions").join(file);
    let source = locate::open(path.to_str().expect("UTF-8"), None).expect("a file");
    let source: Rc<dyn Source> = Rc::from(source);
    AppliedLora {
        lora: Rc::new(block_on(Lora::open("name", source)).expect("a LoRA")),
        unet: weight,
        text_encoder: weight,
    }
}

#[test]
fn loras_on_a_gpu_equal_those_on_the_cpu_and_leave_no_trace() {
    let Some(gpu) = Gpu::new("LoRAs on a GPU adapter") else {
        return;
    };
    let model = Model::named("sd1-pndm");
    let folder = model.folder();
    let request = Request {
        steps: 2,
        width: Some(64),
        height: Some(64),
        ..model.expected.cases[0].request()
    };
    let loras = [
        applied("lora-locon.safetensors", 0.6),
        applied("lora-peft.safetensors", -0.5),
    ];
    let mut on_cpu = model.load(&cpu());
    block_on(on_cpu.set_loras(&folder, &loras, &mut |_| ())).expect("merged");
    let expected = generate(&on_cpu, &request).latent;

    let mut pipeline = model.load(&gpu.runtime(Precision::F32));
    let before = generate(&pipeline, &request).latent;
    let memory = |pipeline: &darkroom::Pipeline| {
        let memory = pipeline.runtime().memory().expect("memory pools");
        memory.in_use
    };
    let in_use = memory(&pipeline);
    block_on(pipeline.set_loras(&folder, &loras, &mut |_| ())).expect("merged");
    let error = relative_error(&generate(&pipeline, &request).latent, &expected);
    say(format_args!(
        "two LoRAs on {}: {error:.1e}",
        pipeline.runtime().name
    ));
    // The weights are stored in f16, as those of the model.
    assert!(error < 5e-3, "relative error {error:.1e}");
    assert!(
        relative_error(&before, &expected) > 0.1,
        "the LoRAs have no effect"
    );
    // The tensors that were replaced are free again.
    let more = memory(&pipeline).saturating_sub(in_use);
    assert!(more < 64 << 10, "{more} bytes more in use than before");

    block_on(pipeline.set_loras(&folder, &[], &mut |_| ())).expect("taken out");
    assert!(
        generate(&pipeline, &request).latent == before,
        "a trace is left"
    );
}
