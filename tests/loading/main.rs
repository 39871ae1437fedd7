//! What loading costs in memory, counted: of this program by an allocator of its own, of the GPU by CubeCL's pools. And
//! that the bytes asked for are those that were announced, in that order.

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};

use burn::backend::wgpu::CubeBackend;
use burn::tensor::{DType, Device, Tensor};
use cubecl::MemoryScope;
use darkroom::weights::file::Part;
use darkroom::weights::load::{LoadProgress, Weights};
use darkroom::weights::params::{Layout, Loaded, RequiredTensor};
use darkroom::weights::source::SourceFuture;
use darkroom::weights::{CHUNK, Source, Storage, load_parts};
use half::{bf16, f16};
use pollster::block_on;

/// The system's memory, counted.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, memory: Memory) -> *mut u8 {
        let now = NOW.fetch_add(memory.size(), Ordering::Relaxed) + memory.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        unsafe { System.alloc(memory) }
    }

    unsafe fn dealloc(&self, start: *mut u8, memory: Memory) {
        NOW.fetch_sub(memory.size(), Ordering::Relaxed);
        unsafe { System.dealloc(start, memory) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One test at a time: what is counted is everybody's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn gpu() -> Option<Device> {
    static DEVICE: OnceLock<Option<Device>> = OnceLock::new();
    let device = DEVICE.get_or_init(|| {
        if std::env::var("DARKROOM_NO_GPU_TESTS").is_ok_and(|v| v == "1") {
            return None;
        }
        let (device, _) = Device::wgpu_options()
            .init_with_setup()
            .expect("a wgpu adapter (lavapipe will do), or DARKROOM_NO_GPU_TESTS=1");
        Some(device)
    });
    if device.is_none() {
        println!("NOT RUN: DARKROOM_NO_GPU_TESTS=1");
    }
    device.clone()
}

/// A type of elements in files.
#[derive(Clone, Copy, PartialEq)]
enum Elements {
    F16,
    Bf16,
    F32,
}

impl Elements {
    fn name(self) -> &'static str {
        match self {
            Elements::F16 => "F16",
            Elements::Bf16 => "BF16",
            Elements::F32 => "F32",
        }
    }

    fn size(self) -> usize {
        if self == Elements::F32 { 4 } else { 2 }
    }

    fn write(self, value: f32, to: &mut Vec<u8>) {
        match self {
            Elements::F16 => to.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
            Elements::Bf16 => to.extend_from_slice(&bf16::from_f32(value).to_le_bytes()),
            Elements::F32 => to.extend_from_slice(&value.to_le_bytes()),
        }
    }
}

/// A model of one file that exists only as far as it is read.
struct Imagined {
    required: Vec<RequiredTensor>,
    elements: Elements,
    head: Vec<u8>,
    /// Where each tensor begins in the file.
    starts: Vec<usize>,
    size: usize,
    /// In place of the first value of the first tensor.
    first_value: Option<f32>,
    planned: RefCell<Vec<Range<u64>>>,
    /// Bytes of weights read so far, as they follow each other in the plan.
    read: Cell<u64>,
}

const PATH: &str = "unet/diffusion_pytorch_model.safetensors";

/// The value at `index` of the tensor: small, varied, and the same in all three types of elements.
fn value(tensor: usize, index: usize) -> f32 {
    let hash = (index as u32 ^ (tensor as u32) << 20).wrapping_mul(2_654_435_761) >> 24;
    (hash as f32 - 128.0) / 64.0
}

