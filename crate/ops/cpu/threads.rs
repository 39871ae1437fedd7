//! Work on all threads natively; a browser's worker has one thread.

/// Calls `work` with the index and the values of every chunk of `data`.
#[cfg(not(target_arch = "wasm32"))]
pub fn chunks<T: Send>(data: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    use rayon::prelude::*;
    data.par_chunks_mut(size)
        .enumerate()
        .for_each(|(index, chunk)| work(index, chunk));
}

/// Calls `work` with the index and the values of every chunk of `data`.
#[cfg(target_arch = "wasm32")]
pub fn chunks<T>(data: &mut [T], size: usize, work: impl Fn(usize, &mut [T])) {
    for (index, chunk) in data.chunks_mut(size).enumerate() {
        work(index, chunk);
    }
}

/// Number of threads that [`chunks`] uses.
pub fn count() -> usize {
    #[cfg(not(target_arch = "wasm32"))]
    return rayon::current_num_threads();
    #[cfg(target_arch = "wasm32")]
    return 1;
}
