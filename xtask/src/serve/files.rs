//! Responses with files below the served folder.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::http::{Body, Request, Response};

/// Answers a GET or HEAD for a file below `root`.
pub fn respond(root: &Path, request: &Request) -> Response {
    if request.method != "GET" && request.method != "HEAD" {
        return Response::text(405, "only GET and HEAD\n").with("Allow", "GET, HEAD");
    }
    let not_found = || {
        Response::text(404, &format!("{} was not found\n", request.path))
            .with("Cache-Control", "no-cache")
    };
    let Some(mut path) = below(root, &request.path) else {
        return not_found();
    };
    if path.is_dir() {
        if !request.path.ends_with('/') {
            // Without the slash, relative addresses in the page would resolve one folder too high.
            let name = request.path.rsplit('/').next().unwrap_or_default();
            return Response::text(301, "").with("Location", format!("{}/", encode(name)));
        }
        path.push("index.html");
    }
    match File::open(&path).and_then(|file| Ok((file.metadata()?, file))) {
        Ok((metadata, file)) if metadata.is_file() => send(&path, file, &metadata, request),
        _ => not_found(),
    }
}

/// The file that a path names, or `None` for anything that is not plainly inside `root`.
///
/// Hidden files are not served: they belong to the build, not to the page. Symbolic links are
/// followed, because a models folder may be one.
fn below(root: &Path, path: &str) -> Option<PathBuf> {
    let mut file = root.to_path_buf();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if segment.starts_with('.') || segment.contains(['\\', ':', '\0']) {
            return None;
        }
        file.push(segment);
    }
    // `/page.html/` names no file.
    (!path.ends_with('/') || file.is_dir()).then_some(file)
}

fn send(path: &Path, file: File, metadata: &Metadata, request: &Request) -> Response {
    let size = metadata.len();
    let tag = tag(metadata);
    let response = |status, start, length| {
        let body = Body::File {
            file,
            start,
            length,
        };
        Response {
            status,
            headers: Vec::new(),
            body,
        }
        .with("Content-Type", media_type(path))
        .with("X-Content-Type-Options", "nosniff")
        .with("Accept-Ranges", "bytes")
        // The browser caches the file but revalidates it every time: a new build must show at the
        // next reload.
        .with("Cache-Control", "no-cache")
        .with("ETag", tag.clone())
    };
    let known = request.header("if-none-match").unwrap_or_default();
    if known
        .split(',')
        .any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*")
    {
        return Response {
            body: Body::Bytes(Vec::new()),
            ..response(304, 0, 0)
        };
    }
    // After a change of the file, a range would not fit the parts that the client has already:
    // send the whole file instead.
    let unchanged = request
        .header("if-range")
        .is_none_or(|expected| expected == tag);
    match request
        .header("range")
        .filter(|_| unchanged)
        .map(|range| parse_range(range, size))
    {
        None | Some(Range::Whole) => response(200, 0, size),
        Some(Range::Part { start, end }) => response(206, start, end - start)
            .with("Content-Range", format!("bytes {start}-{}/{size}", end - 1)),
        Some(Range::Outside) => Response::text(416, "outside the file\n")
            .with("Content-Range", format!("bytes */{size}")),
    }
}

/// Entity tag: changes with every write of the file, even within one second.
fn tag(metadata: &Metadata) -> String {
    let written = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    format!("\"{:x}-{:x}\"", metadata.len(), written.as_nanos())
}

#[derive(Debug, PartialEq)]
enum Range {
    /// No range, or a form that a server may ignore (several parts, other units).
    Whole,
    /// Bytes `start .. end`.
    Part { start: u64, end: u64 },
    /// Entirely outside the file.
    Outside,
}

/// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n`; in HTTP the last position is inclusive.
fn parse_range(header: &str, size: u64) -> Range {
    let Some((first, last)) = header
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
    else {
        return Range::Whole;
    };
    let (start, end) = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(start), Ok(last)) if start <= last => (start, last.saturating_add(1).min(size)),
        (Ok(start), Err(_)) if last.trim().is_empty() => (start, size),
        (Err(_), Ok(count)) if first.trim().is_empty() => (size - count.min(size), size),
        _ => return Range::Whole,
    };
    if start < end {
        Range::Part { start, end }
    } else {
        Range::Outside
    }
}

/// Media types that browsers require (module scripts, wasm streaming, style sheets), and those of
/// files that a person may open.
fn media_type(path: &Path) -> &'static str {
    match path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
    {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" | "ts" | "wgsl" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn encode(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes()
        .map(|byte| {
            if plain(byte) {
                (byte as char).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn ranges() {
        let part = |start, end| Range::Part { start, end };
        for (header, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-5", part(2, 6)),
            ("bytes=2-", part(2, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-30", part(0, 10)),
            ("bytes=5-5000", part(5, 10)),
            ("bytes=9-18446744073709551615", part(9, 10)),
            ("bytes=10-", Range::Outside),
            ("bytes=10-12", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=5-2", Range::Whole),
            ("bytes=0-1,4-5", Range::Whole),
            ("bytes=-", Range::Whole),
            ("bytes=x-y", Range::Whole),
            ("lines=0-1", Range::Whole),
        ] {
            assert_eq!(parse_range(header, 10), expected, "{header}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Range::Outside);
    }

    #[test]
    fn an_entity_tag_changes_with_the_file() {
        let file = std::env::temp_dir().join(format!("xtask-tag-{}", std::process::id()));
        let tag_of = |contents: &str| {
            fs::write(&file, contents).unwrap();
            tag(&fs::metadata(&file).unwrap())
        };
        let first = tag_of("a");
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_ne!(first, tag_of("b"));
        assert_ne!(first, tag_of("ab"));
        fs::remove_file(&file).unwrap();
    }
}
