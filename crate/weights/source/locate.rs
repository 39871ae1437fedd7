//! Where a person says a model is, for programs outside a browser: a folder, a file, an address, a name on a model hub.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;

use super::native::{Address, Folder};
use super::source::{Source, SourceFuture};
use crate::error::{Error, Result};

/// Where `owner/name` is looked for, unless the environment variable [`HUB_VARIABLE`] says otherwise.
const HUB: &str = "https://huggingface.co";
/// Names another hub of the same address scheme: a mirror, or a test.
pub const HUB_VARIABLE: &str = "DARKROOM_HUB";

const VOCAB: &str = "tokenizer/vocab.json";
const MERGES: &str = "tokenizer/merges.txt";

/// A single-file checkpoint, and the CLIP vocabulary, which such files lack.
pub struct SingleFile {
    /// The folder the file is in.
    folder: Box<dyn Source>,
    name: String,
    /// Where to find another vocabulary than the one built in.
    vocab: Option<Folder>,
}

impl SingleFile {
    /// The file `name` in `folder`. `vocab` is a folder with `vocab.json` and `merges.txt`; without it, CLIP's own
    /// vocabulary is used, which is built in.
    pub fn new(folder: Box<dyn Source>, name: impl Into<String>, vocab: Option<Folder>) -> Self {
        SingleFile {
            folder,
            name: name.into(),
            vocab,
        }
    }
}

/// The parts of CLIP's vocabulary that are built in.
fn built_in(path: &str) -> Option<&'static [u8]> {
    match path {
        VOCAB => Some(include_bytes!("../../www/vocab/clip/vocab.json")),
        MERGES => Some(include_bytes!("../../www/vocab/clip/merges.txt")),
        _ => None,
    }
}

/// The name within a vocabulary's folder.
fn vocab_file(path: &str) -> Option<&str> {
    [VOCAB, MERGES]
        .contains(&path)
        .then(|| path.trim_start_matches("tokenizer/"))
}

impl Source for SingleFile {
    fn checkpoint(&self) -> Option<String> {
        Some(self.name.clone())
    }

    fn size<'a>(&'a self, path: &'a str) -> SourceFuture<'a, Option<u64>> {
        if path == self.name {
            return self.folder.size(path);
        }
        match (&self.vocab, vocab_file(path)) {
            (Some(folder), Some(name)) => Source::size(folder, name),
            _ => Box::pin(async move { Ok(built_in(path).map(|bytes| bytes.len() as u64)) }),
        }
    }

    fn read<'a>(&'a self, path: &'a str, range: Range<u64>) -> SourceFuture<'a, Vec<u8>> {
        if path == self.name {
            return self.folder.read(path, range);
        }
        match (&self.vocab, vocab_file(path)) {
            (Some(folder), Some(name)) => Source::read(folder, name, range),
            _ => Box::pin(async move {
                built_in(path)
                    .and_then(|bytes| bytes.get(range.start as usize..range.end as usize))
                    .map(<[u8]>::to_vec)
                    .ok_or_else(|| Error::file(path, "no such file"))
            }),
        }
    }

    fn plan<'a>(&'a self, ranges: &'a [(&'a str, Range<u64>)]) -> SourceFuture<'a, ()> {
        // Weights are in the checkpoint only.
        self.folder.plan(ranges)
    }

    fn describe(&self, path: &str) -> String {
        match (&self.vocab, vocab_file(path)) {
            _ if path == self.name => self.folder.describe(path),
            (Some(folder), Some(name)) => folder.describe(name),
            _ => path.to_string(),
        }
    }
}

/// The model at `place`:
///
/// - a folder in diffusers' layout, or a `.safetensors` file, on disk;
/// - the http(s) address of such a folder or file;
/// - `owner/name` or `owner/name@revision`: a folder on Hugging Face. A folder or file on disk of that name comes first.
///
/// `vocab` is a folder with `vocab.json` and `merges.txt`, to be used with a file instead of the built-in CLIP vocabulary.
///
/// # Errors
/// [`Error::File`] where nothing is there, [`Error::Fetch`] for an address without a host, [`Error::Request`] for a
/// `vocab` that would not be used.
pub fn open(place: &str, vocab: Option<&Path>) -> Result<Box<dyn Source>> {
    let vocab_folder = vocab.map(Folder::open).transpose()?;
    let source = match find(place)? {
        (folder, Some(name)) => {
            return Ok(Box::new(SingleFile::new(folder, name, vocab_folder)));
        }
        (folder, None) => folder,
    };
    match vocab {
        Some(vocab) => Err(Error::request(
            "vocab",
            vocab.display(),
            "none with a model folder, which has a tokenizer of its own",
        )),
        None => Ok(source),
    }
}

