//! Launches of kernels through CubeCL's queue and memory.

use burn::backend::wgpu::CubeBackend;
use burn::tensor::{DType, Shape, Tensor};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::ir::attributes::BufferIOAttr;
use cubecl::ir::metadata::Info;
use cubecl::ir::settings::Dim3;
use cubecl::ir::{ElemType, UIntKind};
use cubecl::prelude::*;
use cubecl::server::{KernelArguments, MetadataBindingInfo};
use cubecl::zspace::metadata::Metadata;
use cubecl::zspace::striding::row_major_contiguous_strides;
use cubecl::{CubeCount, CubeKernel, PrecompiledSource};

use super::template::{self, Value};
use super::{dry_run, graph};

/// Maximum number of workgroups in a dimension that WebGPU guarantees. Kernels compute the index in
/// a long dimension from two: y + 65535·z.
const MAX_GROUPS: usize = 65535;

/// Shader: a template and the values of its names.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Identifies the template.
    pub name: &'static str,
    /// WGSL with names, as in `template.rs`.
    pub template: &'static str,
    /// Values of the names in the template. The text depends on nothing else.
    pub values: Vec<(&'static str, Value)>,
    /// Invocations in a workgroup.
    pub lanes: u32,
}

impl Kernel {
    /// A kernel with `values` and the names that every template has: LANES, and T and HALF for the
    /// element type.
    pub fn new(
        name: &'static str,
        template: &'static str,
        lanes: u32,
        half: bool,
        values: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        let mut all = vec![
            ("LANES", lanes.into()),
            ("HALF", half.into()),
            ("T", if half { "f16" } else { "f32" }.into()),
        ];
        all.extend(values);
        Kernel {
            name,
            template,
            values: all,
            lanes,
        }
    }

    /// The WGSL text.
    pub fn text(&self) -> String {
        template::expand(self.template, &self.values)
    }

    fn size(&self) -> Dim3 {
        CubeDim::new_3d(self.lanes, 1, 1).into()
    }
}

impl KernelMetadata for Kernel {
    fn id(&self) -> KernelId {
        // Compiled kernels are cached by this, so it holds everything that the text depends on.
        // Unchecked, because otherwise wgpu bounds every loop; a browser adds its own checks of
        // buffer accesses.
        KernelId::new::<Self>()
            .info((self.name, self.values.clone()))
            .cube_dim(self.size())
            .mode(ExecutionMode::Unchecked)
    }

    fn address_type(&self) -> ElemType {
        ElemType::UInt(UIntKind::U32)
    }
}

impl CubeKernel for Kernel {
    fn define(&self) -> KernelDefinition {
        let settings = KernelSettings::new(self.size(), ExecutionMode::Unchecked, AddressType::U32);
        KernelDefinition {
            body: Scope::root(settings.clone()),
            settings,
            info: Info::default(),
        }
    }

    fn source(&self) -> Option<PrecompiledSource> {
        Some(PrecompiledSource {
            source: self.text(),
            entrypoint_name: "main".into(),
            lang: "wgsl",
        })
    }
}

/// Runs `kernel` and returns the tensor it writes.
///
/// The kernel's bindings are `inputs` in their order, the result, and a uniform of `params`.
/// `groups` is the number of workgroups in each dimension. None may exceed 65535; [`split`] divides
/// larger ones.
pub fn launch(
    kernel: Kernel,
    inputs: &[&CubeTensor],
    shape: impl Into<Shape>,
    dtype: DType,
    params: &[u32],
    groups: [usize; 3],
) -> CubeTensor {
    let result = empty(inputs[0], shape, dtype);
    launch_into(kernel, inputs, &[&result], params, groups);
    result
}

