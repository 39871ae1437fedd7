//! The memory that loading takes: of this process by an allocator of its own, of the GPU by
//! CubeCL's pools. And the bytes that are read: those that were announced, in that order.

#[path = "../support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout as Memory, System};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use burn::backend::wgpu::CubeBackend;
use burn::tensor::{DType, Device, Tensor};
use cubecl::MemoryScope;
use darkroom::weights::file::Part;
use darkroom::weights::load::{LoadProgress, Weights};
use darkroom::weights::params::{Layout, Loaded, RequiredTensor};
use darkroom::weights::safetensors::Dtype;
use darkroom::weights::source::SourceFuture;
use darkroom::weights::{CHUNK, Source, Storage, load_parts};
use half::{bf16, f16};
use pollster::block_on;
use serde_json::Value;
use support::gpu::Gpu;
use support::safetensors;

/// The system's allocator with a count of all memory.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator with its own arguments.
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

/// Waits until no other test runs, since all memory of the process is counted.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work`; returns its result and the most bytes that the process held for it.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    (result, peak)
}

/// A type of elements in files.
#[derive(Clone, Copy)]
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
        self.dtype().size()
    }

    fn dtype(self) -> Dtype {
        match self {
            Elements::F16 => Dtype::F16,
            Elements::Bf16 => Dtype::Bf16,
            Elements::F32 => Dtype::F32,
        }
    }

    fn write(self, value: f32, to: &mut Vec<u8>) {
        match self {
            Elements::F16 => to.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
            Elements::Bf16 => to.extend_from_slice(&bf16::from_f32(value).to_le_bytes()),
            Elements::F32 => to.extend_from_slice(&value.to_le_bytes()),
        }
    }
}

/// A model of one file. Its bytes are generated when they are read.
struct Generated {
    required: Vec<RequiredTensor>,
    elements: Elements,
    head: Vec<u8>,
    /// Offset of each tensor in the file.
    starts: Vec<usize>,
    size: usize,
    /// Replaces the first value of the first tensor.
    first_value: Option<f32>,
    planned: RefCell<Vec<Range<u64>>>,
    /// Bytes of weights read so far, in the order of the plan.
    read: Cell<u64>,
}

const PATH: &str = "unet/diffusion_pytorch_model.safetensors";

/// The value at `index` of a tensor: small, varied, and the same in all three types of elements.
fn value(tensor: usize, index: usize) -> f32 {
    let hash = (index as u32 ^ (tensor as u32) << 20).wrapping_mul(2_654_435_761) >> 24;
    (hash as f32 - 128.0) / 64.0
}

impl Generated {
    fn new(required: Vec<RequiredTensor>, elements: Elements) -> Self {
        let infos = required
            .iter()
            .map(|required| (&*required.name, elements.name(), &required.shape[..]));
        let (head, size) = safetensors::header(infos, &Value::Null);
        let mut start = head.len();
        let starts = required.iter().map(|required| {
            let size = required.shape.iter().product::<usize>() * elements.size();
            start += size;
            start - size
        });
        Generated {
            starts: starts.collect(),
            size: size as usize,
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

    /// Records that `range` was read. It must be the next one of the plan.
    fn record(&self, range: &Range<u64>) {
        let planned = self.planned.borrow();
        let mut before = 0;
        for next in planned.iter() {
            let at = next.start + self.read.get() - before;
            if at < next.end {
                assert_eq!(range.start, at, "bytes are read in the order of the plan");
                assert!(range.end <= next.end, "{range:?} in {next:?}");
                self.read.set(self.read.get() + range.end - range.start);
                return;
            }
            before += next.end - next.start;
        }
        panic!("{range:?} was not planned: {planned:?}");
    }
}

impl Source for Generated {
    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        Box::pin(async move { Ok((path == PATH).then_some(self.size as u64)) })
    }

    fn announce<'a>(&'a self, ranges: &'a [(&'a str, Range<u64>)]) -> SourceFuture<'a, ()> {
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
                self.record(&range);
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

fn load(source: &Generated, device: &Device, storage: Storage) -> Weights {
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
    let loaded = block_on(loaded).expect("a valid model");
    let expected = bytes(&source.required, source.elements.size());
    assert_eq!(last, expected as u64, "bytes of all required tensors");
    loaded
}

fn matrix<'a>(weights: &'a Weights, name: &str) -> &'a Tensor<2> {
    match &weights.parts[0][name] {
        Loaded::Matrix(matrix) => matrix,
        _ => panic!("{name} is a matrix"),
    }
}

/// The shapes of a large model's largest tensors, and some unusual ones.
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
fn a_matrix_is_never_whole_in_host_memory() {
    let _alone = alone();
    let Some(gpu) = Gpu::new("host memory while loading to a GPU") else {
        return;
    };
    for (elements, storage) in [
        (Elements::F16, Storage::Lossless),
        (Elements::F16, Storage::Single),
        (Elements::Bf16, Storage::Half),
        (Elements::F32, Storage::Half),
        (Elements::F32, Storage::Lossless),
    ] {
        let model = Generated::new(large(), elements);
        let (_weights, peak) = peak(|| load(&model, &gpu.device, storage));
        println!(
            "{} as {storage:?}: {:.1} MB of weights, host peak {:.1} MB",
            elements.name(),
            bytes(&model.required, elements.size()) as f64 / 1e6,
            peak as f64 / 1e6
        );
        // The bytes that were read, their conversion, and as much again that waits to be sent. The
        // rest is CubeCL's.
        assert!(peak < 5 * CHUNK, "{peak} bytes");
    }
}

