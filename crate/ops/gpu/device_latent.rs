//! A run on the device: the latent is predicted for, guided, and taken a step further without leaving it.

use std::cell::Cell;

use burn::tensor::{DType, Tensor, TensorData};
use burn_cubecl::tensor::CubeTensor;
use cubecl::bytes::Bytes;

use super::copy::{copied, copy_row, overwrite};
use super::graph::{Recording, in_exact_memory};
use super::launch::{Kernel, empty, launch_into, memory, reshaped, tensor};
use crate::sampling::update::{KEPT, Step, TERMS, Term, Update};

const LANES: u32 = 64;
/// What of the weights is not one of the sums' rows.
const HEAD: usize = 8;
/// Where in it the timestep's row is.
const ROW: usize = 5;
/// Arrays that are there for the host to read: prediction, picture, latent.
const READ: usize = 3;
/// How often recording is tried before a run goes on without.
const ATTEMPTS: usize = 3;

thread_local! {
    /// Whose results the free memory of exact sizes would fit.
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
            ("KEPT", (KEPT as u32).into()),
        ],
    )
}

/// Every variant of the kernel.
pub fn variants() -> Vec<Kernel> {
    [false, true].map(kernel).to_vec()
}

/// A call of the network, with a latent and a row of embedded timesteps.
pub type Call<'a> = &'a dyn Fn(Tensor<4>, &Tensor<2>) -> Tensor<4>;

/// A latent before its first step.
pub struct OnDeviceStart {
    /// Channels-last, `h·w·c` elements.
    pub latent: Vec<f32>,
    /// Of the network's input, `[branches, h, w, c]`.
    pub shape: [usize; 4],
    /// What the latent is multiplied by for the first call.
    pub input_scale: f64,
}

/// A latent on its way.
///
/// Its first step is launched operation by operation. The second one is recorded, and it and all later ones are played
/// from the record. What changes from step to step is written to buffers that all of them read.
pub struct OnDevice {
    /// `[branches, h, w, c]`: what the network sees.
    input: CubeTensor,
    /// `[m, columns]`: embedded timesteps.
    times: CubeTensor,
    /// `[1, columns]`: the one of the step.
    time: CubeTensor,
    /// See [`weights`].
    given: CubeTensor,
    /// `[h, w, c]`
    noise: CubeTensor,
    /// `[READ + KEPT, h·w·c]`: prediction, picture, latent, kept ones.
    arrays: CubeTensor,
    /// `h·w·c`
    length: usize,
    recording: Option<Recording>,
    attempts: usize,
}

impl OnDevice {
    /// The latent of `start` on the device and in the element type of `times`, embedded timesteps `[m, columns]`.
    pub fn new(start: OnDeviceStart, times: &Tensor<2>) -> Self {
        let OnDeviceStart {
            latent,
            shape,
            input_scale,
        } = start;
        let (device, dtype) = (times.device(), times.dtype());
        let upload = |values: Vec<f32>, shape: [usize; 4], dtype| {
            let data = TensorData::new(values, shape).convert_dtype(dtype);
            memory(Tensor::<4>::from_data(data, (&device, dtype)))
        };
        let times_memory = memory(times.clone());
        if MEMORY_FOR.replace(Some((shape, dtype))) != Some((shape, dtype)) {
            // Memory of exact sizes is of no use to other sizes. While somebody else records, it is kept.
            let _ = times_memory.client.memory_cleanup();
        }
        let length = latent.len();
        let [branches, h, w, c] = shape;
        let input = latent.iter().map(|&x| (input_scale * f64::from(x)) as f32);
        let input = input.collect::<Vec<_>>().repeat(branches);
        let mut arrays = vec![0.0; (READ + KEPT) * length];
        arrays[(READ - 1) * length..][..length].copy_from_slice(&latent);
        let given = HEAD + (1 + KEPT) * TERMS;
        let [_, columns] = times.dims();
        OnDevice {
            input: upload(input, shape, dtype),
            time: empty(&times_memory, [1, columns], dtype),
            times: times_memory,
            given: upload(vec![0.0; given], [1, 1, 1, given], DType::F32),
            noise: upload(vec![0.0; length], [1, h, w, c], DType::F32),
            arrays: upload(arrays, [READ + KEPT, h, w, c], DType::F32),
            length,
            recording: None,
            attempts: 0,
        }
    }

