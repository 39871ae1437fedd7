//! Guidance on the device: which shader computes it, and the numbers it reads.
//!
//! Plain guidance is a part of the step's kernel. Methods that depend on the whole latent have a
//! kernel before it, which adds up the predictions' products and writes three factors and a cosine.

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;

use super::copy::copied;
use super::device_latent::SAMPLER_SCALARS;
use super::launch::{Kernel, contiguous, launch_into};
use super::template::Value;
use crate::sampling::guidance::{Guidance, Method};

/// Invocations that add up a latent: one workgroup.
const LANES: u32 = 256;
/// Factors of three vectors, and a cosine.
const MEASURED: usize = 4;

/// Guidance as the shaders know it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DeviceGuidance {
    /// True unless there is one prompt of weight 1 and at most one other branch.
    weighted: bool,
    /// The method with a kernel of its own; empty: none.
    method: &'static str,
    /// The third vector: empty, "branch" or "average".
    vector: &'static str,
}

impl DeviceGuidance {
    /// Scalars before the weights of the branches.
    pub const OPTIONS: usize = 8;

    /// The shaders of `guidance`.
    pub fn of(guidance: &Guidance) -> Self {
        if guidance.is_simple() || guidance.is_linear() {
            return DeviceGuidance {
                weighted: !guidance.is_simple(),
                method: "",
                vector: "",
            };
        }
        let (method, vector) = match guidance.method {
            Method::CfgZero(_) => ("cfg_zero", ""),
            Method::Apg(_) => ("apg", "average"),
            Method::PerpNeg(_) => ("perp_neg", "branch"),
            Method::Tangential => ("tangential", ""),
            Method::Plain | Method::DynamicThresholding(_) => ("plain", ""),
        };
        DeviceGuidance {
            weighted: true,
            method,
            vector,
        }
    }

    /// True if there is a kernel before the step's.
    pub fn is_measured(self) -> bool {
        !self.method.is_empty()
    }

    /// Values of the names in the shaders.
    pub fn values(self) -> [(&'static str, Value); 5] {
        [
            ("WEIGHTED", self.weighted.into()),
            ("MEASURED", self.is_measured().into()),
            ("METHOD", self.method.into()),
            ("VECTOR", self.vector.into()),
            ("GUIDANCE", (SAMPLER_SCALARS as u32).into()),
        ]
    }

    /// The numbers that the shaders read: options of the methods, then a weight for each branch.
    pub fn scalars(guidance: &Guidance) -> Vec<f64> {
        let mut scalars = vec![0.0; Self::OPTIONS];
        match guidance.method {
            Method::CfgZero(method) => scalars[0] = f64::from(u8::from(method.zero)),
            Method::Apg(method) => {
                let options = [method.eta, method.momentum, method.norm_threshold];
                scalars[1..4].copy_from_slice(&options);
            }
            Method::PerpNeg(method) => scalars[4] = method.weight,
            Method::Plain | Method::Tangential | Method::DynamicThresholding(_) => {}
        }
        scalars[5] = guidance.rescale;
        scalars.extend(guidance.weights());
        scalars
    }

    /// All that the shaders know.
    #[cfg(feature = "testing")]
    pub fn all() -> Vec<Self> {
        let guidance = |weighted, method, vector| DeviceGuidance {
            weighted,
            method,
            vector,
        };
        vec![
            guidance(false, "", ""),
            guidance(true, "", ""),
            guidance(true, "plain", ""),
            guidance(true, "cfg_zero", ""),
            guidance(true, "apg", "average"),
            guidance(true, "perp_neg", "branch"),
            guidance(true, "tangential", ""),
        ]
    }
}

/// Memory of the kernel that measures predictions.
pub(super) struct Measures {
    measured: CubeTensor,
    /// Running average of APG, `h·w·c`.
    pub average: CubeTensor,
}

impl Measures {
    /// Memory for predictions of `length` elements. The average begins with zeros.
    pub fn new(device: &Device, length: usize) -> Self {
        let zeros = |length| {
            let data = TensorData::new(vec![0f32; length], [1, length]);
            contiguous(Tensor::<2>::from_data(data, (device, DType::F32)))
        };
        Measures {
            measured: zeros(MEASURED),
            average: zeros(length),
        }
    }

    /// A copy of what a step writes and the next one reads.
    pub fn copy(&self) -> CubeTensor {
        copied(&self.average, 1, self.average.meta.shape()[1])
    }

    /// Measures a step's predictions.
    pub fn launch(
        &self,
        guidance: DeviceGuidance,
        prediction: &CubeTensor,
        scalars: &CubeTensor,
        sizes: &[u32],
    ) {
        let mut results = vec![&self.measured];
        if guidance.vector == "average" {
            results.push(&self.average);
        }
        let kernel = kernel(prediction.dtype == DType::F16, guidance);
        launch_into(kernel, &[prediction, scalars], &results, sizes, [1, 1, 1]);
    }

    /// The further inputs of the step's kernel.
    pub fn inputs(&self, guidance: DeviceGuidance) -> Vec<&CubeTensor> {
        match guidance.vector {
            "average" => vec![&self.measured, &self.average],
            _ => vec![&self.measured],
        }
    }
}

fn kernel(half: bool, guidance: DeviceGuidance) -> Kernel {
    let text = include_str!("guidance.wgsl");
    Kernel::new("guidance", text, LANES, half, guidance.values())
}

/// All variants of the kernel.
#[cfg(feature = "testing")]
pub fn variants() -> Vec<Kernel> {
    let measured = DeviceGuidance::all()
        .into_iter()
        .filter(|g| g.is_measured());
    let kernels = measured.flat_map(|guidance| [false, true].map(|half| kernel(half, guidance)));
    kernels.collect()
}
