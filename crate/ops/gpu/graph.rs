//! Launches noted down once and made again: without a tensor made, a pipeline looked up or a bind group built.

use std::cell::Cell;

use cubecl::MemoryAllocationMode;
use cubecl::client::{Client, Graph};
use cubecl::server::ServerError;

/// Launches, with the memory that they read and write.
///
/// While it lives nobody else gets the memory of intermediate results: let go of it where it is of no more use.
pub struct Recording {
    graph: Graph,
}

impl Recording {
    /// Notes what `work` launches on `client`'s device, instead of launching it.
    ///
    /// No memory is allocated from the device meanwhile: the pools must hold enough of it, as they do after the work was
    /// done once [`in_exact_memory`]. And nothing may be written to the device or read from it.
    ///
    /// # Errors
    /// Whatever CubeCL has against it, for one that the pools do not hold enough memory. Nothing was launched then, and
    /// what would have been written counts as spoilt.
    pub fn new(client: &Client, work: impl FnOnce()) -> Result<Self, ServerError> {
        client.graph_prepare()?;
        if let Err(error) = client.start_capture() {
            // This is how CubeCL is told that nothing will come of it.
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
    /// Whatever CubeCL has against it.
    pub fn replay(&self) -> Result<(), ServerError> {
        // Sound: the graph guards all memory that its launches were given, and the stream's order keeps others off it.
        unsafe { self.graph.replay() }
    }
}

thread_local! {
    static EXACT: Cell<bool> = const { Cell::new(false) };
}

/// Does `work` with results in memory of exactly their size, which later work of the kind gets again. (Other memory is
/// handed out by rough size: whether what is free will do depends on what was asked for before.)
pub fn in_exact_memory<T>(client: &Client, work: impl FnOnce() -> T) -> T {
    /// Ends it, even where `work` panics.
    struct End<'a>(&'a Client);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            EXACT.set(false);
            // Sound: as below.
            unsafe { self.0.allocation_mode(MemoryAllocationMode::Auto) };
        }
    }
    // Sound: the mode is this thread's own, and `End` restores it.
    unsafe { client.allocation_mode(MemoryAllocationMode::Persistent) };
    EXACT.set(true);
    let _end = End(client);
    work()
}

/// Natively the device has a thread of its own, which lags behind: waits for it, so that memory given back so far is free
/// to be had, and no more. Then the same work takes the same memory every time.
pub fn settle(client: &Client) {
    if cfg!(not(target_family = "wasm")) && EXACT.get() {
        let _ = client.check([]);
    }
}
