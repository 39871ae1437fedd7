//! Runs targets on many inputs, and checks each of them.

use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use darkroom::Error;

use super::memory;
use crate::support::clock::timed;
use crate::support::random::Random;

/// The longest time for any input (most take microseconds).
pub const SLOW: Duration = Duration::from_millis(250);
/// The time after which an input is taken to run forever.
const STUCK: Duration = Duration::from_secs(60);
/// Longest message in bytes. A person reads it.
const MAX_MESSAGE: usize = 4096;
/// Failures after which a campaign ends.
const MAX_FAILURES: usize = 5;

/// The files of one call, by name.
#[derive(Clone, Default)]
pub struct Input(pub Vec<(&'static str, Vec<u8>)>);

impl Input {
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let (_, bytes) = self.0.iter().find(|(file, _)| *file == name)?;
        Some(bytes)
    }

    /// Bytes of all files.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

/// The most bytes that handling an input may hold at once: `factor` for each of its bytes, and
/// `constant`.
#[derive(Clone, Copy)]
pub struct Bound {
    pub factor: usize,
    pub constant: usize,
}

/// A function of the engine that reads files or requests.
pub trait Target: Sync {
    fn name(&self) -> &'static str;

    fn bound(&self) -> Bound;

    /// Files or fields of a request. Every error names one of them.
    fn names(&self) -> &'static [&'static str];

    fn input(&self, random: &mut Random) -> Input;

    /// Reads `input`. Panics where the result is wrong.
    fn run(&self, input: &Input) -> Result<(), Error>;
}

/// The result of one input.
pub struct Seen {
    /// Why the input was refused.
    pub refused: Option<String>,
    /// Bytes held at once.
    pub peak: usize,
    time: Duration,
}

/// Runs `target` on `input`.
///
/// # Errors
/// A description of what is wrong.
pub fn check(target: &dyn Target, number: u64, input: &Input) -> Result<Seen, String> {
    let once = || {
        memory::peak((target.name(), number), || {
            catch_unwind(AssertUnwindSafe(|| target.run(input)))
        })
    };
    let start = Instant::now();
    let (result, peak) = once();
    let mut time = start.elapsed();
    // Other programs may have had the processor. Repeated by the thread's own processor time.
    for _ in 0..3 {
        if time > SLOW {
            time = time.min(timed(once).1);
        }
    }
    let error = match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            return Err(format!("panicked: {}", text.unwrap_or_default()));
        }
    };
    if let Some(Error::Device(_) | Error::Numeric(_)) = error {
        return Err(format!(
            "the fault is neither the device's nor the computation's: {error:?}"
        ));
    }
    let refused = error.map(|error| error.to_string());
    if let Some(message) = &refused {
        if !target.names().iter().any(|name| message.contains(name)) {
            return Err(format!(
                "the error names none of {:?}: {message}",
                target.names()
            ));
        }
        if message.len() > MAX_MESSAGE {
            return Err(format!(
                "the error has {} bytes, too long to read",
                message.len()
            ));
        }
    }
    let Bound { factor, constant } = target.bound();
    let (size, allowed) = (input.size(), factor * input.size() + constant);
    if peak > allowed {
        return Err(format!(
            "held {peak} bytes for an input of {size}, allowed are {allowed}"
        ));
    }
    if time > SLOW {
        return Err(format!("took {time:?}, allowed are {SLOW:?}"));
    }
    Ok(Seen {
        refused,
        peak,
        time,
    })
}

/// The results of a target's inputs.
#[derive(Default)]
pub struct Tally {
    pub target: &'static str,
    pub inputs: u64,
    pub accepted: u64,
    /// Bytes of all inputs.
    bytes: u64,
    /// The most bytes held beyond the constant, for each byte of an input.
    factor: f64,
    /// The most bytes held for an input of less than a kilobyte, which the constant must cover.
    constant: usize,
    /// The most bytes held.
    peak: usize,
    slowest: Duration,
    time: Duration,
    pub failures: Vec<String>,
}

impl Tally {
    fn add(&mut self, bound: Bound, size: usize, seen: &Seen) {
        self.inputs += 1;
        self.accepted += u64::from(seen.refused.is_none());
        self.bytes += size as u64;
        let factor = seen.peak.saturating_sub(bound.constant) as f64 / size.max(1) as f64;
        self.factor = self.factor.max(factor);
        self.peak = self.peak.max(seen.peak);
        if size < 1000 {
            self.constant = self.constant.max(seen.peak);
        }
        self.slowest = self.slowest.max(seen.time);
    }

    fn join(&mut self, other: Tally) {
        self.inputs += other.inputs;
        self.accepted += other.accepted;
        self.bytes += other.bytes;
        self.factor = self.factor.max(other.factor);
        self.constant = self.constant.max(other.constant);
        self.peak = self.peak.max(other.peak);
        self.slowest = self.slowest.max(other.slowest);
        self.failures.extend(other.failures);
    }
}

