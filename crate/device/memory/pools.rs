//! What CubeCL's memory pools make of a sequence of allocations, without a device.

use std::cell::RefCell;
use std::rc::Rc;

/// Sizes are multiples of this; some adapters ask for less, which is no matter beside a page's size.
const ALIGNMENT: u64 = 256;
/// The smallest bucket.
const SMALLEST: u64 = 32 << 10;
const BUCKETS: usize = 24;
/// Weight of an allocation in a bucket's mean.
const DECAY: f64 = 0.01;
/// Uses until a page counts as well used.
const NEW_PAGE: u32 = 4;

/// Pages of one allocation each, in exponentially spaced buckets: how memory is kept in every browser, and natively
/// with this crate's features. Matches cubecl 0.11.3 `MemoryConfiguration::ExclusivePages`.
struct Heap {
    buckets: Vec<Bucket>,
    live: u64,
    /// Most bytes that were allocated at a time.
    peak: u64,
    /// Bytes of the pages in all. They are kept when what was on them is freed.
    reserved: u64,
    /// The largest allocation.
    largest: u64,
}

struct Bucket {
    most: u64,
    mean: f64,
    pages: Vec<Page>,
}

struct Page {
    size: u64,
    uses_left: u32,
    free: bool,
}

impl Heap {
    /// Pools of a device whose buffers have at most `limit` bytes.
    fn new(limit: u64) -> Self {
        // The CPU's limit is none; any that nothing reaches will do.
        let limit = limit.clamp(SMALLEST, 1 << 40);
        let (least, most) = ((SMALLEST as f64).ln(), (limit as f64).ln());
        let mut sizes: Vec<u64> = (0..BUCKETS)
            .map(|i| {
                let share = i as f64 / (BUCKETS - 1) as f64;
                ((least + (most - least) * share).exp() as u64).next_multiple_of(ALIGNMENT)
            })
            .collect();
        sizes.dedup();
        let bucket = |most| Bucket {
            most,
            mean: most as f64 / 2.0,
            pages: Vec::new(),
        };
        Heap {
            buckets: sizes.into_iter().map(bucket).collect(),
            live: 0,
            peak: 0,
            reserved: 0,
            largest: 0,
        }
    }

    /// Bucket and index of the page that now holds `size` bytes.
    fn reserve(&mut self, size: u64) -> (usize, usize) {
        self.live += size;
        self.peak = self.peak.max(self.live);
        self.largest = self.largest.max(size);
        let last = self.buckets.len() - 1;
        // What is beyond the limit fails on the device; here it shall be counted all the same.
        let first = self.buckets.iter().position(|b| b.most >= size);
        let first = first.unwrap_or(last);
        for (index, bucket) in self.buckets.iter_mut().enumerate().skip(first) {
            bucket.mean = bucket.mean * (1.0 - DECAY) + size as f64 * DECAY;
            let fitting = |(_, page): &(usize, &mut Page)| page.free && page.size >= size;
            let pages = bucket.pages.iter_mut().enumerate().filter(fitting);
            if let Some((page, found)) = pages.min_by_key(|(_, page)| page.uses_left) {
                found.free = false;
                found.uses_left = found.uses_left.saturating_sub(1);
                return (index, page);
            }
        }
        let bucket = &mut self.buckets[first];
        let size = size.max(bucket.mean as u64).next_multiple_of(ALIGNMENT);
        self.reserved += size;
        bucket.pages.push(Page {
            size,
            uses_left: NEW_PAGE,
            free: false,
        });
        (first, bucket.pages.len() - 1)
    }

    fn free(&mut self, size: u64, (bucket, page): (usize, usize)) {
        self.live -= size;
        self.buckets[bucket].pages[page].free = true;
    }
}

/// A heap that tensors without values are allocated on.
#[derive(Clone)]
pub struct Trace {
    heap: Rc<RefCell<Heap>>,
    /// Pools of their own: buffers that the host can read.
    staging: Rc<RefCell<Heap>>,
    element: usize,
}

impl Trace {
    /// Tensors of elements of `element` bytes on a device whose buffers have at most `limit` bytes.
    pub fn new(limit: u64, element: usize) -> Self {
        let heap = || Rc::new(RefCell::new(Heap::new(limit)));
        Trace {
            heap: heap(),
            staging: heap(),
            element,
        }
    }

    /// A tensor of so many elements.
    pub fn tensor(&self, elements: usize) -> Ghost {
        self.of(elements, self.element)
    }

    /// A tensor in f32, whatever the others are in.
    pub fn single(&self, elements: usize) -> Ghost {
        self.of(elements, 4)
    }

    /// A buffer that the host can read so many elements in f32 from.
    pub fn readable(&self, elements: usize) -> Ghost {
        Ghost::new(&self.staging, 4 * elements)
    }

    fn of(&self, elements: usize, element: usize) -> Ghost {
        Ghost::new(&self.heap, elements * element)
    }

    /// Bytes of all pages, those that the host can read included.
    pub fn reserved(&self) -> u64 {
        self.heap.borrow().reserved + self.staging.borrow().reserved
    }

    /// Most bytes that were allocated at a time.
    pub fn peak(&self) -> u64 {
        self.heap.borrow().peak
    }

    /// The largest allocation.
    pub fn largest(&self) -> u64 {
        self.heap.borrow().largest
    }
}

/// A tensor without values: it takes its place on the heap until its last clone is gone, as a tensor does on the device.
#[derive(Clone)]
pub struct Ghost {
    _place: Rc<Allocation>,
}

struct Allocation {
    heap: Rc<RefCell<Heap>>,
    size: u64,
    page: (usize, usize),
}

impl Ghost {
    fn new(heap: &Rc<RefCell<Heap>>, size: usize) -> Self {
        let size = size as u64;
        let page = heap.borrow_mut().reserve(size);
        let heap = heap.clone();
        Ghost {
            _place: Rc::new(Allocation { heap, size, page }),
        }
    }

    /// For a statement's end: the tensor was handed to an operation that is done with it.
    pub fn used(self) {}
}

impl Drop for Allocation {
    fn drop(&mut self) {
        self.heap.borrow_mut().free(self.size, self.page);
    }
}

#[cfg(test)]
mod tests {
    use super::{Heap, Trace};

    #[test]
    fn pages_are_reused_and_kept() {
        let trace = Trace::new(128 << 20, 4);
        let first = trace.tensor(1 << 20);
        let second = first.clone();
        drop(first);
        assert_eq!(trace.peak(), 4 << 20);
        drop(second);
        let reserved = trace.reserved();
        assert!((4 << 20..6 << 20).contains(&reserved), "{reserved}");
        let again = trace.tensor(900 << 10);
        assert_eq!(trace.reserved(), reserved);
        let beside = trace.tensor(1 << 20);
        assert!(trace.reserved() >= reserved + (4 << 20));
        drop((again, beside));
        assert_eq!(trace.peak(), (4 << 20) + (3600 << 10));
        assert_eq!(trace.largest(), 4 << 20);
    }

    #[test]
    fn buckets_end_at_the_limit() {
        let heap = Heap::new(2 << 30);
        let sizes: Vec<u64> = heap.buckets.iter().map(|b| b.most).collect();
        assert_eq!(sizes[0], 32 << 10);
        assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
        let last = *sizes.last().expect("24 buckets");
        assert!(last.abs_diff(2 << 30) <= 4096, "{last}");
    }
}
