//! Changes to valid files: of their bytes, and of the JSON in them.

use std::ops::Range;

use super::grow::{self, Words};
use crate::support::random::Random;

/// Largest size of an input. Larger ones find nothing more.
const MAX_SIZE: usize = 1 << 17;

/// Makes one change to a file. `other` is a file of the same kind.
pub fn mutate(file: &mut Vec<u8>, words: &Words, other: &[u8], random: &mut Random) {
    match random.below(16) {
        0..=4 => bytes(file, other, random),
        _ => json(file, words, random),
    }
    file.truncate(MAX_SIZE);
}

/// Makes a change without regard to the format.
fn bytes(file: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let range = |random: &mut Random, length: usize| {
        let start = random.below(length + 1);
        start..(start + random.length(length.max(1))).min(length)
    };
    match random.below(8) {
        0 | 1 if !file.is_empty() => {
            let at = random.below(file.len());
            file[at] ^= 1 << random.below(8);
        }
        2 if !file.is_empty() => {
            let at = random.below(file.len());
            file[at] = *random.element(&[0, 0xff, 0x80, b'"', b'\\', b'{', b']', b'\n', b' ']);
        }
        3 => file.truncate(random.below(file.len() + 1)),
        4 => drop(file.drain(range(random, file.len()))),
        5 => {
            let part = file[range(random, file.len())].to_vec();
            let at = random.below(file.len() + 1);
            file.splice(at..at, part);
        }
        6 => {
            let part = other[range(random, other.len())].to_vec();
            file.splice(range(random, file.len()), part);
        }
        _ => {
            let new = grow::bytes(random, 16);
            let at = random.below(file.len() + 1);
            file.splice(at..at, new);
        }
    }
}

/// Changes a value, a key or a member, and leaves the rest well formed.
fn json(file: &mut Vec<u8>, words: &Words, random: &mut Random) {
    let mut new = Vec::new();
    let range = match random.below(8) {
        0 | 1 => {
            grow::number(random, &mut new);
            find(file, random, |byte| byte.is_ascii_digit() || byte == b'-')
        }
        2 => {
            words.string(random, &mut new);
            find(file, random, |byte| byte == b'"')
        }
        3 => {
            words.value(random, 3, &mut new);
            find(file, random, |_| true)
        }
        4 => {
            if random.once_in(16) {
                grow::crowd(random, &mut new);
            } else {
                words.value(random, 1, &mut new);
            }
            find(file, random, |byte| byte == b'[' || byte == b'{')
        }
        // One member or element less, one twice, or a new one.
        5 => find(file, random, |_| true).map(|value| {
            let comma = file[value.end..].starts_with(b",");
            value.start..value.end + usize::from(comma)
        }),
        6 => find(file, random, |_| true).map(|value| {
            let end = file[value.end..]
                .iter()
                .position(|byte| b",}]".contains(byte));
            let end = value.end + end.unwrap_or(0);
            new.push(b',');
            new.extend(&file[value.start..end]);
            end..end
        }),
        _ => find(file, random, |byte| byte == b'"').map(|key| {
            words.string(random, &mut new);
            new.push(b':');
            words.value(random, 2, &mut new);
            new.push(b',');
            key.start..key.start
        }),
    };
    match range {
        Some(range) => drop(file.splice(range, new)),
        None => file.extend(new),
    }
}

/// The next value (or key) after a random position that begins with a byte like `first`.
fn find(file: &[u8], random: &mut Random, first: impl Fn(u8) -> bool) -> Option<Range<usize>> {
    let from = random.below(file.len());
    let begins = |&at: &usize| {
        let before = file[..at]
            .last()
            .is_none_or(|byte| b"[{,: \n".contains(byte));
        let value = file[at].is_ascii_alphanumeric() || b"-\"[{".contains(&file[at]);
        before && value && first(file[at])
    };
    let start = (from..file.len())
        .find(begins)
        .or_else(|| (0..from).find(begins))?;
    Some(start..end_of_value(file, start))
}

/// The end of the value that begins at `start`; the file's end for a value that is not closed.
fn end_of_value(file: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (at, &byte) in file.iter().enumerate().skip(start) {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            if !quoted && depth == 0 {
                return at + 1;
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth <= 1 => return at + depth,
            b']' | b'}' => depth -= 1,
            b',' | b':' | b' ' | b'\n' if depth == 0 => return at,
            _ => {}
        }
    }
    file.len()
}