/// One worker's present input, for the watching thread.
#[derive(Default)]
struct Watched {
    number: AtomicU64,
    /// Milliseconds from the beginning; 0 without an input.
    since: AtomicU64,
}

/// Runs `target` on the inputs numbered 0 to `inputs` − 1, on a number of `threads`.
pub fn campaign(target: &dyn Target, inputs: u64, threads: usize) -> Tally {
    let begin = Instant::now();
    let next = AtomicU64::new(0);
    let failed = AtomicBool::new(false);
    let total = Mutex::new(Tally::default());
    let watched: Vec<Watched> = (0..threads).map(|_| Watched::default()).collect();
    let done = AtomicBool::new(false);
    let work = |watched: &Watched| {
        let mut tally = Tally::default();
        loop {
            let number = next.fetch_add(1, Relaxed);
            if number >= inputs || failed.load(Relaxed) {
                break;
            }
            let input = target.input(&mut Random::of(target.name(), number));
            watched.number.store(number, Relaxed);
            let now = begin.elapsed().as_millis() as u64;
            watched.since.store(now.max(1), Relaxed);
            let result = check(target, number, &input);
            watched.since.store(0, Relaxed);
            match result {
                Ok(seen) => tally.add(target.bound(), input.size(), &seen),
                Err(what) => {
                    tally
                        .failures
                        .push(report(target.name(), number, &input, &what));
                    if tally.failures.len() >= MAX_FAILURES {
                        failed.store(true, Relaxed);
                    }
                }
            }
        }
        total
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join(tally);
    };
    thread::scope(|scope| {
        let workers: Vec<_> = watched
            .iter()
            .map(|watched| scope.spawn(|| work(watched)))
            .collect();
        scope.spawn(|| {
            while !done.load(Relaxed) {
                thread::sleep(Duration::from_millis(20));
                let now = begin.elapsed().as_millis() as u64;
                for Watched { number, since } in &watched {
                    let (number, since) = (number.load(Relaxed), since.load(Relaxed));
                    if since != 0 && now.saturating_sub(since) > STUCK.as_millis() as u64 {
                        let input = target.input(&mut Random::of(target.name(), number));
                        let report = report(target.name(), number, &input, "does not end");
                        crate::support::say(report);
                        std::process::abort();
                    }
                }
            }
        });
        for worker in workers {
            let _ = worker.join();
        }
        done.store(true, Relaxed);
    });
    let mut tally = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.target = target.name();
    tally.time = begin.elapsed();
    tally
}

/// A description of a failure, its input, and the path that the input was saved to.
fn report(target: &str, number: u64, input: &Input, what: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{target}-{number}"));
    let mut text = format!("{target}:{number} {what}\n");
    for (name, bytes) in &input.0 {
        let shown = bytes[..bytes.len().min(1500)].escape_ascii();
        let _ = writeln!(text, "  {name}, {} bytes: {shown}", bytes.len());
        let _ = save(&folder.join(name), bytes);
    }
    let _ = writeln!(
        text,
        "  saved in {}; to run it again: DARKROOM_FUZZ={target}:{number} \
         cargo test --release --test fuzz anything -- --nocapture",
        folder.display()
    );
    text
}

fn save(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(path, bytes)
}

/// The table of all targets.
pub struct Table<'a>(pub &'a [(Tally, Bound)]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<11} {:>9} {:>9} {:>9} {:>7}  {:>19}  {:>19} {:>9} {:>9} {:>8}",
            "target",
            "inputs",
            "accepted",
            "refused",
            "bytes",
            "held/byte (allowed)",
            "under 1 kB (constant)",
            "most held",
            "slowest",
            "time"
        )?;
        for (tally, bound) in self.0 {
            writeln!(
                f,
                "{:<11} {:>9} {:>9} {:>9} {:>7}  {:>11.1} {:>7}  {:>8} kB {:>5} kB {:>6} kB \
                 {:>6} ms {:>6.1} s",
                tally.target,
                tally.inputs,
                tally.accepted,
                tally.inputs - tally.accepted,
                tally.bytes / tally.inputs.max(1),
                tally.factor,
                format!("({})", bound.factor),
                tally.constant / 1000,
                bound.constant / 1000,
                tally.peak / 1000,
                tally.slowest.as_millis(),
                tally.time.as_secs_f64(),
            )?;
        }
        let sum =
            |of: &dyn Fn(&Tally) -> u64| self.0.iter().map(|(tally, _)| of(tally)).sum::<u64>();
        let (inputs, accepted) = (sum(&|tally| tally.inputs), sum(&|tally| tally.accepted));
        write!(
            f,
            "{:<11} {:>9} {:>9} {:>9}",
            "all",
            inputs,
            accepted,
            inputs - accepted
        )
    }
}
