//! Recordings: launches that are recorded once and replayed, without making a tensor, looking up a
//! pipeline or building a bind group.

use std::cell::Cell;

use cubecl::MemoryAllocationMode;
use cubecl::client::{Client, Graph};
use cubecl::server::ServerError;

/// Recorded launches with the memory that they read and write.
///
/// A recording keeps the memory of its intermediate results from all other work until it is
/// dropped.
pub struct Recording {
    graph: Graph,
}

impl Recording {
    /// Records the launches of `work` on `client`'s device instead of making them.
    ///
    /// No memory is allocated from the device meanwhile: the pools must hold enough of it, as they
    /// do after `work` ran once [`in_exact_memory`]. And nothing may be written to the device or
    /// read from it.
    ///
    /// # Errors
    /// Errors of CubeCL, for example that the pools do not hold enough memory. Nothing was launched
    /// then, and the buffers that `work` writes are undefined.
    pub fn new(client: &Client, work: impl FnOnce()) -> Result<Self, ServerError> {
        client.graph_prepare()?;
        if let Err(error) = client.start_capture() {
            // CubeCL leaves the capture by this call.
            let _ = client.stop_capture();
            return Err(error);
        }
        work();
        let graph = client.stop_capture()?;
        Ok(Recording { graph })
    }

    /// Makes the launches again, on the same memory.
    ///
    /// # Errors
    /// Errors of CubeCL.
    pub fn replay(&self) -> Result<(), ServerError> {
        // SAFETY: the graph guards all memory that its launches were given, and the order of the
        // stream keeps other work off it.
        unsafe { self.graph.replay() }
    }
}

thread_local! {
    static EXACT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with its results in memory of exactly their size, which later work of the same sizes
/// gets again. (Other memory is handed out by rough size: the free memory that fits depends on
/// earlier requests.)
pub fn in_exact_memory<T>(client: &Client, work: impl FnOnce() -> T) -> T {
    /// Ends the mode, even where `work` panics.
    struct End<'a>(&'a Client);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            EXACT.set(false);
            // SAFETY: as below.
            unsafe { self.0.allocation_mode(MemoryAllocationMode::Auto) };
        }
    }
    // SAFETY: the mode is this thread's own, and `End` restores it.
    unsafe { client.allocation_mode(MemoryAllocationMode::Persistent) };
    EXACT.set(true);
    let _end = End(client);
    work()
}

/// Waits for the device's thread where there is one. It lags behind natively; afterwards all memory
/// that was given back so far is free, so that the same work takes the same memory every time.
pub fn settle(client: &Client) {
    if cfg!(not(target_family = "wasm")) && EXACT.get() {
        let _ = client.check([]);
    }
}
