//! Every GPU kernel against Burn's own operations on the CPU, over random shapes: ones, primes, channels that no tile
//! divides, and all combinations of what may be fused in.
//!
//! Runs on any wgpu adapter, a software one included, and fails without one unless `DARKROOM_NO_GPU_TESTS=1` says that
//! this is meant.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock};

use burn::backend::wgpu::CubeBackend;
use burn::tensor::wgpu::wgpu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use darkroom::config::Activation;
use darkroom::ops::gpu::{Tiles, Upload, every_shader};
use darkroom::ops::{Attention, Conv3x3, Gpu, GroupNorm, Linear, Ops, Stock};

/// Random shapes for each operation, in each way to divide the work.
const SHAPES: usize = 200;

struct Adapter {
    device: Device,
    /// The adapter computes in f16.
    half: bool,
}

/// The adapter, for one test at a time: a software one takes all cores, and memory is counted.
fn adapter() -> Option<MutexGuard<'static, Adapter>> {
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
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn chance(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// About normal: the sum of four uniform values.
    fn value(&mut self) -> f32 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|i| bits >> (16 * i) & 0xffff).sum();
        (sum as f32 / 65535.0 - 2.0) * 1.7
    }
}

/// A tensor on the adapter and the same values on the CPU, in f32.
struct Pair<const D: usize> {
    gpu: Tensor<D>,
    cpu: Tensor<D>,
}

/// What a test runs on.
struct Bench<'a> {
    random: Random,
    device: &'a Device,
    cpu: Device,
    dtype: DType,
    fused: &'static [[bool; 3]],
}

