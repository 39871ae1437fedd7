//! Opening a model from what a user types: a folder, a file, an address, or a name on a hub.

use std::io::ErrorKind;
use std::path::Path;

use super::Source;
use super::folder::Folder;
use super::http::{Address, is_weight_file};
use super::hub::{Hub, HubName, OnHubEvent, raw_file};
use super::single_file::SingleFile;
use crate::error::{Error, Result};

/// Opens the model that `place` names:
///
/// - a folder in diffusers' layout, or a `.safetensors` file, on disk;
/// - the http(s) address of such a folder or file, read by byte ranges; an address without an
///   ending is asked what it is;
/// - `owner/name` or `owner/name@revision`: a folder on Hugging Face, downloaded into its cache
///   folder ([`Hub`]). A folder or file on disk of that name comes first.
///
/// `vocab` is a folder with `vocab.json` and `merges.txt`, to be used with a file instead of the
/// built-in CLIP vocabulary.
///
/// # Errors
/// [`Error::File`] where nothing is there, [`Error::Fetch`] for an address without a host or a name
/// that the hub does not know, [`Error::Request`] for a `vocab` that would not be used.
pub fn open(place: &str, vocab: Option<&Path>) -> Result<Box<dyn Source>> {
    open_with(place, vocab, Box::new(|_| ()))
}

/// Opens a model as [`open`] does; `on_event` receives the progress of downloads from a hub.
///
/// # Errors
/// The same as those of [`open`].
pub fn open_with(
    place: &str,
    vocab: Option<&Path>,
    on_event: OnHubEvent,
) -> Result<Box<dyn Source>> {
    let vocab_folder = vocab.map(Folder::open).transpose()?;
    let source = match find(place, on_event)? {
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

/// Finds the folder at `place`, or the folder around the file at `place` and the file's name in it.
fn find(place: &str, on_event: OnHubEvent) -> Result<(Box<dyn Source>, Option<String>)> {
    if let Some((scheme, rest)) = split_scheme(place) {
        if rest.trim_start_matches('/').is_empty() {
            return Err(Error::fetch(
                place,
                "names no host, expected an address like https://example.org/models/portraits",
            ));
        }
        let address = raw_file(&format!("{scheme}{rest}"));
        let path = address.split(['?', '#']).next().unwrap_or(&address);
        let end = path.rfind('/').filter(|&end| end + 1 < path.len());
        let file = path.to_lowercase().ends_with(".safetensors") || is_weight_file(&address)?;
        return Ok(match end {
            // The query stays with the name: some hosts put keys there.
            Some(end) if file => (
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
        Err(error) => match HubName::parse(place) {
            Some(name) => Ok((Box::new(Hub::open(name, on_event)?), None)),
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