#[test]
fn a_table_is_in_memory_once() {
    let _alone = alone();
    // The tokens of SD1.
    let table = || vec![required("table.weight", &[49408, 768], Layout::HostTable)];
    for (elements, storage, kept) in [
        (Elements::F16, Storage::Half, 2),
        (Elements::F32, Storage::Half, 2),
        (Elements::F32, Storage::Lossless, 4),
    ] {
        let model = Generated::new(table(), elements);
        let (weights, peak) = peak(|| load(&model, &Device::flex(), storage));
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
    let _alone = alone();
    let Some(gpu) = Gpu::new("GPU memory after loading") else {
        return;
    };
    let probe = Tensor::<1>::empty([1], &gpu.device);
    let client = probe
        .try_into_primitive::<CubeBackend>()
        .expect("a wgpu device")
        .client;
    let reserved = || {
        let usage = client.memory_report(MemoryScope::Device).usage();
        usage.bytes_reserved as usize
    };
    let reserved_after_cleanup = || {
        client.memory_cleanup().expect("a cleanup");
        reserved()
    };
    for (elements, storage, size) in [
        (Elements::F16, Storage::Lossless, 2),
        (Elements::F32, Storage::Lossless, 4),
        (Elements::F32, Storage::Half, 2),
    ] {
        let model = Generated::new(large(), elements);
        let before = reserved_after_cleanup();
        let weights = load(&model, &gpu.device, storage);
        // Without a cleanup here: loading made one.
        let taken = reserved() - before;
        let expected = bytes(&model.required, size);
        println!(
            "{} as {storage:?}: {expected} bytes of weights, {taken} allocated",
            elements.name(),
        );
        assert!(taken >= expected, "vectors and odd matrices are in f32");
        assert!(taken as f64 <= 1.02 * expected as f64);
        drop(weights);
        let left = reserved_after_cleanup().saturating_sub(before);
        assert!(left < CHUNK, "{left} bytes are not freed");
    }
}

#[test]
fn unexpected_tensors_are_named() {
    let _alone = alone();
    let shapes = ["proj.weight", "lora_up.weight", "lora_down.weight"]
        .map(|name| required(name, &[8, 4], Layout::Matrix))
        .to_vec();
    let mut model = Generated::new(shapes, Elements::F16);
    assert!(
        load(&model, &Device::flex(), Storage::Single)
            .warnings
            .is_empty()
    );
    model.required.truncate(1);
    let warnings = load(&model, &Device::flex(), Storage::Single).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("2 unexpected tensors"), "{warnings:?}");
    assert!(
        warnings[0].ends_with("lora_down.weight, lora_up.weight"),
        "{warnings:?}"
    );
}

/// Runs `test` on the CPU, and on the adapter unless it is left out.
fn on_every_device(what: &str, test: impl Fn(&Device)) {
    let _alone = alone();
    test(&Device::flex());
    if let Some(gpu) = Gpu::new(what) {
        test(&gpu.device);
    }
}

#[test]
fn weights_equal_the_file_on_every_device() {
    let shapes = || {
        vec![
            required("conv.weight", &[36, 33, 3, 3], Layout::Conv3x3),
            required("proj.weight", &[60, 700], Layout::Matrix),
            required("odd.weight", &[3, 20, 3, 3], Layout::Conv3x3),
            required("bias", &[60], Layout::Vector),
        ]
    };
    on_every_device("weights on a GPU", |device| {
        for elements in [Elements::F16, Elements::Bf16, Elements::F32] {
            for storage in [Storage::Lossless, Storage::Half, Storage::Single] {
                let model = Generated::new(shapes(), elements);
                let weights = load(&model, device, storage);
                for tensor in 0..model.required.len() {
                    compare(&model, &weights, tensor, storage);
                }
            }
        }
    });
}

/// Compares the loaded tensor of this index with the file, transposed.
fn compare(model: &Generated, weights: &Weights, tensor: usize, storage: Storage) {
    let required = &model.required[tensor];
    let what = format!("{} {} as {storage:?}", required.name, model.elements.name());
    let (data, dtype) = match &weights.parts[0][&required.name] {
        Loaded::Matrix(matrix) => {
            let dtype = storage.matrix(model.elements.dtype(), required.shape[0]);
            (matrix.clone().into_data(), dtype)
        }
        Loaded::Vector(vector) => (vector.clone().into_data(), DType::F32),
        Loaded::Table(_) => panic!("{what}: a table"),
    };
    assert_eq!(data.dtype(), dtype, "{what}");
    let got: Vec<f32> = data.convert::<f32>().try_to_vec().expect("f32");
    let shape = &required.shape;
    let inputs = shape.get(1).copied().unwrap_or(1);
    let taps: usize = shape.iter().skip(2).product();
    for (index, got) in got.into_iter().enumerate() {
        let (row, output) = (index / shape[0], index % shape[0]);
        let (tap, input) = (row / inputs, row % inputs);
        let in_file = (output * inputs + input) * taps + tap;
        assert_eq!(got, value(tensor, in_file), "{what} at {index}");
    }
}

#[test]
fn a_matrix_with_a_weight_beyond_f16_stays_in_f32() {
    on_every_device("a weight beyond f16 on a GPU", |device| {
        let shapes = ["large.weight", "other.weight"]
            .map(|name| required(name, &[64, 40], Layout::Matrix))
            .to_vec();
        let mut model = Generated::new(shapes, Elements::F32);
        model.first_value = Some(1e6);
        let weights = load(&model, device, Storage::Half);
        assert_eq!(matrix(&weights, "other.weight").dtype(), DType::F16);
        let large = matrix(&weights, "large.weight");
        assert_eq!(large.dtype(), DType::F32);
        let values: Vec<f32> = large.clone().into_data().try_to_vec().expect("f32");
        assert_eq!(values[0], 1e6);
        assert_eq!(values[1], value(0, 40));
    });
}