    /// Other embedded timesteps in place of those that there are, which are not fewer.
    pub fn replace_times(&mut self, times: &Tensor<2>) {
        let [rows, columns] = times.dims();
        debug_assert!(rows <= self.times.meta.shape()[0]);
        overwrite(&self.times, &memory(times.clone()), rows, columns);
    }

    /// One step, whose timestep is the embedded one of number `row`, and whose noise is channels-last, too. Returns
    /// prediction (guided), picture and latent as they are then.
    ///
    /// # Shapes
    /// `[3, h·w·c]` in f32
    pub fn step(&mut self, step: &Step, noise: &[f32], row: usize, call: Call) -> Tensor<2> {
        self.give(step, noise, row);
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

    /// As [`OnDevice::step`], but never recorded: for calls that are not the same launches every time.
    pub fn launched(&mut self, step: &Step, noise: &[f32], row: usize, call: Call) -> Tensor<2> {
        self.give(step, noise, row);
        self.launch(call);
        self.result()
    }

    /// Copies of what a step writes.
    pub(crate) fn copies(&self) -> [CubeTensor; 2] {
        [
            copied(&self.arrays, READ + KEPT, self.length),
            copied(&self.input, self.input.meta.shape()[0], self.length),
        ]
    }

    /// Tries to have a step recorded.
    fn record(&mut self, call: Call) {
        // Where that fails, what would have been written is spoilt.
        let [arrays, input] = self.copies();
        match Recording::new(&self.input.client, || self.launch(call)) {
            Ok(recording) => self.recording = Some(recording),
            Err(error) => {
                log::info!("this step was not recorded: {error}");
                (self.arrays, self.input) = (arrays, input);
            }
        }
    }

    /// Brings what changes from step to step to where launches read it.
    fn give(&self, step: &Step, noise: &[f32], row: usize) {
        write(&self.given, &weights(step, row));
        if step.update.is_noisy() {
            write(&self.noise, noise);
        }
    }

    /// The network's call, and the kernel that takes the latent on with what it predicts.
    fn launch(&self, call: Call) {
        in_exact_memory(&self.input.client, || self.launch_there(call));
    }

    fn launch_there(&self, call: Call) {
        let columns = self.time.meta.shape()[1];
        copy_row(&self.times, columns, (&self.given, ROW), &self.time);
        let time = tensor(self.time.clone());
        let prediction = memory(call(tensor(self.input.clone()), &time));
        let branches = self.input.meta.shape()[0];
        launch_into(
            kernel(prediction.dtype == DType::F16),
            &[&prediction, &self.given, &self.noise],
            &[&self.arrays, &self.input],
            &[self.length as u32, branches as u32],
            [self.length.div_ceil(LANES as usize), 1, 1],
        );
    }

    /// The arrays that are for the host.
    fn result(&self) -> Tensor<2> {
        let mut read = reshaped(&self.arrays, [READ, self.length].into());
        read.handle = read
            .handle
            .offset_end((KEPT * self.length * size_of::<f32>()) as u64);
        tensor(read)
    }
}

/// Overwrites all of `memory`, in f32.
fn write(memory: &CubeTensor, values: &[f32]) {
    let bytes = Bytes::from_bytes_vec(bytemuck::cast_slice(values).to_vec());
    memory.client.write(&memory.handle, bytes);
}

/// What the kernel is given of a step: the picture's weights of latent and prediction, its limit, the guidance scale, the
/// scale of the next input, the timestep's row; then for the latent and each of the kept arrays the weights of all terms.
fn weights(step: &Step, row: usize) -> Vec<f32> {
    let Step { update, .. } = step;
    let Update {
        picture,
        limit,
        latent,
        keep,
    } = update;
    let mut given = vec![
        picture.weight(Term::Latent),
        picture.weight(Term::Prediction),
        limit.unwrap_or(f64::from(f32::MAX)),
        step.guidance,
        step.next_input_scale,
        row as f64,
    ];
    debug_assert_eq!(given.len(), ROW + 1);
    given.resize(HEAD, 0.0);
    given.extend(latent.weights());
    for place in 0..KEPT {
        let kept = keep.iter().find(|(kept, _)| *kept == place);
        // What is not kept anew stays.
        let sum = kept.map_or(Term::Kept(place).into(), |(_, sum)| *sum);
        given.extend(sum.weights());
    }
    given.into_iter().map(|weight| weight as f32).collect()
}