impl Bench<'_> {
    fn tensor<const D: usize>(&mut self, shape: [usize; D], scale: f32, mean: f32) -> Pair<D> {
        self.tensor_of(shape, scale, mean, self.dtype)
    }

    /// Rounded to f16 first where the adapter's copy is in f16, so that both are the same.
    fn tensor_of<const D: usize>(
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
    fn view<const D: usize>(&mut self, shape: [usize; D], scale: f32, mean: f32) -> Pair<D> {
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

    fn vector(&mut self, n: usize, scale: f32, mean: f32) -> Pair<1> {
        self.tensor_of([n], scale, mean, DType::F32)
    }

    /// A matrix of weights, in f16 or in f32 whatever activations are in.
    fn weight(&mut self, shape: [usize; 2], scale: f32, half: bool) -> Pair<2> {
        let stored = if half { DType::F16 } else { DType::F32 };
        let pair = self.tensor_of(shape, scale, 0.0, stored);
        assert_eq!(pair.gpu.dtype(), stored);
        pair
    }

    /// Leaves NaN in memory of the size that a result of `shape` will take, so that what a kernel forgets to write shows.
    fn poison<const D: usize>(&self, shape: [usize; D]) {
        let poisoned = Tensor::<D>::full(shape, f32::NAN, (self.device, self.dtype));
        let _ = self.device.sync();
        drop(poisoned);
    }

    fn compare<const D: usize>(&self, got: Tensor<D>, expected: Tensor<D>, what: &str) {
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

/// Runs `check` on `SHAPES` random cases in each element type and each way to divide the work.
fn on_the_adapter(seed: u64, check: impl Fn(&mut Bench, Gpu)) {
    let Some(adapter) = adapter() else { return };
    let mut dtypes = vec![DType::F32];
    if adapter.half {
        dtypes.push(DType::F16);
    } else {
        println!("NOT RUN in f16: the adapter has none");
    }
    for tiles in [Tiles::Registers, Tiles::Workgroup] {
        for &dtype in &dtypes {
            let mut bench = Bench {
                random: Random(seed),
                device: &adapter.device,
                cpu: Device::flex(),
                dtype,
                fused: if dtype == DType::F16 {
                    &FUSED_HALF
                } else {
                    &FUSED
                },
            };
            let start = std::time::Instant::now();
            for _ in 0..SHAPES {
                check(&mut bench, Gpu::with_tiles(tiles));
            }
            println!(
                "{tiles:?} {dtype:?}: {SHAPES} shapes in {:.1?}",
                start.elapsed()
            );
        }
    }
}

/// Skip connection, bias or timestep embedding, residual: the networks' combinations, and all at once. (Every combination
/// is a shader of its own, whose compilation takes longer than its run; `every_shader_is_valid` has them all.)
const FUSED: [[bool; 3]; 6] = [
    [false, false, false],
    [false, true, false],
    [false, false, true],
    [false, true, true],
    [true, true, false],
    [true, true, true],
];

/// As many in f16, where only the types differ.
const FUSED_HALF: [[bool; 3]; 2] = [[false, true, false], [true, true, true]];

/// Each combination of what is fused in with one of the types that weights are stored in: with both there would be twice as
/// many shaders to compile.
fn half_weights(outputs: usize, fused: bool) -> bool {
    outputs.is_multiple_of(4) == fused
}

const CHANNELS: [usize; 14] = [1, 2, 3, 4, 5, 8, 12, 13, 16, 28, 31, 32, 40, 64];

#[test]
fn convolution_matches_stock() {
    on_the_adapter(1, |bench, gpu| {
        let random = &mut bench.random;
        let n = random.one_of(&[1, 1, 2, 3]);
        let (h, w) = (1 + random.below(11), 1 + random.below(11));
        let [skip, add, residual] = random.one_of(bench.fused);
        let channels = random.one_of(&CHANNELS);
        let skip = if skip {
            random.one_of(&[channels, 4, 3])
        } else {
            0
        };
        let outputs = random.one_of(&CHANNELS) + random.one_of(&[0, 0, 0, 61, 128]);
        let stride = random.one_of(&[1, 1, 2]);
        let upsample_to = match random.below(4) {
            0 => Some([2 * h, 2 * w]),
            1 => Some([h + random.below(7), w + random.below(7)]),
            _ => None,
        };
        let add_rows = if add { random.one_of(&[1, n]) } else { 0 };
        let half = half_weights(outputs, add);
        let what = format!(
            "{:?} conv, half weights {half}, n {n} {h}×{w} channels {channels}+{skip} → {outputs} stride {stride} upsample {upsample_to:?} add {add_rows} residual {residual}",
            bench.dtype
        );
        let inputs = channels + skip;
        let x = bench.view([n, h, w, channels], 1.0, 0.3);
        let skip = (skip > 0).then(|| bench.view([n, h, w, skip], 1.0, -0.2));
        let weight = bench.weight(
            [9 * inputs, outputs],
            (inputs as f32 * 9.0).powf(-0.5),
            half,
        );
        let bias = bench.vector(outputs, 0.5, 0.1);
        let add = (add_rows > 0).then(|| bench.tensor([add_rows, outputs], 0.5, 0.0));
        let mut args = Conv3x3::new(x.cpu, &weight.cpu, &bias.cpu);
        (args.stride, args.upsample_to) = (stride, upsample_to);
        let [h, w] = args.output_size();
        let residual = residual.then(|| bench.tensor([n, h, w, outputs], 0.5, 0.0));
        args.skip = skip.as_ref().map(|t| t.cpu.clone());
        args.add = add.as_ref().map(|t| t.cpu.clone());
        args.residual = residual.as_ref().map(|t| t.cpu.clone());
        let expected = Stock.conv3x3(args);
        bench.poison([n, h, w, outputs]);
        let got = gpu.conv3x3(Conv3x3 {
            x: x.gpu,
            skip: skip.map(|t| t.gpu),
            weight: &weight.gpu,
            bias: &bias.gpu,
            stride,
            upsample_to,
            add: add.map(|t| t.gpu),
            residual: residual.map(|t| t.gpu),
        });
        bench.compare(got, expected, &what);
    });
}

/// Sizes of products: ones, primes, and around the edges of tiles.
const SIZES: [usize; 14] = [1, 2, 3, 4, 7, 8, 16, 31, 32, 60, 64, 65, 77, 128];

#[test]
fn linear_matches_stock() {
    on_the_adapter(2, |bench, gpu| {
        let random = &mut bench.random;
        let n = random.one_of(&[1, 1, 2, 3]);
        let t = random.one_of(&SIZES);
        let channels = random.one_of(&SIZES);
        let [skip, bias, residual] = random.one_of(bench.fused);
        let skip = if skip {
            random.one_of(&[channels, 4, 5])
        } else {
            0
        };
        let outputs = random.one_of(&SIZES) + random.one_of(&[0, 0, 0, 61, 128]);
        let half = half_weights(outputs, bias);
        let what = format!(
            "{:?} linear, half weights {half}, n {n} t {t} channels {channels}+{skip} → {outputs} bias {bias} residual {residual}",
            bench.dtype
        );
        let inputs = channels + skip;
        let x = bench.view([n, t, channels], 1.0, 0.3);
        let skip = (skip > 0).then(|| bench.view([n, t, skip], 1.0, -0.2));
        let weight = bench.weight([inputs, outputs], (inputs as f32).powf(-0.5), half);
        let bias = bias.then(|| bench.vector(outputs, 0.5, 0.1));
        let residual = residual.then(|| bench.view([n, t, outputs], 0.5, 0.0));
        let expected = Stock.linear(Linear {
            x: x.cpu,
            skip: skip.as_ref().map(|t| t.cpu.clone()),
            weight: &weight.cpu,
            bias: bias.as_ref().map(|t| &t.cpu),
            residual: residual.as_ref().map(|t| t.cpu.clone()),
        });
        bench.poison([n, t, outputs]);
        let got = gpu.linear(Linear {
            x: x.gpu,
            skip: skip.map(|t| t.gpu),
            weight: &weight.gpu,
            bias: bias.as_ref().map(|t| &t.gpu),
            residual: residual.map(|t| t.gpu),
        });
        bench.compare(got, expected, &what);
    });
}

#[test]
fn geglu_matches_stock() {
    on_the_adapter(3, |bench, gpu| {
        let random = &mut bench.random;
        let n = random.one_of(&[1, 1, 2, 3]);
        let t = random.one_of(&SIZES);
        let channels = random.one_of(&SIZES);
        let outputs = random.one_of(&SIZES) + random.one_of(&[0, 0, 0, 61, 128]);
        let half = half_weights(outputs, channels.is_multiple_of(4));
        let what = format!(
            "{:?} geglu, half weights {half}, n {n} t {t} {channels} → {outputs}",
            bench.dtype
        );
        let x = bench.view([n, t, channels], 1.0, 0.3);
        let weight = bench.weight(
            [channels, 2 * outputs],
            1.5 * (channels as f32).powf(-0.5),
            half,
        );
        let bias = bench.vector(2 * outputs, 0.5, 0.1);
        let expected = Stock.geglu(x.cpu, &weight.cpu, &bias.cpu);
        bench.poison([n, t, outputs]);
        let got = gpu.geglu(x.gpu, &weight.gpu, &bias.gpu);
        bench.compare(got, expected, &what);
    });
}

#[test]
fn attention_matches_stock() {
    on_the_adapter(4, |bench, gpu| {
        let random = &mut bench.random;
        let n = random.one_of(&[1, 1, 2, 3]);
        let width = match random.below(8) {
            0 => random.one_of(&[1, 3, 6, 80, 128, 160, 164, 512]),
            _ => random.one_of(&[4, 8, 12, 40, 64]),
        };
        let heads = if width > 64 { 1 } else { 1 + random.below(5) };
        let causal = random.below(3) == 0;
        let queries = random.one_of(&[1, 2, 5, 16, 31, 64, 77, 100]);
        let keys = match causal {
            true => queries,
            false => random.one_of(&[1, 2, 3, 4, 7, 64, 77, 131]),
        };
        // Up to scores of some tens, where a softmax is nearly a choice.
        let scale = random.one_of(&[0.3, 1.0, 3.0]);
        let what = format!(
            "{:?} attention n {n} heads {heads}×{width} {queries} queries {keys} keys causal {causal} scale {scale}",
            bench.dtype
        );
        let c = heads * width;
        let q = bench.view([n, queries, c], scale, 0.0);
        let k = bench.view([n, keys, c], scale, 0.1);
        let v = bench.view([n, keys, c], 1.0, 0.2);
        let expected = Stock.attention(Attention {
            q: q.cpu,
            k: k.cpu,
            v: v.cpu,
            heads,
            causal,
        });
        bench.poison([n, queries, c]);
        let got = gpu.attention(Attention {
            q: q.gpu,
            k: k.gpu,
            v: v.gpu,
            heads,
            causal,
        });
        bench.compare(got, expected, &what);
    });
}

#[test]
fn group_norm_matches_stock() {
    on_the_adapter(5, |bench, gpu| {
        let random = &mut bench.random;
        let n = random.one_of(&[1, 1, 2, 3]);
        let (h, w) = (1 + random.below(20), 1 + random.below(20));
        let groups = random.one_of(&[1, 2, 3, 8, 32]);
        let channels = groups * random.one_of(&[1, 2, 3, 4, 5, 8, 10]);
        let skip = match random.below(3) {
            0 if channels > 1 => 1 + random.below(channels - 1),
            1 if channels > 4 && channels % 4 == 0 => 4 * (1 + random.below(channels / 4 - 1)),
            _ => 0,
        };
        let silu = random.chance();
        let eps = random.one_of(&[1e-5, 1e-6]);
        let mean = random.one_of(&[0.0, 0.5, -8.0]);
        let what = format!(
            "{:?} group norm n {n} {h}×{w} channels {}+{skip} groups {groups} silu {silu} mean {mean}",
            bench.dtype,
            channels - skip
        );
        let x = bench.view([n, h, w, channels - skip], 2.0, mean);
        let skip = (skip > 0).then(|| bench.view([n, h, w, skip], 1.0, 0.5));
        let weight = bench.vector(channels, 0.3, 1.0);
        let bias = bench.vector(channels, 0.3, 0.2);
        let expected = Stock.group_norm(GroupNorm {
            x: x.cpu,
            skip: skip.as_ref().map(|t| t.cpu.clone()),
            weight: &weight.cpu,
            bias: &bias.cpu,
            groups,
            eps,
            silu,
        });
        bench.poison([n, h, w, channels]);
        let got = gpu.group_norm(GroupNorm {
            x: x.gpu,
            skip: skip.map(|t| t.gpu),
            weight: &weight.gpu,
            bias: &bias.gpu,
            groups,
            eps,
            silu,
        });
        bench.compare(got, expected, &what);
    });
}

#[test]
fn layer_norm_matches_stock() {
    on_the_adapter(6, |bench, gpu| {
        let random = &mut bench.random;
        let n = random.one_of(&[1, 1, 2, 3]);
        let t = random.one_of(&SIZES);
        let c = random.one_of(&[1, 2, 3, 4, 5, 31, 32, 64, 77, 320, 768]);
        let mean = random.one_of(&[0.0, 0.5, -8.0]);
        let what = format!("{:?} layer norm n {n} t {t} c {c} mean {mean}", bench.dtype);
        let x = bench.view([n, t, c], 1.0, mean);
        let weight = bench.vector(c, 0.3, 1.0);
        let bias = bench.vector(c, 0.3, 0.2);
        let expected = Stock.layer_norm(x.cpu, &weight.cpu, &bias.cpu, 1e-5);
        bench.poison([n, t, c]);
        let got = gpu.layer_norm(x.gpu, &weight.gpu, &bias.gpu, 1e-5);
        bench.compare(got, expected, &what);
    });
}

#[test]
fn activations_match_stock() {
    on_the_adapter(7, |bench, gpu| {
        let random = &mut bench.random;
        let shape = [
            1 + random.below(3),
            1 + random.below(80),
            1 + random.below(80),
        ];
        let activation = random.one_of(&[Activation::Gelu, Activation::QuickGelu]);
        let x = bench.view(shape, 3.0, 0.0);
        let what = format!("{:?} {activation:?} of {shape:?}", bench.dtype);
        let expected = Stock.activation(x.cpu, activation);
        bench.poison(shape);
        let got = gpu.activation(x.gpu, activation);
        bench.compare(got, expected, &what);
    });
}

#[test]
fn weights_come_to_their_place() {
    let Some(adapter) = adapter() else { return };
    let mut random = Random(8);
    for _ in 0..SHAPES {
        let half = random.chance();
        let (dtype, size) = match half {
            true => (DType::F16, 2),
            false => (DType::F32, 4),
        };
        // Pairs of f16 are moved together.
        let outputs = match half {
            true => 2 * (1 + random.below(150)),
            false => 1 + random.below(300),
        };
        let inner = [1 + random.below(70), random.one_of(&[1, 9, 9, 4])];
        let columns = inner[0] * inner[1];
        let bits: Vec<u8> = (0..outputs * columns * size)
            .map(|_| random.next() as u8)
            .collect();
        // Smaller than some pairs of rows: those take a larger chunk.
        let chunk = random.one_of(&[64, 1024, 1 << 20]);
        let rows = (chunk / (columns * size) / 2 * 2).max(2);
        let mut upload = Upload::new(&adapter.device, chunk).expect("a wgpu device");
        let matrix = upload.matrix(columns, outputs, dtype);
        pollster::block_on(async {
            for first in (0..outputs).step_by(rows) {
                let range = first * columns * size..outputs.min(first + rows) * columns * size;
                let chunk = bits[range].to_vec();
                upload.put(&matrix, inner, first, chunk).await?;
            }
            upload.finish().await
        })
        .expect("an upload");
        let got = Tensor::<2>::from_primitive::<CubeBackend>(matrix).into_data();
        let what = format!("{dtype:?} {inner:?} → {outputs}, {rows} rows at once");
        assert_eq!(got.shape().as_slice(), [columns, outputs], "{what}");
        let mut expected = Vec::with_capacity(bits.len());
        let [inputs, taps] = inner;
        for row in 0..columns {
            let (tap, input) = (row / inputs, row % inputs);
            for output in 0..outputs {
                let index = (output * inputs + input) * taps + tap;
                expected.extend_from_slice(&bits[index * size..][..size]);
            }
        }
        assert!(got.bytes()[..] == expected[..], "{what}");
    }
}

/// Both WGSL compilers that browsers have accept every shader: naga (Firefox) as a library, tint (Chromium) where it is
/// installed.
#[test]
fn every_shader_is_valid() {
    use wgpu::naga::{front::wgsl, valid};
    let shaders = every_shader();
    for (name, text) in &shaders {
        let module = wgsl::parse_str(text)
            .unwrap_or_else(|e| panic!("{name}\n{text}\n{}", e.emit_to_string(text)));
        valid::Validator::new(
            valid::ValidationFlags::all(),
            // Core WGSL has `unpack2x16float`; naga asks for a capability all the same.
            valid::Capabilities::SHADER_FLOAT16 | valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32,
        )
        .validate(&module)
        .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(text)));
    }
    println!("naga accepts all {} shaders", shaders.len());
    if Command::new("tint").arg("--version").output().is_err() {
        println!("NOT RUN: tint is not installed");
        return;
    }
    let file = std::env::temp_dir().join(format!("darkroom-shader-{}.wgsl", std::process::id()));
    for (name, text) in &shaders {
        let mut writer = std::fs::File::create(&file).expect("a temporary file");
        writer.write_all(text.as_bytes()).expect("a temporary file");
        let output = Command::new("tint")
            .arg("--format")
            .arg("wgsl")
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .expect("tint");
        assert!(
            output.status.success(),
            "{name}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let _ = std::fs::remove_file(&file);
    println!("tint accepts all {} shaders", shaders.len());
}