/// Runs `kernel` as [`launch`] does, into existing memory of one result or several.
pub fn launch_into(
    kernel: Kernel,
    inputs: &[&CubeTensor],
    results: &[&CubeTensor],
    params: &[u32],
    groups: [usize; 3],
) {
    debug_assert!(groups.iter().all(|&n| n <= MAX_GROUPS));
    if dry_run::record(&kernel, inputs.len(), results.len(), params.len()) {
        return;
    }
    let mut arguments = KernelArguments::new();
    for input in inputs {
        arguments =
            arguments.with_buffer_io(input.handle.clone().binding(), BufferIOAttr::ReadOnly);
    }
    for result in results {
        arguments =
            arguments.with_buffer_io(result.handle.clone().binding(), BufferIOAttr::WriteOnly);
    }
    // CubeCL takes uniforms in words of 64 bits, and the size of a uniform is a multiple of 16
    // bytes.
    let words = params
        .chunks(4)
        .flat_map(|quad| {
            let at = |i: usize| u64::from(quad.get(i).copied().unwrap_or(0));
            [at(0) | at(1) << 32, at(2) | at(3) << 32]
        })
        .collect();
    results[0].client.launch(
        Box::new(kernel),
        CubeCount::Static(groups[0] as u32, groups[1] as u32, groups[2] as u32),
        arguments.with_info(MetadataBindingInfo::custom(words)),
    );
}

/// Spreads `count` workgroups over two dimensions. A part of the last row of them may be idle.
pub fn split(count: usize) -> [usize; 2] {
    if count <= MAX_GROUPS {
        [count, 1]
    } else {
        [MAX_GROUPS, count.div_ceil(MAX_GROUPS)]
    }
}

/// The memory of `tensor` without gaps, which a kernel can bind.
///
/// # Panics
/// Panics if the tensor is not on a wgpu device. A pipeline chooses its [`Ops`](crate::ops::Ops) by
/// its device.
pub fn contiguous<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    let tensor = tensor
        .try_into_primitive::<CubeBackend>()
        .unwrap_or_else(|_| panic!("Gpu works on tensors of a wgpu device only"));
    into_contiguous(tensor)
}

/// The memory of `tensor` in f32. Parameters of norms and biases stay in f32, whatever the rest is
/// in.
pub fn vector(tensor: &Tensor<1>) -> CubeTensor {
    contiguous(tensor.clone().cast(DType::F32))
}

/// Allocates a tensor of `shape` on the device of `like`; without memory in a dry run.
pub fn empty(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    let shape = shape.into();
    if dry_run::in_progress() {
        let mut blank = reshaped(like, shape);
        blank.dtype = dtype;
        return blank;
    }
    let (client, device) = (like.client.clone(), like.device.clone());
    graph::settle(&client);
    empty_device_contiguous_dtype(client, device, shape, dtype)
}

/// A view of `memory` with another shape.
pub fn reshaped(memory: &CubeTensor, shape: Shape) -> CubeTensor {
    let strides = row_major_contiguous_strides(&shape);
    let mut memory = memory.clone();
    *memory.meta = Metadata::new(shape, strides);
    memory
}

/// A view of `memory` with `shape` from its element `start` on. An adapter can bind a buffer every
/// 256 bytes, so `start` must be at one of these.
pub fn view(memory: &CubeTensor, start: usize, shape: impl Into<Shape>) -> CubeTensor {
    let bytes = (start * memory.dtype.size()) as u64;
    debug_assert!(bytes.is_multiple_of(256));
    let mut view = reshaped(memory, shape.into());
    view.handle = view.handle.offset_start(bytes);
    view
}

/// A view of the beginning of `memory`, with `shape`.
pub fn beginning(memory: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let mut view = reshaped(memory, shape.into());
    let elements = memory.meta.num_elements() - view.meta.num_elements();
    // A tensor of a dry run has no memory of its size.
    if !dry_run::in_progress() {
        let behind = (elements * memory.dtype.size()) as u64;
        view.handle = view.handle.offset_end(behind);
    }
    view
}

/// The tensor with this `memory`.
pub fn tensor<const D: usize>(memory: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<CubeBackend>(memory)
}
