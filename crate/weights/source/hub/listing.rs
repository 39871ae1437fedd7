//! The list of a model's files that a hub gives: `/api/models/…/revision/…?blobs=true`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::http::bearer;
use super::refusal;
use crate::error::{Error, Result};

/// Most bytes of a list; that of a model with a thousand files has about 300 kB.
const LIST_AT_MOST: u64 = 64 << 20;

/// The files of one commit.
pub(super) struct Listing {
    /// The commit.
    pub commit: String,
    /// Files by their path within the model.
    pub files: BTreeMap<String, Entry>,
}

/// A file on the hub.
pub(super) struct Entry {
    /// Bytes.
    pub size: u64,
    /// Its name in the cache's folder of blobs: the SHA-256 of a large file, Git's SHA-1 of a
    /// small one.
    pub blob: String,
}

/// Reason why there is no list.
pub(super) enum Unlisted {
    /// The hub said no, or something that is not a list.
    Refused(Error),
    /// The hub could not be reached or is out of order.
    NoAnswer(Error),
}

#[derive(Deserialize)]
struct Json {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

impl Listing {
    /// Asks for the list at `address`.
    pub fn get(
        agent: &ureq::Agent,
        address: &str,
        token: Option<&str>,
    ) -> std::result::Result<Self, Unlisted> {
        let no_answer = |e: ureq::Error| Unlisted::NoAnswer(Error::fetch(address, e));
        let request = bearer(agent.get(address), token);
        let mut response = request.call().map_err(no_answer)?;
        match response.status().as_u16() {
            200 => (),
            status @ (429 | 500..) => {
                return Err(Unlisted::NoAnswer(Error::fetch(address, refusal(status))));
            }
            status => return Err(Unlisted::Refused(Error::fetch(address, refusal(status)))),
        }
        let body = response.body_mut().with_config().limit(LIST_AT_MOST);
        let json = body.read_to_vec().map_err(no_answer)?;
        Listing::parse(address, &json).map_err(Unlisted::Refused)
    }

    /// Reads the list `json`.
    ///
    /// # Errors
    /// [`Error::Fetch`] where it is malformed. Hashes become names of files, so they must be
    /// hashes.
    fn parse(address: &str, json: &[u8]) -> Result<Self> {
        let wrong =
            |what: String| Error::fetch(address, format!("malformed list of files: {what}"));
        let json: Json = serde_json::from_slice(json).map_err(|e| wrong(e.to_string()))?;
        if !is_hash(&json.sha) {
            return Err(wrong(format!("its commit is {:?}", json.sha)));
        }
        let mut files = BTreeMap::new();
        for file in json.siblings {
            let (size, blob) = match file.lfs {
                Some(lfs) => (Some(lfs.size), Some(lfs.sha256)),
                None => (file.size, file.blob_id),
            };
            let blob = blob.filter(|blob| is_hash(blob));
            let (Some(size), Some(blob)) = (size, blob) else {
                let name = file.rfilename;
                return Err(wrong(format!("it has no size or no checksum of {name}")));
            };
            files.insert(file.rfilename, Entry { size, blob });
        }
        Ok(Listing {
            commit: json.sha,
            files,
        })
    }
}

/// True for a SHA-1 or SHA-256 in hexadecimal digits.
pub(super) fn is_hash(text: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    [40, 64].contains(&text.len()) && text.chars().all(digit)
}

#[cfg(test)]
mod tests {
    use super::Listing;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parse(siblings: &str) -> Result<Listing, String> {
        let json = format!(r#"{{"sha": "{COMMIT}", "siblings": [{siblings}]}}"#);
        Listing::parse("https://hub/list", json.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_list_gives_size_and_blob_of_small_and_large_files() {
        let (small, large) = ("a".repeat(40), "b".repeat(64));
        let list = parse(&format!(
            r#"{{"rfilename": "a.json", "size": 7, "blobId": "{small}"}},
               {{"rfilename": "u/b.safetensors", "size": 9, "blobId": "{small}",
                 "lfs": {{"sha256": "{large}", "size": 9, "pointerSize": 135}}}}"#
        ));
        let list = list.expect("a list");
        assert_eq!(list.commit, COMMIT);
        let file = |name: &str| (list.files[name].size, list.files[name].blob.clone());
        assert_eq!(file("a.json"), (7, small));
        assert_eq!(file("u/b.safetensors"), (9, large));
    }

    #[test]
    fn a_hash_that_is_a_path_is_refused() {
        for blob in ["../../../../.bashrc", "", "A", &"A".repeat(40)] {
            let sibling = format!(r#"{{"rfilename": "x", "size": 1, "blobId": "{blob}"}}"#);
            let error = parse(&sibling).err().expect("an error");
            assert!(error.starts_with("https://hub/list: malformed"), "{error}");
        }
        assert!(parse(r#"{"rfilename": "x"}"#).is_err());
        let json = br#"{"sha": "../main", "siblings": []}"#;
        assert!(Listing::parse("a", json).is_err());
    }
}
