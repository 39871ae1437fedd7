//! Random cases, and an adapter to run them on.

use std::sync::{Mutex, MutexGuard, OnceLock};

use burn::tensor::wgpu::wgpu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use darkroom::ops::Gpu;
use darkroom::ops::gpu::{KernelTiling, TileMemory};

/// Random shapes of each operation, in each way to divide the work and each element type.
pub const SHAPES: usize = 200;
/// Likewise with each tile that matrix products can have beside: each means shaders of its own to compile.
const TILE_SHAPES: usize = 40;

pub struct Adapter {
    pub device: Device,
    /// The adapter computes in f16.
    pub half: bool,
}

/// The adapter, for one test at a time: a software one takes all cores, and memory is counted.
pub fn adapter() -> Option<MutexGuard<'static, Adapter>> {
    static ADAPTER: OnceLock<Option<Mutex<Adapter>>> = OnceLock::new();
    let adapter = ADAPTER.get_or_init(|| {
        if std::env::var("DARKROOM_NO_GPU_TESTS").is_ok_and(|v| v == "1") {
            return None;
        }
        let (device, setup) = Device::wgpu_options()
            .init_with_setup()
            .expect("a wgpu adapter (lavapipe will do), or DARKROOM_NO_GPU_TESTS=1");
        let info = setup.adapter.get_info();
        let half = setup
            .adapter
            .features()
            .contains(wgpu::Features::SHADER_F16);
        println!("adapter: {} ({:?}), f16: {half}", info.name, info.backend);
        Some(Mutex::new(Adapter { device, half }))
    });
    if adapter.is_none() {
        println!("NOT RUN: DARKROOM_NO_GPU_TESTS=1");
    }
    // A poisoned lock only means that another test failed.
    let adapter = adapter.as_ref()?;
    Some(
        adapter
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()),
    )
}

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    pub fn chance(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// About normal: the sum of four uniform values.
    pub fn value(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xffff).sum();
        (sum as f32 / 65535.0 - 2.0) * 1.7
    }
}

/// A tensor on the adapter and the same values on the CPU, in f32.
pub struct Pair<const D: usize> {
    pub gpu: Tensor<D>,
    pub cpu: Tensor<D>,
}

/// What a case is made and run with.
pub struct Bench<'a> {
    pub random: Random,
    pub dtype: DType,
    device: &'a Device,
    cpu: Device,
}

impl<'a> Bench<'a> {
    pub fn new(seed: u64, adapter: &'a Adapter, dtype: DType) -> Self {
        Bench {
            random: Random(seed),
            dtype,
            device: &adapter.device,
            cpu: Device::flex(),
        }
    }
}

