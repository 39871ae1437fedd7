//! The processor time of a thread, which other programs and tests do not change.

use std::time::{Duration, Instant};

/// Processor time of repeated runs. The system may count in ticks of 10 ms.
const ENOUGH: Duration = Duration::from_millis(60);

/// The time that this thread had a processor, where the system reports it (Linux).
pub fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// A stopwatch of this thread's processor time, or of wall-clock time where the system does not
/// report it.
struct Stopwatch {
    start: Instant,
    before: Option<Duration>,
}

impl Stopwatch {
    fn start() -> Self {
        Stopwatch {
            start: Instant::now(),
            before: processor_time(),
        }
    }

    fn elapsed(&self) -> Duration {
        match processor_time().zip(self.before) {
            Some((now, before)) => now.saturating_sub(before),
            None => self.start.elapsed(),
        }
    }
}

/// Runs `work`; returns its result and its time by [`Stopwatch`].
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let stopwatch = Stopwatch::start();
    let result = work();
    (result, stopwatch.elapsed())
}

/// Seconds of one run of `work`, the mean of as many runs as take [`ENOUGH`].
pub fn seconds_each(work: impl Fn()) -> f64 {
    let stopwatch = Stopwatch::start();
    for runs in 1.. {
        work();
        let elapsed = stopwatch.elapsed();
        if elapsed >= ENOUGH {
            return elapsed.as_secs_f64() / f64::from(runs);
        }
    }
    unreachable!("the clock moves on")
}
