//! The choice of a kernel tiling where there is none.

use burn::tensor::{Tensor, TensorData};
use darkroom::device::read;
use darkroom::device::tuning::{TilingChoice, choose};
use darkroom::ops::Linear;
use pollster::block_on;

use crate::support::cpu;

#[test]
fn the_cpu_has_no_kernel_tiling_to_choose() {
    let mut cpu = cpu();
    let choice = block_on(choose(&mut cpu, &TilingChoice::Auto, None)).expect("no failure");
    assert!(choice.is_none());
    let one = Tensor::<3>::from_data(TensorData::new(vec![2f32], [1, 1, 1]), &cpu.device);
    let three = Tensor::<2>::from_data(TensorData::new(vec![3f32], [1, 1]), &cpu.device);
    let product = cpu.ops.linear(Linear {
        x: one,
        skip: None,
        weight: &three,
        bias: None,
        residual: None,
    });
    assert_eq!(block_on(read(product)).expect("a product"), [6.0]);
}