impl Bench<'_> {
    pub fn tensor<const D: usize>(&mut self, shape: [usize; D], scale: f32, mean: f32) -> Pair<D> {
        self.tensor_of(shape, scale, mean, self.dtype)
    }

    /// Rounded to f16 first where the adapter's copy is in f16, so that both are the same.
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
                let value = self.random.value() * scale + mean;
                match dtype {
                    DType::F16 => half::f16::from_f32(value).to_f32(),
                    _ => value,
                }
            })
            .collect();
        let data = TensorData::new(values, shape);
        let cpu = Tensor::<D>::from_data(data.clone(), (&self.cpu, DType::F32));
        // Not cast on the adapter, which may keep f16 but not compute in it.
        let gpu = Tensor::<D>::from_data(data.convert_dtype(dtype), (self.device, dtype));
        Pair { gpu, cpu }
    }

    /// As [`Bench::tensor`]; on the adapter sometimes a view whose elements do not lie in order.
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

    /// A matrix of weights, in f16 or in f32 whatever activations are in.
    pub fn weight(&mut self, shape: [usize; 2], scale: f32, half: bool) -> Pair<2> {
        let stored = if half { DType::F16 } else { DType::F32 };
        let pair = self.tensor_of(shape, scale, 0.0, stored);
        assert_eq!(pair.gpu.dtype(), stored);
        pair
    }

    /// Leaves NaN in memory of the size that a result of `shape` will take, so that what a kernel forgets to write shows.
    pub fn poison<const D: usize>(&self, shape: [usize; D]) {
        self.poison_in(shape, self.dtype);
    }

    /// As [`Bench::poison`], for a result in `dtype`.
    pub fn poison_in<const D: usize>(&self, shape: [usize; D], dtype: DType) {
        let poisoned = Tensor::<D>::full(shape, f32::NAN, (self.device, dtype));
        let _ = self.device.sync();
        drop(poisoned);
    }

    /// A tensor of values that were computed on the CPU.
    pub fn expected<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), (&self.cpu, DType::F32))
    }

    /// The relative error, by the norm of all, must be within 1e-5, in f16 within 2e-3.
    pub fn compare<const D: usize>(&self, got: Tensor<D>, expected: Tensor<D>, what: &str) {
        assert_eq!(got.dims(), expected.dims(), "{what}");
        assert_eq!(got.dtype(), self.dtype, "{what}");
        let got: Vec<f32> = got.into_data().convert::<f32>().try_to_vec().unwrap();
        let expected: Vec<f32> = expected.into_data().try_to_vec().unwrap();
        let norm =
            |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
        let difference = norm(
            &mut got
                .iter()
                .zip(&expected)
                .map(|(a, b)| f64::from(*a) - f64::from(*b)),
        );
        let size = norm(&mut expected.iter().map(|v| f64::from(*v)));
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

/// Runs `check` on [`SHAPES`] random cases in each element type and each way to divide the work.
pub fn sweep(seed: u64, check: impl Fn(&mut Bench, Gpu)) {
    let ways = [TileMemory::Registers, TileMemory::Workgroup];
    let ways = ways.map(|tiles| (format!("{tiles:?}"), Gpu::with_memory(tiles)));
    sweep_ways(seed, SHAPES, &ways, check);
}

/// As [`sweep`], for matrix products: in addition with each tile that can be chosen, on [`TILE_SHAPES`] cases, however small
/// the result.
pub fn sweep_tiles(seed: u64, check: impl Fn(&mut Bench, Gpu)) {
    sweep(seed, &check);
    let tiles = KernelTiling::ALL
        .into_iter()
        .filter(|preset| preset.memory == TileMemory::Workgroup);
    let ways: Vec<_> = tiles
        .map(|preset| {
            let forced = KernelTiling {
                tiles_at_least: 1,
                ..preset
            };
            (
                format!("tiles of {}", preset.name),
                Gpu::with_tiling(forced),
            )
        })
        .collect();
    sweep_ways(seed, TILE_SHAPES, &ways, check);
}

fn sweep_ways(seed: u64, shapes: usize, ways: &[(String, Gpu)], check: impl Fn(&mut Bench, Gpu)) {
    let Some(adapter) = adapter() else { return };
    for (name, gpu) in ways {
        for dtype in adapter.dtypes() {
            let mut bench = Bench::new(seed, &adapter, dtype);
            let start = std::time::Instant::now();
            for _ in 0..shapes {
                check(&mut bench, *gpu);
            }
            let took = start.elapsed();
            println!("{name} {dtype:?}: {shapes} shapes in {took:.1?}");
        }
    }
}

impl Adapter {
    /// The element types that kernels can be tested in.
    pub fn dtypes(&self) -> Vec<DType> {
        if self.half {
            return vec![DType::F32, DType::F16];
        }
        println!("NOT RUN in f16: the adapter has none");
        vec![DType::F32]
    }
}

/// If memory were not reused as [`Bench::poison`] assumes, nothing would show what a kernel forgets.
#[test]
fn results_come_into_poisoned_memory() {
    let Some(adapter) = adapter() else { return };
    for dtype in adapter.dtypes() {
        let bench = Bench::new(0, &adapter, dtype);
        for shape in [[1, 1, 1], [1, 7, 13], [2, 64, 40], [1, 1000, 321]] {
            bench.poison(shape);
            let fresh = Tensor::<3>::empty(shape, (bench.device, dtype));
            let values: Vec<f32> = fresh.into_data().convert::<f32>().try_to_vec().unwrap();
            let clean = values.iter().filter(|value| !value.is_nan()).count();
            assert_eq!(clean, 0, "{dtype:?} {shape:?}: values that are not NaN");
        }
    }
}
