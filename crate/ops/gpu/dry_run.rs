//! What a network would launch, found out without memory and without a launch: to compile its kernels before its weights
//! are there, and to count.

use std::cell::RefCell;
use std::collections::HashSet;

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;

use super::launch::{Kernel, launch_into, memory, reshaped, tensor};

thread_local! {
    /// The launches noted so far, while a network is sketched.
    static NOTED: RefCell<Option<Vec<Launch>>> = const { RefCell::new(None) };
}

/// A launch that would be.
#[derive(Debug, Clone)]
pub struct Launch {
    /// What would be launched.
    pub kernel: Kernel,
    /// Buffers that it would read.
    pub inputs: usize,
    /// Buffers that it would write.
    pub results: usize,
    /// Words of its uniform.
    pub params: usize,
}

/// Tensors to sketch with. They have a shape, and no memory.
#[derive(Clone)]
pub struct Paper {
    /// Stands for every buffer.
    blank: CubeTensor,
    /// Stand for results where a kernel is launched to compile it: no buffer can be bound twice there if it is written.
    results: [CubeTensor; RESULTS],
}

/// Elements of blank buffers: more than any kernel reads or writes where all sizes are zero.
const BLANK: usize = 4096;
/// Most results of a kernel.
const RESULTS: usize = 2;

impl Paper {
    /// Paper for networks on `device`.
    pub fn new(device: &Device) -> Self {
        let blank = || {
            let data = TensorData::new(vec![0f32; BLANK], [BLANK]);
            memory(Tensor::<1>::from_data(data, (device, DType::F32)))
        };
        Paper {
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

    /// What `network`, a network of tensors from this paper, would launch.
    pub fn sketch<T>(&self, network: impl FnOnce() -> T) -> Vec<Launch> {
        /// Ends the sketch, even where `network` panics.
        struct End;
        impl Drop for End {
            fn drop(&mut self) {
                NOTED.take();
            }
        }
        let _end = End;
        NOTED.set(Some(Vec::new()));
        network();
        NOTED.take().unwrap_or_default()
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

/// Each kernel of `launches` once.
pub fn distinct(launches: &[Launch]) -> Vec<Launch> {
    let mut seen = HashSet::new();
    let mut new =
        |launch: &&Launch| seen.insert((launch.kernel.name, launch.kernel.values.clone()));
    launches.iter().filter(|l| new(l)).cloned().collect()
}

/// Whether a network is being sketched.
pub(super) fn sketching() -> bool {
    NOTED.with_borrow(Option::is_some)
}

/// Notes a launch instead of making it, if a network is being sketched.
pub(super) fn note(kernel: &Kernel, inputs: usize, results: usize, params: usize) -> bool {
    NOTED.with_borrow_mut(|noted| match noted {
        Some(noted) => {
            noted.push(Launch {
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
