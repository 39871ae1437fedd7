//! Random cases, and an adapter to run them on.

use burn::tensor::{DType, Device, Tensor, TensorData};
use darkroom::ops;
use darkroom::ops::gpu::{KernelTiling, TileMemory};

use crate::support::gpu::Gpu;
use crate::support::norms;
use crate::support::random::Random;

/// Random shapes of each operation, for each way to divide the work and each element type.
pub const SHAPES: usize = 200;
/// Random shapes of matrix products for each further tile. Every tile has shaders of its own to
/// compile.
const TILE_SHAPES: usize = 40;

/// A tensor on the adapter and the same values on the CPU, in f32.
pub struct Pair<const D: usize> {
    pub gpu: Tensor<D>,
    pub cpu: Tensor<D>,
}

/// Random inputs of cases, and the two devices.
pub struct Bench<'a> {
    pub random: Random,
    pub dtype: DType,
    device: &'a Device,
    cpu: Device,
}

impl<'a> Bench<'a> {
    pub fn new(seed: u64, gpu: &'a Gpu, dtype: DType) -> Self {
        Bench {
            random: Random::new(seed),
            dtype,
            device: &gpu.device,
            cpu: Device::flex(),
        }
    }
}

impl Bench<'_> {
    pub fn tensor<const D: usize>(&mut self, shape: [usize; D], scale: f32, mean: f32) -> Pair<D> {
        self.tensor_of(shape, scale, mean, self.dtype)
    }

    /// A tensor in `dtype`. Values are rounded to f16 first where the adapter's copy is in f16, so
    /// that both copies are equal.
    pub fn tensor_of<const D: usize>(
        &mut self,
        shape: [usize; D],
        scale: f32,
        mean: f32,
        dtype: DType,
    ) -> Pair<D> {
        let n = shape.iter().product();
        let values: Vec<f32> = (0..n)
            .map(|_| {
                let value = self.random.normal() * scale + mean;
                match dtype {
                    DType::F16 => half::f16::from_f32(value).to_f32(),
                    _ => value,
                }
            })
            .collect();
        let data = TensorData::new(values, shape);
        let cpu = Tensor::<D>::from_data(data.clone(), (&self.cpu, DType::F32));
        // Not cast on the adapter, which may store f16 but not compute in it.
        let gpu = Tensor::<D>::from_data(data.convert_dtype(dtype), (self.device, dtype));
        Pair { gpu, cpu }
    }

    /// [`Bench::tensor`], on the adapter sometimes as a view with elements in another order.
    pub fn view<const D: usize>(&mut self, shape: [usize; D], scale: f32, mean: f32) -> Pair<D> {
        let pair = self.tensor(shape, scale, mean);
        if self.random.below(4) > 0 {
            return pair;
        }
        // Moves the last dimension to the front in memory and back in the view.
        let stored = pair.gpu.swap_dims(0, D - 1) + 0.0;
        Pair {
            gpu: stored.swap_dims(0, D - 1),
            cpu: pair.cpu,
        }
    }

    pub fn vector(&mut self, n: usize, scale: f32, mean: f32) -> Pair<1> {
        self.tensor_of([n], scale, mean, DType::F32)
    }

    /// A matrix of weights in f16 or f32. The type of activations does not matter.
    pub fn weight(&mut self, shape: [usize; 2], scale: f32, half: bool) -> Pair<2> {
        let stored = if half { DType::F16 } else { DType::F32 };
        let pair = self.tensor_of(shape, scale, 0.0, stored);
        assert_eq!(pair.gpu.dtype(), stored);
        pair
    }

    /// Leaves NaN in memory of the size of a result of `shape`, so that an element that a kernel
    /// does not write shows.
    pub fn poison<const D: usize>(&self, shape: [usize; D]) {
        self.poison_in(shape, self.dtype);
    }

    /// [`Bench::poison`] for a result in `dtype`.
    pub fn poison_in<const D: usize>(&self, shape: [usize; D], dtype: DType) {
        let poisoned = Tensor::<D>::full(shape, f32::NAN, (self.device, dtype));
        let _ = self.device.sync();
        drop(poisoned);
    }

    /// A tensor of values that were computed on the CPU.
    pub fn expected<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), (&self.cpu, DType::F32))
    }

    /// Asserts that the relative error of the norms is within 1e-5, in f16 within 2e-3.
    pub fn compare<const D: usize>(&self, got: Tensor<D>, expected: Tensor<D>, what: &str) {
        assert_eq!(got.dims(), expected.dims(), "{what}");
        assert_eq!(got.dtype(), self.dtype, "{what}");
        let [got, expected] = [got, expected].map(|tensor| {
            let values: Vec<f32> = tensor.into_data().convert::<f32>().try_to_vec().unwrap();
            values.into_iter().map(f64::from).collect::<Vec<_>>()
        });
        let [difference, size] = norms(&got, &expected);
        let limit = match self.dtype {
            DType::F16 => 2e-3,
            _ => 1e-5,
        };
        assert!(
            difference <= limit * size,
            "{what}: off by {:.2e} relative to the norm",
            difference / size
        );
    }
}