/// The folder at `place`, or the folder that the file at `place` is in and the file's name there.
fn find(place: &str) -> Result<(Box<dyn Source>, Option<String>)> {
    if let Some((scheme, rest)) = split_scheme(place) {
        if rest.trim_start_matches('/').is_empty() {
            return Err(Error::fetch(
                place,
                "names no host, expected an address like https://example.org/models/portraits",
            ));
        }
        let address = raw_file(&format!("{scheme}{rest}"));
        let path = address.split(['?', '#']).next().unwrap_or(&address);
        return Ok(match path.rfind('/') {
            // The query stays with the name: hosts put keys there.
            Some(end) if path.to_lowercase().ends_with(".safetensors") => (
                Box::new(Address::new(&address[..end])),
                Some(address[end + 1..].to_string()),
            ),
            _ => (Box::new(Address::new(&address)), None),
        });
    }
    let path = Path::new(place);
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => Ok((Box::new(Folder::open(place)?), None)),
        Ok(_) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let folder = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            Ok((Box::new(Folder::open(folder)?), Some(name.into_owned())))
        }
        Err(error) => match hub_address(place) {
            Some(address) => Ok((Box::new(Address::new(&address)), None)),
            None if error.kind() == ErrorKind::NotFound => {
                Err(Error::file(place, "there is no such file or folder"))
            }
            None => Err(Error::file(place, error)),
        },
    }
}

fn split_scheme(place: &str) -> Option<(&'static str, &str)> {
    ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| Some((scheme, place.strip_prefix(scheme)?)))
}

/// Hugging Face's address of the file itself for that of the page about it, which is what people copy.
fn raw_file(address: &str) -> String {
    let page = |rest: &str| {
        let mut words = rest.splitn(4, '/');
        let (owner, name) = (words.next()?, words.next()?);
        match (words.next(), words.next()) {
            (None | Some(""), None) => Some(format!("{owner}/{name}/resolve/main")),
            (Some("blob" | "tree"), Some(rest)) => Some(format!("{owner}/{name}/resolve/{rest}")),
            _ => None,
        }
    };
    address
        .strip_prefix(HUB)
        .and_then(|rest| page(rest.strip_prefix('/')?))
        .map_or_else(|| address.to_string(), |page| format!("{HUB}/{page}"))
}

/// The address of `owner/name` or `owner/name@revision` on the hub; `None` for what cannot be such a name.
fn hub_address(place: &str) -> Option<String> {
    let (id, revision) = place.split_once('@').unwrap_or((place, "main"));
    let (owner, name) = id.split_once('/')?;
    let word = |text: &str| {
        !text.is_empty()
            && !text.starts_with(['.', '-'])
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    // A revision is a branch, a tag, a commit or `refs/pr/1`.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if !word(owner) || !word(name) || revision.is_empty() || !revision.chars().all(plain) {
        return None;
    }
    let hub = std::env::var(HUB_VARIABLE).unwrap_or_default();
    let hub = Some(hub.trim_end_matches('/')).filter(|hub| !hub.is_empty());
    let revision = revision.replace('/', "%2F");
    Some(format!("{}/{id}/resolve/{revision}", hub.unwrap_or(HUB)))
}

#[cfg(test)]
mod tests {
    use super::{hub_address, raw_file};

    #[test]
    fn names_on_the_hub() {
        let address = |place: &str| hub_address(place).expect("a name");
        let hub = "https://huggingface.co/stabilityai/stable-diffusion-2-1";
        let name = "stabilityai/stable-diffusion-2-1";
        assert_eq!(address(name), format!("{hub}/resolve/main"));
        assert_eq!(
            address(&format!("{name}@fp16")),
            format!("{hub}/resolve/fp16")
        );
        assert_eq!(
            address(&format!("{name}@refs/pr/7")),
            format!("{hub}/resolve/refs%2Fpr%2F7")
        );
        for other in [
            "model", "a/b/c", "/a/b", "./a", "../a", "a/b@", "a/b c", "a/", "/", "", "a/b@x?y",
        ] {
            assert_eq!(hub_address(other), None, "{other}");
        }
    }

    #[test]
    fn pages_about_files() {
        let hub = "https://huggingface.co/o/n";
        for (page, file) in [
            ("/blob/main/v1.safetensors", "/resolve/main/v1.safetensors"),
            ("/tree/fp16", "/resolve/fp16"),
            ("", "/resolve/main"),
            ("/", "/resolve/main"),
            (
                "/resolve/main/a.safetensors?download=true",
                "/resolve/main/a.safetensors?download=true",
            ),
        ] {
            assert_eq!(raw_file(&format!("{hub}{page}")), format!("{hub}{file}"));
        }
        let elsewhere = "https://example.org/o/n/blob/main/v1.safetensors";
        assert_eq!(raw_file(elsewhere), elsewhere);
        let lookalike = "https://huggingface.com/o/n";
        assert_eq!(raw_file(lookalike), lookalike);
    }
}
