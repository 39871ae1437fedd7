//! Counts the memory that a thread holds, to measure the handling of one input.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

/// The most bytes held at once. Beyond them the process ends itself: a machine out of memory would
/// end it too, but without the reason.
const LIMIT: isize = 4 << 30;

#[derive(Clone, Copy)]
struct Count {
    /// Bytes allocated less bytes freed.
    held: isize,
    /// The most that were held.
    peak: isize,
    /// The measured input: a target's name and a number.
    what: Option<(&'static str, u64)>,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { held: 0, peak: 0, what: None }) };
}

/// The system's allocator with a count for each thread.
pub struct Counting;

// SAFETY: every call goes to the system's allocator with its own arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        give(layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    /// Counted as the worst case: for a moment both the old block and the new one exist.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        give(layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn take(bytes: usize) {
    let mut count = COUNT.get();
    count.held = count.held.saturating_add_unsigned(bytes);
    count.peak = count.peak.max(count.held);
    if let (true, Some((name, number))) = (count.held > LIMIT, count.what) {
        // Nothing here may allocate: no format!, no captured output.
        COUNT.set(Count {
            what: None,
            ..count
        });
        let _ = writeln!(
            std::io::stderr(),
            "{name}:{number} allocates {bytes} bytes and would hold {}",
            count.held
        );
        std::process::abort();
    }
    COUNT.set(count);
}

fn give(bytes: usize) {
    let count = COUNT.get();
    let held = count.held.saturating_sub_unsigned(bytes);
    COUNT.set(Count { held, ..count });
}

/// Runs `work`, and returns the most bytes that this thread held for it at once. `what` names the
/// input where the process ends.
pub fn peak<R>(what: (&'static str, u64), work: impl FnOnce() -> R) -> (R, usize) {
    COUNT.set(Count {
        held: 0,
        peak: 0,
        what: Some(what),
    });
    let result = work();
    let count = COUNT.replace(Count {
        held: 0,
        peak: 0,
        what: None,
    });
    (result, count.peak.unsigned_abs())
}
