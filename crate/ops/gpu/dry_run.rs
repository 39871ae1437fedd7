//! Dry run: records the kernels a network would launch, without allocating or launching. Used to
//! compile kernels before the weights are there, and to count launches.

use std::cell::RefCell;
use std::collections::HashSet;

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Kernel, contiguous, launch_into, reshaped, tensor};

thread_local! {
    /// Launches of the dry run in progress.
    static RECORDED: RefCell<Option<Vec<Launch>>> = const { RefCell::new(None) };
}

/// A launch that a network would make.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The kernel.
    pub kernel: Kernel,
    /// Number of buffers it reads.
    pub inputs: usize,
    /// Number of buffers it writes.
    pub results: usize,
    /// Number of words in its uniform.
    pub params: usize,
}

/// Source of tensors that have a shape and no memory.
#[derive(Clone)]
pub struct DryRun {
    /// The buffer behind every tensor.
    blank: CubeTensor,
    /// Buffers for results where a kernel is launched to compile it: a written buffer cannot be
    /// bound twice.
    results: [CubeTensor; RESULTS],
}

/// Elements of blank buffers. No kernel reads or writes as many where all sizes are zero.
const BLANK: usize = 4096;
/// Maximum number of results of a kernel.
const RESULTS: usize = 2;

impl DryRun {
    /// A dry run for networks on `device`.
    pub fn new(device: &Device) -> Self {
        let blank = || {
            let data = TensorData::new(vec![0f32; BLANK], [BLANK]);
            contiguous(Tensor::<1>::from_data(data, (device, DType::F32)))
        };
        DryRun {
            blank: blank(),
            results: [blank(), blank()],
        }
    }

    /// A tensor of this shape and type.
    pub fn tensor<const D: usize>(&self, shape: [usize; D], dtype: DType) -> Tensor<D> {
        let mut blank = reshaped(&self.blank, shape.into());
        blank.dtype = dtype;
        tensor(blank)
    }

    /// The launches that `network`, made of tensors of this dry run, would make.
    pub fn record<T>(&self, network: impl FnOnce() -> T) -> Vec<Launch> {
        /// Ends the recording, even where `network` panics.
        struct End;
        impl Drop for End {
            fn drop(&mut self) {
                RECORDED.take();
            }
        }
        let _end = End;
        RECORDED.set(Some(Vec::new()));
        network();
        RECORDED.take().unwrap_or_default()
    }

    /// Compiles the kernel of `launch`, by launching it with all sizes zero.
    pub fn compile(&self, launch: &Launch) {
        let results = self.results.each_ref();
        launch_into(
            launch.kernel.clone(),
            &vec![&self.blank; launch.inputs],
            &results[..launch.results],
            &vec![0; launch.params],
            [1, 1, 1],
        );
    }
}

/// The kernels of `launches`, each once.
pub fn distinct(launches: &[Launch]) -> Vec<Launch> {
    let mut seen = HashSet::new();
    let mut new =
        |launch: &&Launch| seen.insert((launch.kernel.name, launch.kernel.values.clone()));
    launches.iter().filter(|l| new(l)).cloned().collect()
}

/// True while a dry run is in progress.
pub(super) fn in_progress() -> bool {
    RECORDED.with_borrow(Option::is_some)
}

/// Records a launch instead of making it, if a dry run is in progress. Returns true if it did.
pub(super) fn record(kernel: &Kernel, inputs: usize, results: usize, params: usize) -> bool {
    RECORDED.with_borrow_mut(|recorded| match recorded {
        Some(recorded) => {
            recorded.push(Launch {
                kernel: kernel.clone(),
                inputs,
                results,
                params,
            });
            true
        }
        None => false,
    })
}