impl Imagined {
    fn new(required: Vec<RequiredTensor>, elements: Elements) -> Self {
        let mut entries = serde_json::Map::new();
        let mut end = 0;
        let mut offsets = Vec::new();
        for required in &required {
            offsets.push(end);
            let size = required.shape.iter().product::<usize>() * elements.size();
            let entry = serde_json::json!({
                "dtype": elements.name(), "shape": required.shape, "data_offsets": [end, end + size],
            });
            entries.insert(required.name.clone(), entry);
            end += size;
        }
        let json = serde_json::Value::Object(entries).to_string().into_bytes();
        let mut head = (json.len() as u64).to_le_bytes().to_vec();
        head.extend(json);
        Imagined {
            starts: offsets.iter().map(|offset| head.len() + offset).collect(),
            size: head.len() + end,
            required,
            elements,
            head,
            first_value: None,
            planned: RefCell::default(),
            read: Cell::new(0),
        }
    }

    fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let (start, end) = (range.start as usize, range.end as usize);
        if end <= self.head.len() {
            return self.head[start..end].to_vec();
        }
        let tensor = self.starts.partition_point(|&begin| begin <= start) - 1;
        let first = (start - self.starts[tensor]) / self.elements.size();
        let count = (end - start) / self.elements.size();
        let mut bytes = Vec::with_capacity(end - start);
        for index in first..first + count {
            let value = match self.first_value {
                Some(value) if (tensor, index) == (0, 0) => value,
                _ => value(tensor, index),
            };
            self.elements.write(value, &mut bytes);
        }
        bytes
    }

    /// Notes that `range` was read, which must be what comes next in the plan.
    fn note(&self, range: &Range<u64>) {
        let planned = self.planned.borrow();
        let mut before = 0;
        for next in planned.iter() {
            let at = next.start + self.read.get() - before;
            if at < next.end {
                assert_eq!(range.start, at, "bytes are read as they were planned");
                assert!(range.end <= next.end, "{range:?} in {next:?}");
                self.read.set(self.read.get() + range.end - range.start);
                return;
            }
            before += next.end - next.start;
        }
        panic!("{range:?} was not planned: {planned:?}");
    }
}

impl Source for Imagined {
    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        Box::pin(async move { Ok((path == PATH).then_some(self.size as u64)) })
    }

    fn plan<'a>(&'a self, ranges: &'a [(&'a str, Range<u64>)]) -> SourceFuture<'a, ()> {
        Box::pin(async move {
            assert!(ranges.iter().all(|(path, _)| *path == PATH));
            let ranges = ranges.iter().map(|(_, range)| range.clone());
            *self.planned.borrow_mut() = ranges.collect();
            self.read.set(0);
            Ok(())
        })
    }

    fn read<'a>(&'a self, _: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        Box::pin(async move {
            if range.start >= self.head.len() as u64 && self.first_value.is_none() {
                self.note(&range);
            }
            Ok(self.bytes(range))
        })
    }

    fn describe(&self, path: &str) -> String {
        path.to_string()
    }
}

fn required(name: &str, shape: &[usize], layout: Layout) -> RequiredTensor {
    RequiredTensor {
        name: name.into(),
        shape: shape.to_vec(),
        layout,
    }
}

fn load(source: &Imagined, device: &Device, storage: Storage) -> Weights {
    let part = Part {
        folder: "unet",
        stem: "diffusion_pytorch_model",
        required: source.required.clone(),
    };
    let mut last = 0;
    let mut progress = |p: LoadProgress| {
        assert!(p.done <= p.total && (p.done >= last || source.first_value.is_some()));
        last = p.done;
    };
    let parts = [part];
    let loaded = load_parts(source, &parts, device, storage, &mut progress);
    let loaded = block_on(loaded).expect("a model that is as it should be");
    let expected = bytes(&source.required, source.elements.size());
    assert_eq!(last, expected as u64, "of what is required, every byte");
    loaded
}

fn matrix<'a>(weights: &'a Weights, name: &str) -> &'a Tensor<2> {
    match &weights.parts[0][name] {
        Loaded::Matrix(matrix) => matrix,
        _ => panic!("{name} is a matrix"),
    }
}

