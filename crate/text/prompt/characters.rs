//! White space, word characters and digits as the regular expressions of the web UI, which are
//! Python's, tell them apart.

/// True for white space. Unicode's property lacks the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// True for what can be part of a word. (Python leaves out signs that only combine with letters.)
pub(in crate::text) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `text` without white space at its end.
pub(super) fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// `text` without white space at its beginning.
pub(super) fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// Byte positions of `word` where it stands alone, not within a longer word.
pub(super) fn whole_words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let before = text[..at].chars().next_back();
            let after = text[at + word.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
}

/// Zeros of the scripts that write decimal numbers with ten digits of their own, in order.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// The value of a decimal digit of any script.
pub(super) fn digit(c: char) -> Option<u8> {
    let c = u32::from(c);
    let zero = ZEROS.partition_point(|&zero| zero <= c).checked_sub(1)?;
    u8::try_from(c - ZEROS[zero])
        .ok()
        .filter(|&digit| digit < 10)
}

/// A number of digits, at most one point and perhaps a sign.
pub(super) fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.chars().all(|c| c == '.' || digit(c).is_some()) {
        return None;
    }
    let ascii = |c| digit(c).map_or(c, |digit| char::from(b'0' + digit));
    text.chars().map(ascii).collect::<String>().parse().ok()
}
