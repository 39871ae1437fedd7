//! The adapter's ceilings: multiply-adds on registers alone, and a copy from memory to memory.

use std::time::Instant;

use burn::tensor::wgpu::{WgpuSetup, wgpu};

use crate::Result;

/// An adapter's rates, each the best of several ways to divide the work.
pub struct Ceilings {
    /// f32 operations a second, a multiply-add being two. Our kernels compute in f32 whatever they
    /// read.
    pub multiply_add: f64,
    /// f16 operations a second, where the adapter has them.
    pub multiply_add_half: Option<f64>,
    /// Bytes a second, both read and written.
    pub copy: f64,
}

impl Ceilings {
    /// The higher of each rate.
    pub fn or_better(self, other: Self) -> Self {
        Ceilings {
            multiply_add: self.multiply_add.max(other.multiply_add),
            multiply_add_half: self
                .multiply_add_half
                .zip(other.multiply_add_half)
                .map(|(a, b)| a.max(b)),
            copy: self.copy.max(other.copy),
        }
    }
}

/// Multiply-adds of an invocation for each of its sums.
const TURNS: u32 = 256;
/// Independent sums of an invocation, vectors of four: enough to hide an operation's latency, few
/// enough for registers.
const SUMS: [u32; 3] = [4, 8, 16];
const LANES: [u32; 2] = [8, 64];
/// Workgroups on a GPU and on a CPU. These many fill any GPU; a CPU's vectors and cores need fewer.
const WORKGROUPS: [u32; 2] = [8192, 512];
/// Vectors of four f32 of the copied buffer: 64 MiB on a GPU and on a CPU, beyond the caches of
/// both.
const COPIED: u32 = 4 << 20;
const MEASUREMENTS: usize = 5;

/// Measures the adapter; `software` if it runs on a CPU, `half` if it computes in f16.
pub fn measure(setup: &WgpuSetup, software: bool, half: bool) -> Result<Ceilings> {
    let workgroups = WORKGROUPS[usize::from(software)];
    let lanes = LANES[usize::from(!software)];
    let best = |element: &str| -> Result<f64> {
        let mut best: f64 = 0.0;
        for sums in SUMS {
            let text = multiply_add(element, sums, lanes);
            let seconds = fastest(setup, &text, workgroups, 1)?;
            let operations = f64::from(workgroups * lanes) * f64::from(TURNS * sums * 4 * 2);
            best = best.max(operations / seconds);
        }
        Ok(best)
    };
    let mut copy: f64 = 0.0;
    for each in [1, 4, 16] {
        let text = copying(each, lanes);
        let seconds = fastest(setup, &text, COPIED / (each * lanes), COPIED)?;
        copy = copy.max(2.0 * 16.0 * f64::from(COPIED) / seconds);
    }
    Ok(Ceilings {
        multiply_add: best("f32")?,
        multiply_add_half: half.then(|| best("f16")).transpose()?,
        copy,
    })
}

/// Workgroups in the first dimension, which holds at most 65535. The rest are in a second one.
const ACROSS: u32 = 32768;

fn multiply_add(element: &str, sums: u32, lanes: u32) -> String {
    let enable = if element == "f16" {
        "enable f16;\n"
    } else {
        ""
    };
    let each = |line: &dyn Fn(u32) -> String| (0..sums).map(line).collect::<String>();
    let declare = each(&|i| format!("    var s{i} = V(a * {element}({i}));\n"));
    let add = each(&|i| format!("        s{i} = fma(s{i}, b, c);\n"));
    let all = (0..sums)
        .map(|i| format!("s{i}"))
        .collect::<Vec<_>>()
        .join(" + ");
    // The compiler does not know the factors, and values stay near 1. The result is used, but never
    // stored.
    format!(
        "{enable}alias V = vec4<{element}>;
@group(0) @binding(0) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> output: array<vec4<f32>>;
@compute @workgroup_size({lanes})
fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
    let a = {element}(input[0].x);
    let b = V({element}(input[0].y));
    let c = V({element}(input[0].z));
{declare}    for (var i = 0u; i < {TURNS}u; i++) {{
{add}    }}
    let all = {all};
    if (all.x == {element}(-1.0)) {{
        output[0] = vec4<f32>(all);
    }}
}}
"
    )
}

fn copying(each: u32, lanes: u32) -> String {
    let step = format!("{lanes}u");
    let copies: String = (0..each)
        .map(|i| format!("    output[first + {i}u * {step}] = input[first + {i}u * {step}];\n"))
        .collect();
    format!(
        "@group(0) @binding(0) var<storage, read> input: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> output: array<vec4<f32>>;
@compute @workgroup_size({lanes})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {{
    let first = (group.x + group.y * {ACROSS}u) * {each}u * {step} + lane;
{copies}}}
"
    )
}

/// The shortest time of one dispatch of `workgroups` of the shader, with two buffers of `vectors`
/// vectors.
fn fastest(setup: &WgpuSetup, text: &str, workgroups: u32, vectors: u32) -> Result<f64> {
    let device = &setup.device;
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: None,
        source: wgpu::ShaderSource::Wgsl(text.into()),
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: None,
        module: &module,
        entry_point: Some("main"),
        compilation_options: Default::default(),
        cache: None,
    });
    let buffers = [0, 1].map(|_| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: u64::from(vectors) * 16,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    });
    let factors: Vec<u8> = [1.0f32, 0.999, 0.001, 0.0]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    setup.queue.write_buffer(&buffers[0], 0, &factors);
    let entry = |binding: usize| wgpu::BindGroupEntry {
        binding: binding as u32,
        resource: buffers[binding].as_entire_binding(),
    };
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[entry(0), entry(1)],
    });
    let mut best = f64::INFINITY;
    for _ in 0..=MEASUREMENTS {
        let mut encoder = device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            pass.set_pipeline(&pipeline);
            pass.set_bind_group(0, &group, &[]);
            pass.dispatch_workgroups(workgroups.min(ACROSS), workgroups.div_ceil(ACROSS), 1);
        }
        let begin = Instant::now();
        setup.queue.submit([encoder.finish()]);
        device
            .poll(wgpu::PollType::wait_indefinitely())
            .map_err(|error| format!("the adapter failed: {error}"))?;
        best = best.min(begin.elapsed().as_secs_f64());
    }
    Ok(best)
}
