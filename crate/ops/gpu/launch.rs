//! From a shader and tensors to a running kernel, through CubeCL's queue and memory.

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

/// Most workgroups in a dimension that WebGPU promises. Kernels compute a long dimension's index from two: y + 65535·z.
const GROUPS_AT_MOST: usize = 65535;

/// A shader: a template and what its names stand for.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Tells templates apart.
    pub name: &'static str,
    /// WGSL with names; see [`template`].
    pub template: &'static str,
    /// Everything that the text depends on besides the template.
    pub values: Vec<(&'static str, Value)>,
    /// Invocations in a workgroup.
    pub lanes: u32,
}

impl Kernel {
    /// A kernel with `values` and the names that every template knows: LANES, and T and HALF for the element type.
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
        // Compiled kernels are found again by this: it holds all that the text depends on. Unchecked, because
        // otherwise wgpu bounds every loop; a browser adds its own checks of buffer accesses.
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
/// The kernel's bindings are `inputs` in their order, the result, and a uniform of `params`. `groups` is the number of
/// workgroups in each dimension; none may be above 65535, for which there is [`split`].
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

/// As [`launch`], into memory that is there already, of one result or several.
pub fn launch_into(
    kernel: Kernel,
    inputs: &[&CubeTensor],
    results: &[&CubeTensor],
    params: &[u32],
    groups: [usize; 3],
) {
    debug_assert!(groups.iter().all(|&n| n <= GROUPS_AT_MOST));
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
    // CubeCL takes its uniforms in words of 64 bits, and a uniform's size is a multiple of 16 bytes.
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

/// `count` workgroups over two dimensions; the last row of them may stay idle in part.
pub fn split(count: usize) -> [usize; 2] {
    if count <= GROUPS_AT_MOST {
        [count, 1]
    } else {
        [GROUPS_AT_MOST, count.div_ceil(GROUPS_AT_MOST)]
    }
}

/// What of `tensor` a kernel can bind: its memory, without gaps.
///
/// # Panics
/// If the tensor is not on a wgpu device: a pipeline chooses its [`Ops`](crate::ops::Ops) by its device.
pub fn memory<const D: usize>(tensor: Tensor<D>) -> CubeTensor {
    let tensor = tensor
        .try_into_primitive::<CubeBackend>()
        .unwrap_or_else(|_| panic!("Gpu works on tensors of a wgpu device only"));
    into_contiguous(tensor)
}

/// As [`memory`], in f32: parameters of norms and biases, which stay in f32 whatever the rest is in.
pub fn vector(tensor: &Tensor<1>) -> CubeTensor {
    memory(tensor.clone().cast(DType::F32))
}

/// Memory for a tensor of `shape`, beside `like`; without memory in a dry run.
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

/// `memory` with another shape.
pub fn reshaped(memory: &CubeTensor, shape: Shape) -> CubeTensor {
    let strides = row_major_contiguous_strides(&shape);
    let mut memory = memory.clone();
    *memory.meta = Metadata::new(shape, strides);
    memory
}

/// `shape` of `memory` from its element `start` on, which must lie where an adapter can bind a buffer: every 256 bytes.
pub fn view(memory: &CubeTensor, start: usize, shape: impl Into<Shape>) -> CubeTensor {
    let bytes = (start * memory.dtype.size()) as u64;
    debug_assert!(bytes.is_multiple_of(256));
    let mut view = reshaped(memory, shape.into());
    view.handle = view.handle.offset_start(bytes);
    view
}

/// A tensor around `memory`.
pub fn tensor<const D: usize>(memory: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<CubeBackend>(memory)
}
