//! Memory of a recording: what a recorded generation keeps of each U-Net call.

use serde::Serialize;

use crate::config::ModelConfig;

/// Predictions of a recording that stay on the device take at most this many bytes.
const DEVICE_LIMIT: u64 = 64 << 20;
/// A recording takes at most this many bytes on the host.
const HOST_LIMIT: u64 = 256 << 20;
/// Arrays of the latent's size that the host keeps of a call: latent and guided prediction.
const HOST_ARRAYS: u64 = 2;

/// Bytes that a recording of a guided generation takes.
///
/// Predictions stay on the device until they are asked for. Where they would take more than
/// `device_limit`, those of the oldest calls move to the host. Where the host's part would be more
/// than `host_limit`, only every second call stays recorded, then every fourth, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(target_arch = "wasm32", derive(tsify::Tsify))]
pub struct RecordingPlan {
    /// Bytes on the device for each recorded call; 0 on the CPU.
    pub device_call: u64,
    /// Bytes on the device for all calls together, at most.
    pub device_limit: u64,
    /// Bytes on the host for each call with its predictions on the device.
    pub host_call: u64,
    /// Bytes on the host for each call with its predictions there too.
    pub host_call_moved: u64,
    /// Bytes on the host for all calls together, at most.
    pub host_limit: u64,
}

impl RecordingPlan {
    /// Plans for latents of `size`, height and width, and `branches` predictions a call. These have
    /// `element` bytes an element on the device; without it they are on the host. `room` is the
    /// memory that is left.
    pub fn new(
        branches: usize,
        config: &ModelConfig,
        [height, width]: [usize; 2],
        element: Option<usize>,
        room: Option<u64>,
    ) -> Self {
        let length = (config.unet.in_channels * height * width) as u64;
        let array = length * size_of::<f32>() as u64;
        let branches = branches as u64;
        let moved = (HOST_ARRAYS + branches) * array;
        RecordingPlan {
            device_call: element.map_or(0, |element| branches * length * element as u64),
            device_limit: element.map_or(0, |_| DEVICE_LIMIT),
            host_call: element.map_or(moved, |_| HOST_ARRAYS * array),
            host_call_moved: moved,
            host_limit: room.map_or(HOST_LIMIT, |room| room.min(HOST_LIMIT)),
        }
    }

    /// Bytes on the device for a recording of `calls` calls: their predictions, and the buffer that
    /// each call writes them to.
    pub fn device(&self, calls: usize) -> u64 {
        let all = self.device_call.saturating_mul(calls as u64);
        self.device_call + all.min(self.device_limit)
    }
}
