//! Settings of a hub, from the environment variables that Hugging Face's own programs read.

use std::path::PathBuf;

use hf_hub::Cache;

use crate::error::{Error, Result};

/// The hub, unless the environment names another.
pub(super) const HUGGING_FACE: &str = "https://huggingface.co";

/// Environment variables that name another hub with the same addresses: a mirror, or a test. The
/// second is the one that Hugging Face's programs read.
const ENDPOINT: [&str; 2] = ["DARKROOM_HUB", "HF_ENDPOINT"];

/// Settings of a hub.
pub(super) struct Environment {
    /// Address of the hub, without a slash at the end.
    pub endpoint: String,
    /// Folder of downloaded files: `HF_HUB_CACHE`, or `hub` in Hugging Face's folder.
    pub cache: Cache,
    /// Access token: `HF_TOKEN`, or what `hf auth login` saved.
    pub token: Option<String>,
    /// True where `HF_HUB_OFFLINE` forbids to ask the hub.
    pub offline: bool,
}

impl Environment {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`Error::File`] where there is no home folder and no variable names another one.
    pub fn read() -> Result<Self> {
        let home = home().ok_or_else(|| {
            Error::file(
                "~/.cache/huggingface",
                "there is no home folder, set HF_HOME to a folder for downloads",
            )
        })?;
        let endpoint = ENDPOINT.into_iter().find_map(text);
        let endpoint = endpoint.unwrap_or_else(|| HUGGING_FACE.into());
        let default = Cache::new(home.join("hub"));
        let token = text("HF_TOKEN")
            .or_else(|| match text("HF_TOKEN_PATH") {
                Some(path) => std::fs::read_to_string(path).ok(),
                None => default.token(),
            })
            .map(|token| token.trim().to_string())
            .filter(|token| !token.is_empty());
        Ok(Environment {
            endpoint: endpoint.trim_end_matches('/').into(),
            cache: text("HF_HUB_CACHE").map_or(default, |path| Cache::new(path.into())),
            token,
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
        })
    }
}

/// Hugging Face's folder: `HF_HOME`, `$XDG_CACHE_HOME/huggingface` or `~/.cache/huggingface`.
fn home() -> Option<PathBuf> {
    let cache = || match text("XDG_CACHE_HOME") {
        Some(cache) => Some(cache.into()),
        None => Some(std::env::home_dir()?.join(".cache")),
    };
    match text("HF_HOME") {
        Some(home) => Some(home.into()),
        None => cache().map(|cache: PathBuf| cache.join("huggingface")),
    }
}

/// The value of an environment variable that is set and not empty.
fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// True for the values that huggingface_hub takes for true.
fn is_true(value: &str) -> bool {
    ["1", "true", "yes", "on"].contains(&value.to_lowercase().as_str())
}
