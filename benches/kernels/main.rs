//! Single kernels at Stable Diffusion's shapes: their times, their rates of arithmetic and memory,
//! and the share of the adapter's ceilings, which are measured too. Our kernels and Burn's own
//! operations run in turns.
//!
//! `cargo bench --bench kernels -- [--dtype f32|f16] [--latent N] [--rounds N] [--kernel-tiling
//! PRESET] [WORD…]` writes one line of JSON, and `cargo xtask bench kernels` makes a table of it.
//! WORDs select kernels by a part of their names. `--adapter` only prints the adapter.

mod ceiling;
mod shapes;

use std::time::{Duration, Instant};

use burn::tensor::wgpu::wgpu;
use burn::tensor::{DType, Device};
use darkroom::ops::gpu::KernelTiling;
use darkroom::ops::{Gpu, Ops, Stock};
use serde_json::{Value, json};

use shapes::{Case, Maker};

/// Rows and columns of the latent: of a 512×512 picture on a GPU, of 128×128 where a CPU imitates
/// one.
const LATENT: [usize; 2] = [64, 16];
/// Measurements of each contender.
const ROUNDS: usize = 5;
/// Calls are repeated until a measurement takes this long, where that takes no more than
/// `MAX_CALLS` calls.
const LONG_ENOUGH: Duration = Duration::from_millis(20);
const MAX_CALLS: usize = 100;

type Result<T> = std::result::Result<T, String>;

struct Options {
    dtype: DType,
    latent: Option<usize>,
    rounds: usize,
    kernel_tiling: Option<KernelTiling>,
    words: Vec<String>,
    only_adapter: bool,
}

fn options() -> Result<Options> {
    let mut options = Options {
        dtype: DType::F32,
        latent: None,
        rounds: ROUNDS,
        kernel_tiling: None,
        words: Vec::new(),
        only_adapter: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--dtype" => {
                options.dtype = match value()?.as_str() {
                    "f32" => DType::F32,
                    "f16" => DType::F16,
                    other => return Err(format!("--dtype is f32 or f16, not {other}")),
                }
            }
            "--kernel-tiling" | "--tiles" => {
                let name = value()?;
                options.kernel_tiling = Some(KernelTiling::named(&name).ok_or_else(|| {
                    let names = KernelTiling::ALL.map(|preset| preset.name).join(", ");
                    format!("--kernel-tiling is one of {names}, not {name}")
                })?);
            }
            "--latent" => options.latent = Some(number(&value()?, 8)?),
            "--rounds" => options.rounds = number(&value()?, 1)?,
            "--adapter" => options.only_adapter = true,
            // `cargo bench` adds this one.
            "--bench" => {}
            other if other.starts_with("--") => return Err(format!("unknown option {other}")),
            _ => options.words.push(word),
        }
    }
    Ok(options)
}

fn number(text: &str, least: usize) -> Result<usize> {
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("expected a number of at least {least}, not {text}")),
    }
}

fn main() {
    env_logger::init();
    let result = options().and_then(run);
    match result {
        Ok(report) => println!("{report}"),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}

fn run(options: Options) -> Result<Value> {
    let (device, setup) = Device::wgpu_options()
        .init_with_setup()
        .map_err(|error| format!("no usable adapter: {error}"))?;
    let info = setup.adapter.get_info();
    let half = setup.device.features().contains(wgpu::Features::SHADER_F16);
    if options.dtype == DType::F16 && !half {
        return Err(format!("{} does not compute in f16", info.name));
    }
    let software = info.device_type == wgpu::DeviceType::Cpu;
    let adapter = json!({
        "name": info.name, "backend": format!("{:?}", info.backend), "driver": info.driver_info,
        "software": software, "f16": half,
    });
    if options.only_adapter {
        return Ok(adapter);
    }
    let ours: &dyn Ops = &match options.kernel_tiling {
        Some(preset) => Gpu::with_tiling(preset),
        None => Gpu::new(software),
    };
    let latent = options.latent.unwrap_or(LATENT[usize::from(software)]);
    let cases = shapes::cases(latent);
    let wanted = |case: &&Case| {
        options.words.is_empty() || options.words.iter().any(|word| case.name.contains(word))
    };
    if !cases.iter().any(|case| wanted(&case)) {
        return Err(format!(
            "no kernel is called {}",
            options.words.join(" or ")
        ));
    }

    let before = ceiling::measure(&setup, software, half)?;
    eprintln!(
        "{}, {:?}, latent {latent}×{latent}",
        info.name, options.dtype
    );
    let mut results = Vec::new();
    for case in cases.iter().filter(wanted) {
        results.push(measure(case, ours, &options, &device)?);
    }
    // Measured again: other work, or a sleeping GPU, may have disturbed the first measurement.
    let ceilings = before.or_better(ceiling::measure(&setup, software, half)?);
    Ok(json!({
        "adapter": adapter, "dtype": format!("{:?}", options.dtype).to_lowercase(),
        "kernel_tiling": options.kernel_tiling.map(|preset| preset.name),
        "latent": latent,
        "ceilings": {
            "flop_per_second": ceilings.multiply_add,
            "f16_flop_per_second": ceilings.multiply_add_half,
            "bytes_per_second": ceilings.copy,
        },
        "kernels": results,
    }))
}

/// Measures one kernel, with our operations and with Burn's in turns.
fn measure(case: &Case, ours: &dyn Ops, options: &Options, device: &Device) -> Result<Value> {
    let maker = Maker::new(device, options.dtype);
    let run = case.prepare(&maker);
    let mut contenders = [ours, &Stock].map(|ops| Contender {
        call: || run(ops),
        calls: 1,
        seconds: Vec::new(),
    });
    for contender in &mut contenders {
        contender.warm(device)?;
    }
    for _ in 0..options.rounds {
        for contender in &mut contenders {
            contender.measure(device)?;
        }
    }
    let [ours, stock] = contenders.map(|contender| contender.seconds);
    eprintln!(
        "{}: {:.3} ms, stock {:.3} ms",
        case.name,
        median(&ours) * 1e3,
        median(&stock) * 1e3
    );
    let bytes = case.values as f64 * options.dtype.size() as f64;
    Ok(json!({
        "name": case.name, "flop": case.flop, "bytes": bytes, "ours": ours, "stock": stock,
    }))
}

/// One implementation of an operation, and its times.
struct Contender<F: Fn()> {
    call: F,
    /// Calls in a measurement.
    calls: usize,
    /// Seconds of a call, by measurement.
    seconds: Vec<f64>,
}

impl<F: Fn()> Contender<F> {
    fn time(&self, device: &Device, calls: usize) -> Result<f64> {
        let begin = Instant::now();
        for _ in 0..calls {
            (self.call)();
        }
        device
            .sync()
            .map_err(|error| format!("the adapter failed: {error:?}"))?;
        Ok(begin.elapsed().as_secs_f64())
    }

    /// Compiles the kernels, and determines the calls of a measurement.
    fn warm(&mut self, device: &Device) -> Result<()> {
        self.time(device, 1)?;
        let once = self.time(device, 1)?;
        let calls = (LONG_ENOUGH.as_secs_f64() / once).ceil();
        self.calls = (calls as usize).clamp(1, MAX_CALLS);
        Ok(())
    }

    fn measure(&mut self, device: &Device) -> Result<()> {
        let seconds = self.time(device, self.calls)? / self.calls as f64;
        self.seconds.push(seconds);
        Ok(())
    }
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
