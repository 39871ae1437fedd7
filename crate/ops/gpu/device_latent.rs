//! Latent that stays on the device: prediction, guidance and the sampler's step without a transfer.

use std::cell::Cell;

use burn::tensor::{DType, Device, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use cubecl::bytes::Bytes;

use super::copy::{copied, copy_row, overwrite};
use super::device_guidance::{DeviceGuidance, Measures};
use super::graph::{Recording, in_exact_memory};
use super::launch::{Kernel, contiguous, empty, launch_into, reshaped, tensor};
use crate::sampling::update::{HISTORY, Step, TERMS, Term, Update};

const LANES: u32 = 64;
/// Scalars before the weight rows.
const HEAD: usize = 8;
/// Scalars of a sampler's step, before those of the guidance.
pub(super) const SAMPLER_SCALARS: usize = HEAD + (1 + HISTORY) * TERMS;
/// Index of the timestep's row among the scalars.
const ROW: usize = 5;
/// Arrays that the host reads: prediction, denoised latent, latent.
const READ: usize = 3;
/// Floats that the host reads behind these arrays, if it wants a cosine.
const COSINE: usize = 4;
/// Attempts at recording, after which a run goes on without.
const ATTEMPTS: usize = 3;

thread_local! {
    /// Shape and dtype that the exact-size pool was last filled for.
    static MEMORY_FOR: Cell<Option<([usize; 4], DType)>> = const { Cell::new(None) };
}

fn kernel(half: bool, watched: bool, guidance: DeviceGuidance) -> Kernel {
    let values = [
        ("TERMS", (TERMS as u32).into()),
        ("HISTORY", (HISTORY as u32).into()),
        ("READ", (rows(watched) as u32).into()),
    ];
    let values = values.into_iter().chain(guidance.values());
    Kernel::new("sample", include_str!("sample.wgsl"), LANES, half, values)
}

/// All variants of the kernel.
#[cfg(feature = "testing")]
pub fn variants() -> Vec<Kernel> {
    let all = DeviceGuidance::all();
    let kernels = all.into_iter().flat_map(|guidance| {
        let each = [(false, false), (true, false), (false, true), (true, true)];
        each.map(|(half, watched)| kernel(half, watched, guidance))
    });
    kernels.collect()
}

/// Call of the network with a latent and a row of embedded timesteps.
pub type Call<'a> = &'a dyn Fn(Tensor<4>, &Tensor<2>) -> Tensor<4>;

/// Start values of a [`DeviceLatent`].
pub struct DeviceLatentInit {
    /// The latent, channels-last, `h·w·c` elements.
    pub latent: Vec<f32>,
    /// Shape of the network's input, `[branches, h, w, c]`, with the largest number of branches.
    pub shape: [usize; 4],
    /// Factor on the latent for the first call.
    pub input_scale: f64,
    /// True if the cosine of predictions may be wanted.
    pub watched: bool,
}

/// State of a denoising run on the device.
///
/// The first step is launched operation by operation. The second one is recorded, and it and all
/// later ones are replayed. Values that change from step to step are written to buffers that every
/// step reads.
pub struct DeviceLatent {
    /// The network's input, `[most branches, h, w, c]`, the same for every branch.
    input: CubeTensor,
    /// Embedded timesteps, `[m, columns]`.
    times: CubeTensor,
    /// The embedded timestep of the step, `[1, columns]`.
    time: CubeTensor,
    /// Scalars of the step; see [`scalars`].
    scalars: CubeTensor,
    /// `[h, w, c]`
    noise: CubeTensor,
    /// Prediction, denoised latent, latent, the cosine if it is wanted, history.
    arrays: CubeTensor,
    /// The network's prediction for every branch, where it is kept: `[branches, h, w, c]`.
    predictions: Option<CubeTensor>,
    /// `h·w·c`
    length: usize,
    /// True if the cosine may be wanted.
    watched: bool,
    /// Memory of guidance that depends on the whole latent; allocated at its first step.
    measures: Option<Measures>,
    /// Branches of the step before.
    branches: usize,
    device: Device,
    recording: Option<Recording>,
    attempts: usize,
}

impl DeviceLatent {
    /// Uploads the latent of `init` to the device and in the element type of `times`, embedded
    /// timesteps `[m, columns]`.
    pub fn new(init: DeviceLatentInit, times: &Tensor<2>) -> Self {
        let DeviceLatentInit {
            latent,
            shape,
            input_scale,
            watched,
        } = init;
        let (device, dtype) = (times.device(), times.dtype());
        let upload = |values: Vec<f32>, shape: [usize; 4], dtype| {
            let data = TensorData::new(values, shape).convert_dtype(dtype);
            contiguous(Tensor::<4>::from_data(data, (&device, dtype)))
        };
        let times_memory = contiguous(times.clone());
        let length = latent.len();
        let [branches, h, w, c] = shape;
        let input = latent.iter().map(|&x| (input_scale * f64::from(x)) as f32);
        let input = input.collect::<Vec<_>>().repeat(branches);
        let rows = rows(watched) + HISTORY;
        let mut arrays = vec![0.0; rows * length];
        arrays[(READ - 1) * length..][..length].copy_from_slice(&latent);
        let [_, columns] = times.dims();
        let count = scalar_count(branches);
        let run = DeviceLatent {
            input: upload(input, shape, dtype),
            time: empty(&times_memory, [1, columns], dtype),
            times: times_memory,
            scalars: upload(vec![0.0; count], [1, 1, 1, count], DType::F32),
            noise: upload(vec![0.0; length], [1, h, w, c], DType::F32),
            arrays: upload(arrays, [rows, h, w, c], DType::F32),
            predictions: None,
            length,
            watched,
            measures: None,
            branches,
            device: device.clone(),
            recording: None,
            attempts: 0,
        };
        run.claim_memory(branches);
        run
    }

    /// Frees the memory of exact sizes if it was last used for steps of other sizes, where it is
    /// useless. It is kept while another run records.
    fn claim_memory(&self, branches: usize) {
        let [_, h, w, c] = self.input_shape();
        let sizes = Some(([branches, h, w, c], self.input.dtype));
        if MEMORY_FOR.replace(sizes) != sizes {
            let _ = self.input.client.memory_cleanup();
        }
    }

    /// Keeps the predictions of every step from the next one on, for
    /// [`DeviceLatent::predictions`]. Such a step has one launch more.
    pub fn keep_predictions(&mut self) {
        self.predictions = Some(empty(&self.input, self.input_shape(), self.input.dtype));
        self.forget_recording();
    }

    /// A copy of the last step's predictions, if they are kept.
    ///
    /// # Shapes
    /// `[branches, h·w·c]` in the element type of the network
    pub fn predictions(&self) -> Option<Tensor<2>> {
        let kept = self.predictions.as_ref()?;
        let shape = [self.branches, self.length];
        let kept = reshaped(kept, shape.into());
        Some(tensor(copied(&kept, self.branches, self.length)))
    }

    fn input_shape(&self) -> [usize; 4] {
        std::array::from_fn(|i| self.input.meta.shape()[i])
    }

    /// Elements and types of the buffers that a run allocates besides the network's own: its state,
    /// and copies of its arrays and input while a step is recorded. The network's input has this
    /// `shape` and `dtype`, and embedded timesteps have `columns`.
    pub fn buffers(shape: [usize; 4], columns: usize, dtype: DType) -> [(usize, DType); 7] {
        let [branches, h, w, c] = shape;
        let length = h * w * c;
        let input = (branches * length, dtype);
        let arrays = ((READ + HISTORY) * length, DType::F32);
        let scalars = (scalar_count(branches), DType::F32);
        let noise = (length, DType::F32);
        [
            input,
            (columns, dtype),
            scalars,
            noise,
            arrays,
            arrays,
            input,
        ]
    }

    /// Replaces the embedded timesteps; there may not be more than before.
    pub fn replace_times(&mut self, times: &Tensor<2>) {
        let [rows, columns] = times.dims();
        debug_assert!(rows <= self.times.meta.shape()[0]);
        overwrite(&self.times, &contiguous(times.clone()), rows, columns);
    }

    /// Drops the recorded step, because the network's calls will read other memory. A step will be
    /// recorded again.
    pub fn forget_recording(&mut self) {
        self.recording = None;
        self.attempts = 0;
    }

    /// Makes one step at the embedded timestep `row`, with `noise` channels-last. `call` predicts
    /// for the branches of the step's guidance. Returns the guided prediction, the denoised latent
    /// and the next latent, and where a cosine may be wanted also that.
    ///
    /// # Shapes
    /// `[1, 3·h·w·c]` in f32, or four elements more
    pub fn step(&mut self, step: &Step, noise: &[f32], row: usize, call: Call) -> Tensor<2> {
        self.prepare(step);
        self.write_step(step, noise, row);
        let call = &Predict { step, call };
        if self.recording.is_none() && (1..=ATTEMPTS).contains(&self.attempts) {
            self.record(call);
        }
        self.attempts += 1;
        let replayed = self.recording.as_ref().map(Recording::replay);
        match replayed {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                log::warn!("a recorded step could not be played: {error}");
                self.recording = None;
                self.launch(call);
            }
            None => self.launch(call),
        }
        self.result()
    }

    /// [`DeviceLatent::step`] without recording, for calls that do not launch the same every time.
    #[cfg(feature = "testing")]
    pub fn launched(&mut self, step: &Step, noise: &[f32], row: usize, call: Call) -> Tensor<2> {
        self.prepare(step);
        self.write_step(step, noise, row);
        self.launch(&Predict { step, call });
        self.result()
    }

    /// Gets ready for the branches and the guidance of `step`.
    fn prepare(&mut self, step: &Step) {
        let branches = step.guidance.branches();
        debug_assert!(branches <= self.input_shape()[0]);
        if branches != self.branches {
            self.branches = branches;
            self.forget_recording();
            self.claim_memory(branches);
        }
        if DeviceGuidance::of(&step.guidance).is_measured() && self.measures.is_none() {
            self.measures = Some(Measures::new(&self.device, self.length));
        }
    }

    /// Copies of the buffers that a step writes.
    pub(crate) fn copies(&self) -> [CubeTensor; 2] {
        [
            copied(&self.arrays, self.arrays.meta.shape()[0], self.length),
            copied(&self.input, self.input_shape()[0], self.length),
        ]
    }

    /// Tries to record a step.
    fn record(&mut self, call: &Predict) {
        // A failed recording leaves these buffers undefined.
        let [arrays, input] = self.copies();
        let average = self.measures.as_ref().map(Measures::copy);
        match Recording::new(&self.input.client, || self.launch(call)) {
            Ok(recording) => self.recording = Some(recording),
            Err(error) => {
                log::info!("this step was not recorded: {error}");
                (self.arrays, self.input) = (arrays, input);
                if let (Some(measures), Some(average)) = (&mut self.measures, average) {
                    measures.average = average;
                }
            }
        }
    }

    /// Writes what changes from step to step.
    fn write_step(&self, step: &Step, noise: &[f32], row: usize) {
        let mut scalars = scalars(step, row);
        scalars.resize(self.scalars.meta.shape()[3], 0.0);
        write(&self.scalars, &scalars);
        if step.update.is_noisy() {
            write(&self.noise, noise);
        }
    }

    /// Launches the network and the sampler's kernel.
    fn launch(&self, call: &Predict) {
        in_exact_memory(&self.input.client, || self.launch_in_pool(call));
    }

    fn launch_in_pool(&self, Predict { step, call }: &Predict) {
        let columns = self.time.meta.shape()[1];
        copy_row(&self.times, columns, (&self.scalars, ROW), &self.time);
        let time = tensor(self.time.clone());
        let prediction = contiguous(call(tensor(self.branches_of_input()), &time));
        if let Some(kept) = &self.predictions {
            overwrite(kept, &prediction, self.branches, self.length);
        }
        let guidance = DeviceGuidance::of(&step.guidance);
        let first = step.guidance.first_positive();
        let sizes = [self.length, self.branches, first, self.input_shape()[0]];
        let sizes = sizes.map(|n| n as u32);
        let mut inputs = vec![&prediction, &self.scalars, &self.noise];
        if let Some(measures) = self.measures.as_ref().filter(|_| guidance.is_measured()) {
            measures.launch(guidance, &prediction, &self.scalars, &sizes);
            inputs.extend(measures.inputs(guidance));
        }
        launch_into(
            kernel(prediction.dtype == DType::F16, self.watched, guidance),
            &inputs,
            &[&self.arrays, &self.input],
            &sizes,
            [self.length.div_ceil(LANES as usize), 1, 1],
        );
    }

    /// The input for the branches of the step.
    fn branches_of_input(&self) -> CubeTensor {
        let [most, h, w, c] = self.input_shape();
        let mut input = reshaped(&self.input, [self.branches, h, w, c].into());
        let beyond = (most - self.branches) * self.length * self.input.dtype.size();
        input.handle = input.handle.offset_end(beyond as u64);
        input
    }

    /// The arrays that the host reads.
    fn result(&self) -> Tensor<2> {
        let all = self.arrays.meta.shape()[0] * self.length;
        let count = READ * self.length + if self.watched { COSINE } else { 0 };
        let mut read = reshaped(&self.arrays, [1, count].into());
        let beyond = all - count;
        read.handle = read.handle.offset_end((beyond * size_of::<f32>()) as u64);
        tensor(read)
    }
}

