//! Upload of weights from the bytes of files to tensors in GPU memory, a few megabytes at a time.

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
const HEADER: usize = 32;
/// Bytes that may be in transit before they are waited for. Nothing else limits a browser's queue.
const MAX_SENT: usize = 64 << 20;
const LANES: u32 = 64;
/// Elements of a row that an invocation moves: a line of most caches.
const COLUMNS: u32 = 16;

/// Upload to tensors on a wgpu device. Memory is allocated once for each tensor, in exactly its
/// size, and besides only one buffer for the chunk in transit.
pub struct Upload {
    client: Client,
    device: CubeDevice,
    staging: Handle,
    /// Bytes since the queue was last submitted, and since it was last waited for.
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

    /// Allocates a matrix `[rows, columns]` of `dtype`, f32 or f16. Its values are undefined.
    pub fn matrix(&self, rows: usize, columns: usize, dtype: DType) -> CubeTensor {
        self.allocate([rows, columns], dtype)
    }

    /// Uploads a vector in f32.
    ///
    /// # Errors
    /// [`Error::Device`] where the device failed.
    pub async fn vector(&mut self, values: &[f32]) -> Result<Tensor<1>> {
        let vector = self.allocate([values.len()], DType::F32);
        let bytes = bytemuck::cast_slice(values).to_vec();
        let size = bytes.len();
        self.client
            .write(&vector.handle, Bytes::from_bytes_vec(bytes));
        self.client.check([&vector.handle]).map_err(failed)?;
        self.throttle(size).await?;
        Ok(tensor(vector))
    }

    /// Allocates memory of exactly the tensor's size. The pools that serve activations round up to
    /// powers of two, and would reuse a freed 64 MB of weights for a tensor of 40 KB.
    fn allocate<const D: usize>(&self, shape: [usize; D], dtype: DType) -> CubeTensor {
        let (client, device) = (self.client.clone(), self.device.clone());
        self.client
            .memory_persistent_allocation(shape, move |shape| {
                empty_device_contiguous_dtype(client, device, shape.into(), dtype)
            })
    }

    /// Writes rows `[outputs, inputs, taps]` of a file, from output `first` on, into their columns
    /// of `matrix`, `[taps·inputs, all outputs]`. `bytes` are elements of its type, little endian.
    /// For f16 the number of outputs, here and in total, and `first` must be even.
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
        debug_assert!(size == words * columns * size_of::<u32>() && first.is_multiple_of(pack));
        if size > self.chunk {
            (self.staging, self.chunk) = (staging(&self.client, size), size);
        }
        let header = [words, first / pack, all / pack, inputs, taps, 0, 0, 0];
        let header = header.map(|n| n as u32);
        let part = |from: usize, to: usize| {
            let staging = self.staging.clone();
            let beyond = staging.size_in_used() - to as u64;
            staging.offset_start(from as u64).offset_end(beyond)
        };
        let header = bytemuck::cast_slice(&header).to_vec();
        self.client
            .write(&part(0, HEADER), Bytes::from_bytes_vec(header));
        self.client
            .write(&part(HEADER, HEADER + size), Bytes::from_bytes_vec(bytes));
        let [x, z] = split(columns.div_ceil(COLUMNS as usize));
        let groups = [x, words.div_ceil(LANES as usize), z];
        let chunk = CubeTensor {
            handle: self.staging.clone(),
            ..matrix.clone()
        };
        launch_into(kernel(pack == 2), &[&chunk], &[matrix], &[], groups);
        self.client.check([&matrix.handle]).map_err(failed)?;
        self.throttle(size).await
    }

    /// Counts `bytes` as queued, and limits the queue: queued data is in this program's memory
    /// until it is submitted, and in the browser's until it has arrived.
    async fn throttle(&mut self, bytes: usize) -> Result<()> {
        self.queued += bytes;
        self.sent += bytes;
        if self.queued >= self.chunk / 2 {
            self.queued = 0;
            self.client.flush().map_err(failed)?;
        }
        if self.sent >= MAX_SENT {
            self.arrived().await?;
        }
        Ok(())
    }

    /// Waits until everything has arrived.
    ///
    /// # Errors
    /// [`Error::Device`] where the device failed.
    pub async fn arrived(&mut self) -> Result<()> {
        (self.queued, self.sent) = (0, 0);
        let staging = self.staging.clone();
        let beyond = staging.size_in_used() - size_of::<u32>() as u64;
        let read = self.client.read_async(vec![staging.offset_end(beyond)]);
        read.await.map(drop).map_err(failed)
    }

    /// Ends the upload: waits for it, and gives back its buffer.
    ///
    /// # Errors
    /// [`Error::Device`] where the device failed.
    pub async fn finish(mut self) -> Result<()> {
        self.arrived().await?;
        let Upload {
            client, staging, ..
        } = self;
        drop(staging);
        client.memory_cleanup().map_err(failed)
    }
}

/// Allocates a buffer outside of the pools, which goes back to the driver when it is dropped.
fn staging(client: &Client, chunk: usize) -> Handle {
    client.memory_dedicated_allocation(HEADER + chunk, |size| client.empty(size))
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

/// All variants of the kernel.
#[cfg(feature = "testing")]
pub fn variants() -> Vec<Kernel> {
    [false, true].map(kernel).to_vec()
}
