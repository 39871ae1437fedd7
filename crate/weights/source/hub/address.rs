//! Addresses of files on a model hub.

/// Where `owner/name` is looked for, unless the environment variable [`HUB_VARIABLE`] says otherwise.
const HUB: &str = "https://huggingface.co";
/// Names another hub of the same address scheme: a mirror, or a test.
pub const HUB_VARIABLE: &str = "DARKROOM_HUB";

/// Hugging Face's address of the file itself for that of the page about it, which is what people copy.
pub(in super::super) fn raw_file(address: &str) -> String {
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
pub(in super::super) fn hub_address(place: &str) -> Option<String> {
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
