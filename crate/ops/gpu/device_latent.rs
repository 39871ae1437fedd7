//! Latent that stays on the device: prediction, guidance and the sampler's step without a transfer.

use std::cell::Cell;

use burn::tensor::{DType, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use cubecl::bytes::Bytes;

use super::copy::{copied, copy_row, overwrite};
use super::graph::{Recording, in_exact_memory};
use super::launch::{Kernel, contiguous, empty, launch_into, reshaped, tensor};
use crate::sampling::update::{HISTORY, Step, TERMS, Term, Update};

const LANES: u32 = 64;
/// Scalars before the weight rows.
const HEAD: usize = 8;
/// Scalars of a step.
const SCALARS: usize = HEAD + (1 + HISTORY) * TERMS;
/// Index of the timestep's row among the scalars.
const ROW: usize = 5;
/// Arrays that the host reads: prediction, denoised latent, latent.
const READ: usize = 3;
/// Attempts at recording, after which a run goes on without.
const ATTEMPTS: usize = 3;

thread_local! {
    /// Shape and dtype that the exact-size pool was last filled for.
    static MEMORY_FOR: Cell<Option<([usize; 4], DType)>> = const { Cell::new(None) };
}

fn kernel(half: bool) -> Kernel {
    Kernel::new(
        "sample",
        include_str!("sample.wgsl"),
        LANES,
        half,
        [
            ("TERMS", (TERMS as u32).into()),
            ("HISTORY", (HISTORY as u32).into()),
        ],
    )
}

/// All variants of the kernel.
#[cfg(feature = "testing")]
pub fn variants() -> Vec<Kernel> {
    [false, true].map(kernel).to_vec()
}

/// Call of the network with a latent and a row of embedded timesteps.
pub type Call<'a> = &'a dyn Fn(Tensor<4>, &Tensor<2>) -> Tensor<4>;

/// Start values of a [`DeviceLatent`].
pub struct DeviceLatentInit {
    /// The latent, channels-last, `h·w·c` elements.
    pub latent: Vec<f32>,
    /// Shape of the network's input, `[branches, h, w, c]`.
    pub shape: [usize; 4],
    /// Factor on the latent for the first call.
    pub input_scale: f64,
}

/// State of a denoising run on the device.
///
/// The first step is launched operation by operation. The second one is recorded, and it and all
/// later ones are replayed. Values that change from step to step are written to buffers that every
/// step reads.
pub struct DeviceLatent {
    /// The network's input, `[branches, h, w, c]`.
    input: CubeTensor,
    /// Embedded timesteps, `[m, columns]`.
    times: CubeTensor,
    /// The embedded timestep of the step, `[1, columns]`.
    time: CubeTensor,
    /// Scalars of the step; see [`scalars`].
    scalars: CubeTensor,
    /// `[h, w, c]`
    noise: CubeTensor,
    /// Prediction, denoised latent, latent, history: `[READ + HISTORY, h·w·c]`.
    arrays: CubeTensor,
    /// The network's prediction for every branch, where it is kept: `[branches, h, w, c]`.
    predictions: Option<CubeTensor>,
    /// `h·w·c`
    length: usize,
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
        } = init;
        let (device, dtype) = (times.device(), times.dtype());
        let upload = |values: Vec<f32>, shape: [usize; 4], dtype| {
            let data = TensorData::new(values, shape).convert_dtype(dtype);
            contiguous(Tensor::<4>::from_data(data, (&device, dtype)))
        };
        let times_memory = contiguous(times.clone());
        if MEMORY_FOR.replace(Some((shape, dtype))) != Some((shape, dtype)) {
            // The exact-size pool is useless for other sizes. It is kept while another run records.
            let _ = times_memory.client.memory_cleanup();
        }
        let length = latent.len();
        let [branches, h, w, c] = shape;
        let input = latent.iter().map(|&x| (input_scale * f64::from(x)) as f32);
        let input = input.collect::<Vec<_>>().repeat(branches);
        let mut arrays = vec![0.0; (READ + HISTORY) * length];
        arrays[(READ - 1) * length..][..length].copy_from_slice(&latent);
        let [_, columns] = times.dims();
        DeviceLatent {
            input: upload(input, shape, dtype),
            time: empty(&times_memory, [1, columns], dtype),
            times: times_memory,
            scalars: upload(vec![0.0; SCALARS], [1, 1, 1, SCALARS], DType::F32),
            noise: upload(vec![0.0; length], [1, h, w, c], DType::F32),
            arrays: upload(arrays, [READ + HISTORY, h, w, c], DType::F32),
            predictions: None,
            length,
            recording: None,
            attempts: 0,
        }
    }

    /// Keeps the predictions of every step from the next one on, for
    /// [`DeviceLatent::predictions`]. Such a step has one launch more.
    pub fn keep_predictions(&mut self) {
        let shape = self.input.meta.shape().clone();
        self.predictions = Some(empty(&self.input, shape, self.input.dtype));
        self.forget_recording();
    }

    /// A copy of the last step's predictions, if they are kept.
    ///
    /// # Shapes
    /// `[branches, h·w·c]` in the element type of the network
    pub fn predictions(&self) -> Option<Tensor<2>> {
        let kept = self.predictions.as_ref()?;
        let branches = kept.meta.shape()[0];
        let copy = copied(kept, branches, self.length);
        Some(tensor(reshaped(&copy, [branches, self.length].into())))
    }

    /// Elements and types of the buffers that a run allocates besides the network's own: its state,
    /// and copies of its arrays and input while a step is recorded. The network's input has this
    /// `shape` and `dtype`, and embedded timesteps have `columns`.
    pub fn buffers(shape: [usize; 4], columns: usize, dtype: DType) -> [(usize, DType); 7] {
        let [branches, h, w, c] = shape;
        let length = h * w * c;
        let input = (branches * length, dtype);
        let arrays = ((READ + HISTORY) * length, DType::F32);
        let (scalars, noise) = ((SCALARS, DType::F32), (length, DType::F32));
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

    /// Makes one step at the embedded timestep `row`, with `noise` channels-last. Returns the
    /// guided prediction, the denoised latent and the next latent.
    ///
    /// # Shapes
    /// `[3, h·w·c]` in f32
    pub fn step(&mut self, step: &Step, noise: &[f32], row: usize, call: Call) -> Tensor<2> {
        self.write_step(step, noise, row);
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
        self.write_step(step, noise, row);
        self.launch(call);
        self.result()
    }

    /// Copies of the buffers that a step writes.
    pub(crate) fn copies(&self) -> [CubeTensor; 2] {
        [
            copied(&self.arrays, READ + HISTORY, self.length),
            copied(&self.input, self.input.meta.shape()[0], self.length),
        ]
    }

    /// Tries to record a step.
    fn record(&mut self, call: Call) {
        // A failed recording leaves these buffers undefined.
        let [arrays, input] = self.copies();
        match Recording::new(&self.input.client, || self.launch(call)) {
            Ok(recording) => self.recording = Some(recording),
            Err(error) => {
                log::info!("this step was not recorded: {error}");
                (self.arrays, self.input) = (arrays, input);
            }
        }
    }

    /// Writes what changes from step to step.
    fn write_step(&self, step: &Step, noise: &[f32], row: usize) {
        write(&self.scalars, &scalars(step, row));
        if step.update.is_noisy() {
            write(&self.noise, noise);
        }
    }

    /// Launches the network and the sampler's kernel.
    fn launch(&self, call: Call) {
        in_exact_memory(&self.input.client, || self.launch_in_pool(call));
    }

    fn launch_in_pool(&self, call: Call) {
        let columns = self.time.meta.shape()[1];
        copy_row(&self.times, columns, (&self.scalars, ROW), &self.time);
        let time = tensor(self.time.clone());
        let prediction = contiguous(call(tensor(self.input.clone()), &time));
        let branches = self.input.meta.shape()[0];
        if let Some(kept) = &self.predictions {
            overwrite(kept, &prediction, branches, self.length);
        }
        launch_into(
            kernel(prediction.dtype == DType::F16),
            &[&prediction, &self.scalars, &self.noise],
            &[&self.arrays, &self.input],
            &[self.length as u32, branches as u32],
            [self.length.div_ceil(LANES as usize), 1, 1],
        );
    }

    /// The arrays that the host reads.
    fn result(&self) -> Tensor<2> {
        let mut read = reshaped(&self.arrays, [READ, self.length].into());
        read.handle = read
            .handle
            .offset_end((HISTORY * self.length * size_of::<f32>()) as u64);
        tensor(read)
    }
}

/// Overwrites all of `memory`, in f32.
fn write(memory: &CubeTensor, values: &[f32]) {
    let bytes = Bytes::from_bytes_vec(bytemuck::cast_slice(values).to_vec());
    memory.client.write(&memory.handle, bytes);
}

/// The scalars of a step for the kernel: the weights of latent and prediction in the denoised
/// latent, its limit, the guidance scale, the scale of the next input, the timestep's row; then,
/// for the next latent and each entry of the history, the weights of all terms.
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
        step.guidance,
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
    scalars.into_iter().map(|weight| weight as f32).collect()
}
