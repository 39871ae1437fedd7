//! Generates a picture with the library and writes it as a PNG file.
//!
//! ```text
//! cargo run --release --example generate
//! cargo run --release --example generate -- owner/name "a castle" "people, text" castle.png
//! ```
//!
//! The arguments are a model, a prompt, a negative prompt and a file; each may be left out from the
//! right. The model is a folder, a checkpoint, an address or a name on Hugging Face.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

use darkroom::weights::source::locate;
use darkroom::{LoadOptions, Picture, Pipeline, Precision, Request, Runtime};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut arg = |default: &str| args.next().unwrap_or_else(|| default.into());
    let model = arg(concat!(env!("CARGO_MANIFEST_DIR"), "/www/models/portraits"));
    let request = Request {
        prompt: arg("Portrait photo of a man"),
        negative_prompt: arg("mustache"),
        seed: 14,
        guidance_scale: 3.0,
        ..Request::default()
    };
    let out = arg("picture.png");
    // The library is asynchronous because a browser's GPU is. Natively, waiting is enough.
    let picture = pollster::block_on(generate(&model, &request))?;
    write_png(&picture, &out)?;
    println!("{out}: {}×{}", picture.width, picture.height);
    Ok(())
}

/// Loads `model` and makes the picture that `request` describes.
async fn generate(model: &str, request: &Request) -> darkroom::Result<Picture> {
    // A source gives the model's bytes. This one only looks where the model is.
    let source = locate::open(model, None)?;

    // A real GPU where there is one. A software adapter imitates a GPU, and is slower than the CPU.
    let runtime = match Runtime::gpu(Precision::Auto, false).await {
        Ok(gpu) if !gpu.software => gpu,
        _ => Runtime::cpu(Precision::Auto, false)?,
    };
    println!("running on {}", runtime.name);

    // Configuration, tokenizer and weights. `LoadOptions` can report progress.
    let pipeline = Pipeline::load(&*source, &runtime, LoadOptions::default()).await?;

    // Checks the request, encodes both prompts and draws the noise.
    let mut generation = pipeline.start(request).await?;

    // The loop belongs to the caller: each step is one call of the U-Net, and between two steps a
    // program can show progress, show a preview, or stop.
    while !generation.is_done() {
        let progress = generation.step().await?;
        println!("step {} of {}", progress.call, progress.calls);
    }

    // The VAE decodes the final latent.
    generation.finish().await
}

/// Writes `picture` to `path`.
fn write_png(picture: &Picture, path: &str) -> Result<(), Box<dyn Error>> {
    let file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(file, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&picture.rgba)?;
    Ok(())
}
