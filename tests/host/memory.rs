//! The memory plan on the CPU.

use crate::support::cpu;
use crate::support::models::Model;

/// The CPU has no memory pools, but it has a plan.
#[test]
fn cpu_has_a_plan_without_a_limit() {
    let runtime = cpu();
    assert_eq!(runtime.memory(), None);
    let pipeline = Model::read("sd1-pndm").load(&runtime);
    let plan = pipeline.memory_plan(64, 64);
    assert!(plan.buffer_limit.is_none() && !plan.tiled);
    assert!(plan.weights > 0 && plan.host > 0 && plan.activations > 0 && plan.decode > 0);
    assert_eq!(
        plan.total,
        plan.weights + plan.activations + plan.scratch + plan.decode
    );
    // Large enough for what a run holds, whatever the size, to be little.
    let plan = pipeline.memory_plan(512, 512);
    let larger = pipeline.memory_plan(2048, 1024);
    assert_eq!(larger.weights, plan.weights);
    // Eight times the positions.
    let growth = larger.activations as f64 / plan.activations as f64;
    assert!((4.0..8.5).contains(&growth), "{growth}");
}