/// Runs `check` on [`SHAPES`] random cases, for each way to divide the work and each element type.
pub fn sweep(name: &str, seed: u64, check: impl Fn(&mut Bench, ops::Gpu)) {
    if let Some(gpu) = Gpu::new(name) {
        sweep_memories(&gpu, seed, check);
    }
}

/// [`sweep`] for matrix products: also with each tile that can be chosen, on [`TILE_SHAPES`] cases,
/// however small the result.
pub fn sweep_tiles(name: &str, seed: u64, check: impl Fn(&mut Bench, ops::Gpu)) {
    let Some(gpu) = Gpu::new(name) else { return };
    sweep_memories(&gpu, seed, &check);
    for preset in KernelTiling::ALL {
        if preset.memory == TileMemory::Workgroup {
            let tiling = KernelTiling {
                min_tiles: 1,
                ..preset
            };
            let ops = ops::Gpu::with_tiling(tiling);
            let name = format!("tiles of {}", preset.name);
            sweep_shapes(&gpu, seed, TILE_SHAPES, &name, ops, &check);
        }
    }
}

fn sweep_memories(gpu: &Gpu, seed: u64, check: impl Fn(&mut Bench, ops::Gpu)) {
    for memory in [TileMemory::Registers, TileMemory::Workgroup] {
        let ops = ops::Gpu::new(memory == TileMemory::Registers);
        sweep_shapes(gpu, seed, SHAPES, &format!("{memory:?}"), ops, &check);
    }
}

fn sweep_shapes(
    gpu: &Gpu,
    seed: u64,
    shapes: usize,
    name: &str,
    ops: ops::Gpu,
    check: impl Fn(&mut Bench, ops::Gpu),
) {
    for dtype in gpu.dtypes() {
        let mut bench = Bench::new(seed, gpu, dtype);
        let start = std::time::Instant::now();
        for _ in 0..shapes {
            check(&mut bench, ops);
        }
        let took = start.elapsed();
        println!("{name} {dtype:?}: {shapes} shapes in {took:.1?}");
    }
}

/// [`Bench::poison`] only helps if results get the poisoned memory.
#[test]
fn results_are_written_to_poisoned_memory() {
    let Some(gpu) = Gpu::new("poisoned memory") else {
        return;
    };
    for dtype in gpu.dtypes() {
        let bench = Bench::new(0, &gpu, dtype);
        for shape in [[1, 1, 1], [1, 7, 13], [2, 64, 40], [1, 1000, 321]] {
            bench.poison(shape);
            let fresh = Tensor::<3>::empty(shape, (bench.device, dtype));
            let values: Vec<f32> = fresh.into_data().convert::<f32>().try_to_vec().unwrap();
            let clean = values.iter().filter(|value| !value.is_nan()).count();
            assert_eq!(clean, 0, "{dtype:?} {shape:?}: values that are not NaN");
        }
    }
}
