//! Model of CubeCL's memory pools: the pages that a sequence of allocations takes.

use std::collections::HashMap;

use crate::ops::counting::MemoryEvent;

/// Sizes are multiples of this. Some adapters need less; the difference is small compared with a
/// page.
const ALIGNMENT: u64 = 256;
/// The smallest bucket.
const MIN_BUCKET: u64 = 32 << 10;
/// Buckets of a device.
const BUCKETS: usize = 24;
/// Weight of an allocation in a bucket's mean.
const DECAY: f64 = 0.01;
/// Uses until a page counts as well used.
const NEW_PAGE: u32 = 4;

/// Pool that allocations come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pool {
    /// Pages of one allocation each, sized by earlier requests.
    Pages,
    /// Slices of exactly the size of an allocation, for the steps of a run on the device.
    Exact,
}

/// Memory of a device. Freed memory stays reserved until [`Pools::cleanup`].
pub struct Pools {
    pages: ExclusivePages,
    exact: ExactSlices,
    /// Buffers that the host can read have pools of their own.
    staging: ExclusivePages,
    /// Allocations by the number of their tensor.
    live: HashMap<usize, Allocation>,
    /// Bytes of all live allocations.
    in_use: u64,
    /// Maximum of `in_use` so far.
    peak: u64,
    /// The largest allocation in bytes.
    largest: u64,
}

/// A live allocation.
#[derive(Clone, Copy)]
struct Allocation {
    bytes: u64,
    place: Place,
}

/// The place of an allocation.
#[derive(Clone, Copy)]
enum Place {
    Page(PageIndex),
    Slice(usize),
}

impl Pools {
    /// Empty pools of a device with buffers of at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Pools {
            pages: ExclusivePages::new(limit),
            exact: ExactSlices::default(),
            staging: ExclusivePages::new(limit),
            live: HashMap::new(),
            in_use: 0,
            peak: 0,
            largest: 0,
        }
    }

    /// Carries out `events`. Allocations come from `pool` and have `scale` times their bytes.
    pub fn replay(&mut self, events: &[MemoryEvent], pool: Pool, scale: u64) {
        for event in events {
            match *event {
                MemoryEvent::Allocate { tensor, bytes } => {
                    let bytes = bytes.saturating_mul(scale);
                    let place = match pool {
                        Pool::Pages => Place::Page(self.pages.reserve(bytes)),
                        Pool::Exact => Place::Slice(self.exact.reserve(bytes)),
                    };
                    self.live.insert(tensor, Allocation { bytes, place });
                    self.in_use = self.in_use.saturating_add(bytes);
                    self.peak = self.peak.max(self.in_use);
                    self.largest = self.largest.max(bytes);
                }
                MemoryEvent::Free { tensor } => {
                    if let Some(Allocation { bytes, place }) = self.live.remove(&tensor) {
                        match place {
                            Place::Page(index) => self.pages.free(index),
                            Place::Slice(index) => self.exact.slices[index].free = true,
                        }
                        self.in_use = self.in_use.saturating_sub(bytes);
                    }
                }
            }
        }
    }

    /// Reads `bytes` back, through a buffer that the host can read.
    pub fn read_back(&mut self, bytes: u64) {
        let page = self.staging.reserve(bytes);
        self.staging.free(page);
    }

    /// Gives back the pages and slices that nothing uses.
    pub fn cleanup(&mut self) {
        self.pages.cleanup();
        self.exact.cleanup();
    }

    /// Bytes of all pages and slices, those that the host can read included.
    pub fn reserved(&self) -> u64 {
        let slices = self.exact.slices.iter();
        let exact: u64 = slices.map(|slice| slice.size).sum();
        self.pages.reserved() + exact + self.staging.reserved()
    }

    /// Bytes of all live allocations.
    #[cfg(test)]
    pub fn in_use(&self) -> u64 {
        self.in_use
    }

    /// Maximum of `in_use` so far.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// The largest allocation in bytes.
    pub fn largest(&self) -> u64 {
        self.largest
    }
}

/// Pages of one allocation each, in exponentially spaced buckets. Memory is kept this way in every
/// browser, and natively with this crate's features. Matches cubecl 0.11.3
/// `MemoryConfiguration::ExclusivePages`.
struct ExclusivePages {
    buckets: Vec<Bucket>,
}

/// Pages of similar size.
struct Bucket {
    /// The largest allocation that it takes.
    max: u64,
    /// Decaying mean of the requested sizes, and the minimum size of a new page.
    mean: f64,
    /// Its pages. Pages that were given back are `None`, so that indices stay valid.
    pages: Vec<Option<Page>>,
}

struct Page {
    size: u64,
    uses_left: u32,
    free: bool,
}

/// Bucket and index of a page.
type PageIndex = (usize, usize);

impl ExclusivePages {
    fn new(limit: u64) -> Self {
        // The CPU has no limit. Any that no allocation reaches will do.
        let limit = limit.clamp(MIN_BUCKET, 1 << 40);
        let (min, max) = ((MIN_BUCKET as f64).ln(), (limit as f64).ln());
        let mut sizes: Vec<u64> = (0..BUCKETS)
            .map(|i| {
                let position = i as f64 / (BUCKETS - 1) as f64;
                ((min + (max - min) * position).exp() as u64).next_multiple_of(ALIGNMENT)
            })
            .collect();
        sizes.dedup();
        let bucket = |max| Bucket {
            max,
            mean: max as f64 / 2.0,
            pages: Vec::new(),
        };
        ExclusivePages {
            buckets: sizes.into_iter().map(bucket).collect(),
        }
    }

