//! From the bytes of files to tensors in GPU memory, a few megabytes at a time.

use burn::backend::wgpu::CubeBackend;
use burn::tensor::{Bytes, DType, Device, Tensor};
use burn_cubecl::CubeDevice;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::client::Client;
use cubecl::server::Handle;

use super::launch::{Kernel, launch_into, split, tensor};
use crate::error::{Error, Result};

/// Bytes of the words that describe a chunk.
const HEAD: usize = 32;
/// Bytes that may be on their way before they are waited for: nothing else keeps a browser's queue from growing.
const ON_THE_WAY: usize = 64 << 20;
const LANES: u32 = 64;
/// Elements of a row that an invocation moves: a line of most caches.
const COLUMNS: u32 = 16;

/// Fills tensors on a wgpu device with what files hold. Memory is allocated once for each tensor, in exactly its size,
/// and beside it only one buffer for the chunk that is on its way.
pub struct Upload {
    client: Client,
    device: CubeDevice,
    staging: Handle,
    /// Bytes since the queue was last sent off, and since it was last waited for.
    queued: usize,
    sent: usize,
    chunk: usize,
}

impl Upload {
    /// An upload in chunks of `chunk` bytes; `None` where `device` is not a wgpu device.
    pub fn new(device: &Device, chunk: usize) -> Option<Self> {
        let probe = Tensor::<1>::empty([1], (device, DType::F32));
        let probe = probe.try_into_primitive::<CubeBackend>().ok()?;
        let (client, device) = (probe.client, probe.device);
        let staging = staging(&client, chunk);
        Some(Upload {
            client,
            device,
            staging,
            queued: 0,
            sent: 0,
            chunk,
        })
    }

    /// Memory for a matrix `[rows, columns]` of `dtype`, f32 or f16; what it holds is not defined.
    pub fn matrix(&self, rows: usize, columns: usize, dtype: DType) -> CubeTensor {
        self.keep([rows, columns], dtype)
    }

    /// A vector in f32.
    ///
    /// # Errors
    /// [`Error::Device`] where the device failed.
    pub async fn vector(&mut self, values: &[f32]) -> Result<Tensor<1>> {
        let vector = self.keep([values.len()], DType::F32);
        let bytes = bytemuck::cast_slice(values).to_vec();
        let size = bytes.len();
        self.client
            .write(&vector.handle, Bytes::from_bytes_vec(bytes));
        self.client.check([&vector.handle]).map_err(failed)?;
        self.count(size).await?;
        Ok(tensor(vector))
    }

    /// Memory of exactly the tensor's size. The pools that serve activations round up to powers of two, and would hand a
    /// freed 64 MB of weights to a tensor of 40 KB.
    fn keep<const D: usize>(&self, shape: [usize; D], dtype: DType) -> CubeTensor {
        let (client, device) = (self.client.clone(), self.device.clone());
        self.client
            .memory_persistent_allocation(shape, move |shape| {
                empty_device_contiguous_dtype(client, device, shape.into(), dtype)
            })
    }

    /// Puts rows `[outputs, inputs, taps]` of a file, from output `first` on, into their columns of `matrix`,
    /// `[taps·inputs, all outputs]`. `bytes` are elements of its type, little endian. In f16 the numbers of outputs, here
    /// and in all, and `first` are even.
    ///
    /// # Errors
    /// [`Error::Device`] where the device failed.
    pub async fn put(
        &mut self,
        matrix: &CubeTensor,
        [inputs, taps]: [usize; 2],
        first: usize,
        bytes: Vec<u8>,
    ) -> Result<()> {
        let size = bytes.len();
        let pack = size_of::<u32>() / matrix.dtype.size();
        let columns = inputs * taps;
        let words = size / size_of::<u32>() / columns;
        let all = matrix.meta.shape()[1];
        debug_assert!(size == words * columns * size_of::<u32>() && first % pack == 0);
        if size > self.chunk {
            (self.staging, self.chunk) = (staging(&self.client, size), size);
        }
        let head = [words, first / pack, all / pack, inputs, taps, 0, 0, 0];
        let head = head.map(|n| n as u32);
        let end = self.staging.size();
        let part = |from: usize, to: usize| {
            let staging = self.staging.clone().offset_start(from as u64);
            staging.offset_end(end - to as u64)
        };
        let head = bytemuck::cast_slice(&head).to_vec();
        self.client
            .write(&part(0, HEAD), Bytes::from_bytes_vec(head));
        self.client
            .write(&part(HEAD, HEAD + size), Bytes::from_bytes_vec(bytes));
        let [x, z] = split(columns.div_ceil(COLUMNS as usize));
        let groups = [x, words.div_ceil(LANES as usize), z];
        let chunk = CubeTensor {
            handle: self.staging.clone(),
            ..matrix.clone()
        };
        launch_into(kernel(pack == 2), &[&chunk], matrix, &[], groups);
        self.client.check([&matrix.handle]).map_err(failed)?;
        self.count(size).await
    }

    /// Notes that so many bytes were queued, and sees to it that they do not pile up: what is queued lies in this
    /// program's memory until it is sent off, and in the browser's until it has arrived.
    async fn count(&mut self, bytes: usize) -> Result<()> {
        self.queued += bytes;
        self.sent += bytes;
        if self.queued >= self.chunk / 2 {
            self.queued = 0;
            self.client.flush().map_err(failed)?;
        }
        if self.sent >= ON_THE_WAY {
            self.arrived().await?;
        }
        Ok(())
    }

    /// Waits until everything has arrived.
    ///
    /// # Errors
    /// [`Error::Device`] where something did not.
    pub async fn arrived(&mut self) -> Result<()> {
        (self.queued, self.sent) = (0, 0);
        let word = self.staging.clone();
        let end = word.size() - size_of::<u32>() as u64;
        let read = self.client.read_async(vec![word.offset_end(end)]);
        read.await.map(drop).map_err(failed)
    }

    /// Ends the upload: waits for it, and gives back what only it needed.
    ///
    /// # Errors
    /// As [`Upload::arrived`].
    pub async fn finish(mut self) -> Result<()> {
        self.arrived().await?;
        let Upload {
            client, staging, ..
        } = self;
        drop(staging);
        client.memory_cleanup().map_err(failed)
    }
}

/// A buffer outside of the pools, which goes back to the driver when it is no longer needed.
fn staging(client: &Client, chunk: usize) -> Handle {
    client.memory_dedicated_allocation(HEAD + chunk, |size| client.empty(size))
}

fn failed(error: impl std::fmt::Debug) -> Error {
    Error::device(format!("uploading weights failed: {error:?}"))
}

fn kernel(pairs: bool) -> Kernel {
    let values = [("PAIRS", pairs.into()), ("COLUMNS", COLUMNS.into())];
    Kernel::new(
        "transpose",
        include_str!("transpose.wgsl"),
        LANES,
        false,
        values,
    )
}

/// Every variant of the kernel.
pub fn variants() -> Vec<Kernel> {
    [false, true].map(kernel).to_vec()
}