/// Arrays of a step before the history. A cosine takes the place of one.
fn rows(watched: bool) -> usize {
    if watched { READ + 1 } else { READ }
}

/// A step with the network's call.
struct Predict<'a> {
    step: &'a Step,
    call: Call<'a>,
}

/// Scalars of a step with up to `branches` predictions.
fn scalar_count(branches: usize) -> usize {
    SAMPLER_SCALARS + DeviceGuidance::OPTIONS + branches
}

/// Overwrites all of `memory`, in f32.
fn write(memory: &CubeTensor, values: &[f32]) {
    let bytes = Bytes::from_bytes_vec(bytemuck::cast_slice(values).to_vec());
    memory.client.write(&memory.handle, bytes);
}

/// The scalars of a step for the kernel: the weights of latent and prediction in the denoised
/// latent, its limit, the guidance scale, the scale of the next input, the timestep's row; then,
/// for the next latent and each entry of the history, the weights of all terms; then those of the
/// guidance.
fn scalars(step: &Step, row: usize) -> Vec<f32> {
    let Step { update, .. } = step;
    let Update {
        denoised,
        limit,
        latent,
        history,
    } = update;
    let mut scalars = vec![
        denoised.weight(Term::Latent),
        denoised.weight(Term::Prediction),
        limit.unwrap_or(f64::from(f32::MAX)),
        step.guidance.scale,
        step.next_input_scale,
        row as f64,
    ];
    debug_assert_eq!(scalars.len(), ROW + 1);
    scalars.resize(HEAD, 0.0);
    scalars.extend(latent.weights());
    for place in 0..HISTORY {
        let entry = history.iter().find(|(index, _)| *index == place);
        // An entry without an update keeps its value.
        let sum = entry.map_or(Term::History(place).into(), |(_, sum)| *sum);
        scalars.extend(sum.weights());
    }
    debug_assert_eq!(scalars.len(), SAMPLER_SCALARS);
    scalars.extend(DeviceGuidance::scalars(&step.guidance));
    scalars.into_iter().map(|weight| weight as f32).collect()
}