/// The shapes of a large model's largest tensors, and some odd ones.
fn large() -> Vec<RequiredTensor> {
    vec![
        required("conv.weight", &[1280, 1920, 3, 3], Layout::Conv3x3),
        required("proj.weight", &[10240, 1280], Layout::Matrix),
        required("proj.bias", &[10240], Layout::Vector),
        required("odd.weight", &[7, 130, 3, 3], Layout::Conv3x3),
        required("shortcut.weight", &[1280, 2560, 1, 1], Layout::Matrix),
        required("norm.weight", &[1280], Layout::Vector),
    ]
}

fn bytes(required: &[RequiredTensor], size: usize) -> usize {
    let elements = |w: &RequiredTensor| w.shape.iter().product::<usize>();
    required.iter().map(|w| elements(w) * size).sum()
}

#[test]
fn a_matrix_is_never_whole_in_this_programs_memory() {
    let Some(device) = gpu() else { return };
    let _alone = alone();
    for (elements, storage) in [
        (Elements::F16, Storage::Lossless),
        (Elements::F16, Storage::Single),
        (Elements::Bf16, Storage::Half),
        (Elements::F32, Storage::Half),
        (Elements::F32, Storage::Lossless),
    ] {
        let model = Imagined::new(large(), elements);
        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let weights = load(&model, &device, storage);
        let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        println!(
            "{} as {storage:?}: {:.1} MB of weights, host peak {:.1} MB",
            elements.name(),
            bytes(&model.required, elements.size()) as f64 / 1e6,
            peak as f64 / 1e6
        );
        // What was read, what it was converted to, and as much again that waits to be sent off; the rest is CubeCL's.
        assert!(peak < 5 * CHUNK, "{peak} bytes");
        drop(weights);
    }
}

#[test]
fn a_table_is_in_memory_once() {
    let _alone = alone();
    // SD1's tokens.
    let table = || vec![required("table.weight", &[49408, 768], Layout::HostTable)];
    for (elements, storage, kept) in [
        (Elements::F16, Storage::Half, 2),
        (Elements::F32, Storage::Half, 2),
        (Elements::F32, Storage::Lossless, 4),
    ] {
        let model = Imagined::new(table(), elements);
        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let weights = load(&model, &Device::flex(), storage);
        let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
        let size = bytes(&model.required, kept);
        assert!(peak < size + 3 * CHUNK, "{peak} bytes for {size}");
        let Loaded::Table(table) = &weights.parts[0]["table.weight"] else {
            panic!("it is a table");
        };
        assert_eq!(table.bytes.len(), size);
        let row = table.row(40000).expect("a row");
        let expected: Vec<f32> = (0..768).map(|i| value(0, 40000 * 768 + i)).collect();
        assert_eq!(row, expected);
    }
}

#[test]
fn the_gpu_holds_the_weights_and_nothing_else() {
    let Some(device) = gpu() else { return };
    let _alone = alone();
    let probe = Tensor::<1>::empty([1], &device);
    let client = probe
        .try_into_primitive::<CubeBackend>()
        .expect("a wgpu device")
        .client;
    let used = || {
        client.memory_cleanup().expect("a cleanup");
        client
            .memory_report(MemoryScope::Device)
            .usage()
            .bytes_reserved as usize
    };
    for (elements, storage, size) in [
        (Elements::F16, Storage::Lossless, 2),
        (Elements::F32, Storage::Lossless, 4),
        (Elements::F32, Storage::Half, 2),
    ] {
        let model = Imagined::new(large(), elements);
        let before = used();
        let weights = load(&model, &device, storage);
        // Without a cleanup of its own: loading has done it.
        let after = client
            .memory_report(MemoryScope::Device)
            .usage()
            .bytes_reserved as usize;
        let expected = bytes(&model.required, size);
        println!(
            "{} as {storage:?}: {expected} bytes of weights, {} allocated",
            elements.name(),
            after - before
        );
        assert!(
            after - before >= expected,
            "vectors and odd matrices are in f32"
        );
        assert!((after - before) as f64 <= 1.02 * expected as f64);
        drop(weights);
        let left = used().saturating_sub(before);
        assert!(left < CHUNK, "{left} bytes stay behind");
    }
}