    /// The page that now holds `size` bytes.
    fn reserve(&mut self, size: u64) -> PageIndex {
        let last = self.buckets.len() - 1;
        // An allocation beyond the limit fails on the device; it is counted all the same.
        let first = self.buckets.iter().position(|b| b.max >= size);
        let first = first.unwrap_or(last);
        for (index, bucket) in self.buckets.iter_mut().enumerate().skip(first) {
            bucket.mean = bucket.mean * (1.0 - DECAY) + size as f64 * DECAY;
            let pages = bucket.pages.iter_mut().enumerate();
            let fitting = pages.filter_map(|(number, page)| {
                let page = page.as_mut()?;
                (page.free && page.size >= size).then_some((number, page))
            });
            if let Some((number, page)) = fitting.min_by_key(|(_, page)| page.uses_left) {
                page.free = false;
                page.uses_left = page.uses_left.saturating_sub(1);
                return (index, number);
            }
        }
        let bucket = &mut self.buckets[first];
        bucket.pages.push(Some(Page {
            size: align(size.max(bucket.mean as u64)),
            uses_left: NEW_PAGE,
            free: false,
        }));
        (first, bucket.pages.len() - 1)
    }

    fn free(&mut self, (bucket, page): PageIndex) {
        if let Some(page) = &mut self.buckets[bucket].pages[page] {
            page.free = true;
        }
    }

    fn cleanup(&mut self) {
        let buckets = self.buckets.iter_mut();
        for page in buckets.flat_map(|bucket| &mut bucket.pages) {
            page.take_if(|page| page.free);
        }
    }

    fn reserved(&self) -> u64 {
        let pages = self.buckets.iter().flat_map(|bucket| &bucket.pages);
        pages.flatten().map(|page| page.size).sum()
    }
}

/// Slices that serve allocations of their own size only. Matches cubecl 0.11.3 `PersistentPool`.
#[derive(Default)]
struct ExactSlices {
    slices: Vec<Slice>,
}

struct Slice {
    size: u64,
    free: bool,
}

impl ExactSlices {
    /// The slice that now holds `size` bytes.
    fn reserve(&mut self, size: u64) -> usize {
        let size = align(size);
        let fitting = |slice: &Slice| slice.free && slice.size == size;
        match self.slices.iter().position(fitting) {
            Some(index) => {
                self.slices[index].free = false;
                index
            }
            None => {
                self.slices.push(Slice { size, free: false });
                self.slices.len() - 1
            }
        }
    }

    fn cleanup(&mut self) {
        // A slice of size zero takes no memory, and indices stay valid.
        for slice in self.slices.iter_mut().filter(|slice| slice.free) {
            slice.size = 0;
        }
    }
}

/// Rounds `size` up to the alignment.
fn align(size: u64) -> u64 {
    size.checked_next_multiple_of(ALIGNMENT).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocate(tensor: usize, bytes: u64) -> MemoryEvent {
        MemoryEvent::Allocate { tensor, bytes }
    }

    fn free(tensor: usize) -> MemoryEvent {
        MemoryEvent::Free { tensor }
    }

    #[test]
    fn pages_are_reused_and_kept_until_a_cleanup() {
        let mut pools = Pools::new(128 << 20);
        let mut replay = |events: &[MemoryEvent]| {
            pools.replay(events, Pool::Pages, 1);
            pools.reserved()
        };
        let reserved = replay(&[allocate(0, 4 << 20), free(0)]);
        assert!((4 << 20..6 << 20).contains(&reserved), "{reserved}");
        assert_eq!(replay(&[allocate(1, 3600 << 10)]), reserved);
        let more = replay(&[allocate(2, 4 << 20)]);
        assert!(more >= reserved + (4 << 20), "{more}");
        assert_eq!(replay(&[free(1), free(2)]), more);
        assert_eq!(pools.peak(), (4 << 20) + (3600 << 10));
        pools.cleanup();
        assert_eq!(pools.reserved(), 0);
    }

    #[test]
    fn exact_slices_serve_their_own_size_only() {
        let mut pools = Pools::new(128 << 20);
        let mut replay = |events: &[MemoryEvent]| {
            pools.replay(events, Pool::Exact, 1);
            pools.reserved()
        };
        assert_eq!(replay(&[allocate(0, 1000), free(0)]), 1024);
        assert_eq!(replay(&[allocate(1, 1020)]), 1024);
        assert_eq!(replay(&[allocate(2, 512)]), 1536);
        assert_eq!(replay(&[free(1), allocate(3, 500)]), 2048);
        pools.cleanup();
        assert_eq!(pools.reserved(), 1024);
    }

    #[test]
    fn buckets_end_at_the_limit() {
        let pages = ExclusivePages::new(2 << 30);
        let sizes: Vec<u64> = pages.buckets.iter().map(|b| b.max).collect();
        assert_eq!(sizes[0], 32 << 10);
        assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
        let last = *sizes.last().expect("24 buckets");
        assert!(last.abs_diff(2 << 30) <= 4096, "{last}");
    }
}
