//! Memory that weights take.

use serde::Serialize;

/// Memory that weights take, known to the loader from the files' headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WeightSizes {
    /// Number of tensors.
    pub tensors: usize,
    /// Bytes on the device.
    pub device: u64,
    /// Bytes that stay on the host: the token tables.
    pub host: u64,
    /// The largest tensor on the device, in bytes.
    pub largest: u64,
    /// Bytes of the host buffers that weights pass through from file to device.
    pub staging: u64,
}

impl WeightSizes {
    /// Counts a tensor of `bytes` on the device.
    pub fn add(&mut self, bytes: u64) {
        self.tensors += 1;
        self.device += bytes;
        self.largest = self.largest.max(bytes);
    }

    /// Counts a tensor of `bytes` on the host.
    pub fn add_host(&mut self, bytes: u64) {
        self.tensors += 1;
        self.host += bytes;
    }
}