#[test]
fn tensors_without_a_place_are_named() {
    let _alone = alone();
    let shapes = ["proj.weight", "lora_up.weight", "lora_down.weight"]
        .map(|name| required(name, &[8, 4], Layout::Matrix))
        .to_vec();
    let mut model = Imagined::new(shapes, Elements::F16);
    assert!(
        load(&model, &Device::flex(), Storage::Single)
            .warnings
            .is_empty()
    );
    model.required.truncate(1);
    let warnings = load(&model, &Device::flex(), Storage::Single).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("2 tensors"), "{warnings:?}");
    assert!(
        warnings[0].ends_with("lora_down.weight, lora_up.weight"),
        "{warnings:?}"
    );
}

#[test]
fn weights_are_what_the_file_says_on_every_device() {
    let _alone = alone();
    let shapes = || {
        vec![
            required("conv.weight", &[36, 33, 3, 3], Layout::Conv3x3),
            required("proj.weight", &[60, 700], Layout::Matrix),
            required("odd.weight", &[3, 20, 3, 3], Layout::Conv3x3),
            required("bias", &[60], Layout::Vector),
        ]
    };
    for device in [Some(Device::flex()), gpu()].into_iter().flatten() {
        for elements in [Elements::F16, Elements::Bf16, Elements::F32] {
            for storage in [Storage::Lossless, Storage::Half, Storage::Single] {
                let model = Imagined::new(shapes(), elements);
                let weights = load(&model, &device, storage);
                for (tensor, required) in model.required.iter().enumerate() {
                    let what = format!("{} {} as {storage:?}", required.name, elements.name());
                    let (data, half) = match &weights.parts[0][&required.name] {
                        Loaded::Matrix(matrix) => {
                            let half = storage.matrix(file_type(elements), required.shape[0]);
                            (matrix.clone().into_data(), half)
                        }
                        Loaded::Vector(vector) => (vector.clone().into_data(), DType::F32),
                        Loaded::Table(_) => panic!("{what}: there is none"),
                    };
                    assert_eq!(data.dtype(), half, "{what}");
                    let got: Vec<f32> = data.convert::<f32>().try_to_vec().expect("f32");
                    let shape = &required.shape;
                    let inputs = shape.get(1).copied().unwrap_or(1);
                    let taps: usize = shape.iter().skip(2).product();
                    for (index, got) in got.into_iter().enumerate() {
                        let (row, output) = (index / shape[0], index % shape[0]);
                        let (tap, input) = (row / inputs, row % inputs);
                        let there = (output * inputs + input) * taps + tap;
                        assert_eq!(got, value(tensor, there), "{what} at {index}");
                    }
                }
            }
        }
    }
}

fn file_type(elements: Elements) -> darkroom::weights::safetensors::Dtype {
    use darkroom::weights::safetensors::Dtype;
    match elements {
        Elements::F16 => Dtype::F16,
        Elements::Bf16 => Dtype::Bf16,
        Elements::F32 => Dtype::F32,
    }
}

#[test]
fn a_matrix_with_a_weight_beyond_f16_stays_in_f32() {
    let _alone = alone();
    for device in [Some(Device::flex()), gpu()].into_iter().flatten() {
        let shapes = ["large.weight", "other.weight"]
            .map(|name| required(name, &[64, 40], Layout::Matrix))
            .to_vec();
        let mut model = Imagined::new(shapes, Elements::F32);
        model.first_value = Some(1e6);
        let weights = load(&model, &device, Storage::Half);
        assert_eq!(matrix(&weights, "other.weight").dtype(), DType::F16);
        let large = matrix(&weights, "large.weight");
        assert_eq!(large.dtype(), DType::F32);
        let values: Vec<f32> = large.clone().into_data().try_to_vec().expect("f32");
        assert_eq!(values[0], 1e6);
        assert_eq!(values[1], value(0, 40));
    }
}
