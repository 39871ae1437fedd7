//! Files that the command writes. Problems with a path are found before a run, not after it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, TensorView};

use darkroom::{Error, Generation, Picture, Result};

/// The path that stands for standard output.
const STDOUT: &str = "-";

/// A checked place for bytes.
pub struct Output {
    place: Place,
    /// The path as the user wrote it.
    shown: String,
}

enum Place {
    Stdout,
    /// A device or a pipe, which is written to directly.
    Direct(PathBuf),
    /// A file, with the path of symbolic links resolved. It is written beside its place and then
    /// renamed, so a failure leaves no part of it.
    File(PathBuf),
}

/// The checked outputs of a run.
pub struct Outputs {
    pub picture: Output,
    pub latents: Option<Output>,
}

impl Outputs {
    /// Checks the paths of the picture and the latent; `json` also goes to standard output.
    ///
    /// # Errors
    /// [`Error::Request`] where two outputs have the same place or standard output cannot take the
    /// picture, [`Error::File`] for a folder, a missing folder and a path that cannot be written.
    pub fn check(picture: &Path, latents: Option<&Path>, json: bool) -> Result<Self> {
        if [Some(picture), latents].contains(&Some(Path::new(STDOUT))) && json {
            let expected = "a file with --json, which prints on standard output itself";
            return Err(Error::request("out", STDOUT, expected));
        }
        let outputs = Outputs {
            picture: Output::check("out", picture)?,
            latents: latents
                .map(|path| Output::check("latents-out", path))
                .transpose()?,
        };
        match &outputs.latents {
            Some(latents) if latents.place.is(&outputs.picture.place) => {
                let expected = "another file than that of --out";
                Err(Error::request("latents-out", &latents.shown, expected))
            }
            _ => Ok(outputs),
        }
    }

    /// Checks that there is room for a picture of this size and its latent.
    ///
    /// # Errors
    /// [`Error::File`] with the system's reason, such as a full disk.
    pub fn check_room(&self, width: usize, height: usize, latent: usize) -> Result<()> {
        // Four bytes for each pixel and one for each row, and some for headers. PNG compresses.
        self.picture.check_room((4 * width + 1) * height + 65536)?;
        match &self.latents {
            Some(latents) => latents.check_room(4 * latent + 4096),
            None => Ok(()),
        }
    }
}

impl Place {
    fn is(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Stdout, Place::Stdout) => true,
            (Place::File(a) | Place::Direct(a), Place::File(b) | Place::Direct(b)) => a == b,
            _ => false,
        }
    }
}

impl Output {
    fn check(option: &str, path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let fail = |what: String| Err(Error::file(path.display(), what));
        if shown == STDOUT {
            if io::stdout().is_terminal() {
                let expected = "a file, or standard output that is not a terminal";
                return Err(Error::request(option, STDOUT, expected));
            }
            let (place, shown) = (Place::Stdout, "standard output".into());
            return Ok(Output { place, shown });
        }
        let place = match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => return fail("is a folder, expected a file".into()),
            Ok(meta) => {
                // Opened for writing, and left as it is.
                let opened = OpenOptions::new().write(true).open(path);
                opened.map_err(|e| Error::file(path.display(), e))?;
                let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
                match meta.is_file() {
                    true => Place::File(real),
                    false => Place::Direct(real),
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (Some(name), Some(parent)) = (path.file_name(), path.parent()) else {
                    return fail("names no file".into());
                };
                let parent = match parent.as_os_str().is_empty() {
                    true => Path::new("."),
                    false => parent,
                };
                match fs::canonicalize(parent) {
                    Ok(folder) if folder.is_dir() => Place::File(folder.join(name)),
                    Ok(_) => return fail(format!("{} is not a folder", parent.display())),
                    Err(e) => return fail(format!("its folder {}: {e}", parent.display())),
                }
            }
            Err(e) => return Err(Error::file(path.display(), e)),
        };
        let output = Output { place, shown };
        output.check_room(0)?;
        Ok(output)
    }

    /// Writes `length` bytes beside the file, and removes them.
    fn check_room(&self, length: usize) -> Result<()> {
        let Place::File(path) = &self.place else {
            return Ok(());
        };
        let part = beside(path);
        let zeros = [0; 1 << 16];
        let write = || {
            let mut file = File::create(&part)?;
            for start in (0..length).step_by(zeros.len()) {
                file.write_all(&zeros[..zeros.len().min(length - start)])?;
            }
            file.sync_data()
        };
        let written = write();
        let _ = fs::remove_file(&part);
        written.map_err(|e| self.failed(e))
    }

    /// Writes `bytes`, all of them or none.
    ///
    /// # Errors
    /// [`Error::File`] with the system's reason.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let written = match &self.place {
            Place::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Place::Direct(path) => OpenOptions::new()
                .write(true)
                .open(path)
                .and_then(|mut file| file.write_all(bytes)),
            Place::File(path) => {
                let part = beside(path);
                let write = || {
                    let mut file = File::create(&part)?;
                    file.write_all(bytes)?;
                    // A full disk may show only now.
                    file.sync_data()?;
                    fs::rename(&part, path)
                };
                let written = write();
                if written.is_err() {
                    let _ = fs::remove_file(&part);
                }
                written
            }
        };
        written.map_err(|e| self.failed(e))
    }

    /// The path as the user wrote it.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::file(&self.shown, error)
    }
}

/// The path of a file that is being written: hidden, in the same folder.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A long name must not become too long.
    let start: String = name.chars().take(40).collect();
    path.with_file_name(format!(".{start}.{}.part", std::process::id()))
}

/// Encodes the final latent as a safetensors file with the one tensor `latents`, as diffusers
/// returns it; `path` names the file in errors.
///
/// # Shapes
/// `latents` `[1, 4, h/8, w/8]` in f32
///
/// # Errors
/// [`Error::File`] where the latent cannot be encoded.
pub fn latents_file(generation: &Generation, path: &str) -> Result<Vec<u8>> {
    let [channels, height, width] = generation.latent_shape();
    let latent = generation.latent();
    let bytes: Vec<u8> = latent.iter().flat_map(|v| v.to_le_bytes()).collect();
    let shape = vec![1, channels, height, width];
    TensorView::new(Dtype::F32, shape, &bytes)
        .and_then(|view| safetensors::serialize([("latents", view)], None))
        .map_err(|e| Error::file(path, e))
}

/// Encodes `picture` as PNG; `path` names the file in errors.
///
/// # Errors
/// [`Error::File`] where the picture cannot be encoded.
pub fn png(picture: &Picture, path: &str) -> Result<Vec<u8>> {
    encode(picture, None).map_err(|e| Error::file(path, e))
}

/// [`png`] with a text under a keyword.
///
/// # Errors
/// Same as [`png`].
pub fn png_with_text(picture: &Picture, keyword: &str, text: &str, path: &str) -> Result<Vec<u8>> {
    encode(picture, Some((keyword, text))).map_err(|e| Error::file(path, e))
}

fn encode(
    picture: &Picture,
    text: Option<(&str, &str)>,
) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    if let Some((keyword, text)) = text {
        encoder.add_itxt_chunk(keyword.into(), text.into())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.rgba)?;
    writer.finish()?;
    Ok(bytes)
}

/// Writes `bytes` to `path`, all of them or none.
///
/// # Errors
/// [`Error::File`] with the system's reason.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let (place, shown) = (Place::File(path.into()), path.display().to_string());
    Output { place, shown }.write(bytes)
}
