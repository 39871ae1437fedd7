//! Generated inputs: bytes, JSON and text, with everything that is difficult for parsers.

use crate::support::random::Random;

/// Numbers at the limits of the types they may become, and some that no type can represent.
const NUMBERS: [&str; 44] = [
    "0",
    "-0",
    "-1",
    "1",
    "2",
    "3",
    "4",
    "8",
    "32",
    "64",
    "77",
    "128",
    "255",
    "256",
    "320",
    "1000",
    "1024",
    "4096",
    "65535",
    "65536",
    "65537",
    "99999",
    "100000",
    "1048576",
    "16777216",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "1000000000000",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e308",
    "-1e308",
    "1e309",
    "5e-324",
    "0.5",
    "0.999999999",
    "1.5E2",
    "NaN",
];

/// Strings, in quotes, besides those of a target.
const STRINGS: [&str; 14] = [
    r#""""#,
    r#""a""#,
    r#""..""#,
    r#""../../../etc/passwd""#,
    r#""/""#,
    r#""C:\\secret""#,
    r#""\u0000""#,
    r#""\ud800""#,
    r#""\ud83d\ude00""#,
    r#""İ\u0301é""#,
    r#"" ""#,
    r#""__metadata__""#,
    r#""\"\\\/\b\f\n\r\t""#,
    r#""-Infinity""#,
];

/// Small values that take much memory, or stack for each level.
const CROWDS: [&str; 12] = [
    "0,",
    "[],",
    "{},",
    "\"\",",
    "null,",
    "1e0,",
    "{\"\":0},",
    "[0],",
    "[[]],",
    "{\"\":{\"\":0}},",
    "\"\\u0001\",",
    "[\"\",\"\"],",
];

/// Strings in quotes for generated inputs, from the files of a target.
#[derive(Default)]
pub struct Words(pub Vec<Vec<u8>>);

impl Words {
    /// The strings in `files`, each once.
    pub fn of<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut words: Vec<Vec<u8>> = Vec::new();
        for file in files {
            let mut quotes =
                (0..file.len()).filter(|&i| file[i] == b'"' && (i == 0 || file[i - 1] != b'\\'));
            while let (Some(start), Some(end)) = (quotes.next(), quotes.next()) {
                words.push(file[start..=end].to_vec());
            }
        }
        words.sort();
        words.dedup();
        Words(words)
    }

    /// Appends a string in quotes.
    pub fn string(&self, random: &mut Random, out: &mut Vec<u8>) {
        match random.below(16) {
            0..=8 if !self.0.is_empty() => out.extend(random.element(&self.0)),
            9 => {
                out.push(b'"');
                let length = random.length(4096);
                out.extend(std::iter::repeat_n(random.byte().max(b'#'), length));
                out.push(b'"');
            }
            10 => {
                out.push(b'"');
                out.extend((0..random.length(64)).map(|_| random.byte()));
                out.push(b'"');
            }
            11 => {
                out.push(b'"');
                out.extend(text(random, 40).replace(['"', '\\'], "'").into_bytes());
                out.push(b'"');
            }
            _ => out.extend(random.pick(&STRINGS).bytes()),
        }
    }

    /// Appends a JSON value of any kind.
    pub fn value(&self, random: &mut Random, depth: usize, out: &mut Vec<u8>) {
        match random.below(if depth == 0 { 10 } else { 16 }) {
            0..=4 => number(random, out),
            5..=7 => self.string(random, out),
            8 => out.extend(random.pick(&["true", "false", "null"]).bytes()),
            9 => match random.below(24) {
                0 => crowd(random, out),
                1 => nest(random, out),
                _ => number(random, out),
            },
            10..=12 => {
                out.push(b'[');
                for i in 0..random.below(6) {
                    if i > 0 {
                        out.push(b',');
                    }
                    self.value(random, depth - 1, out);
                }
                out.push(b']');
            }
            _ => self.object(random, depth - 1, out),
        }
    }

    /// Appends a JSON object.
    pub fn object(&self, random: &mut Random, depth: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        for i in 0..random.below(8) {
            if i > 0 {
                out.push(b',');
            }
            self.string(random, out);
            out.push(b':');
            self.value(random, depth, out);
        }
        out.push(b'}');
    }
}

/// Appends a number, or text that is close to one.
pub fn number(random: &mut Random, out: &mut Vec<u8>) {
    match random.below(8) {
        0..=3 => out.extend(random.pick(&NUMBERS).bytes()),
        4 => out.extend(random.next().to_string().bytes()),
        5 => out.extend(f64::from_bits(random.next()).to_string().bytes()),
        _ => out.extend(random.length(4096).to_string().bytes()),
    }
}

/// Appends a list, or an object, of many small values.
pub fn crowd(random: &mut Random, out: &mut Vec<u8>) {
    let count = random.length(2048);
    if random.once_in(3) {
        out.push(b'{');
        for i in 0..count {
            let value = random.pick(&["0", "\"\"", "[]", "{\"\":0}"]);
            out.extend(format!("\"{i:x}\":{value},").bytes());
        }
        out.pop();
        out.push(b'}');
    } else {
        out.push(b'[');
        out.extend(random.pick(&CROWDS).repeat(count).bytes());
        out.pop();
        out.push(b']');
    }
}

/// Appends brackets within brackets, closed or not.
fn nest(random: &mut Random, out: &mut Vec<u8>) {
    let depth = random.length(20_000);
    let (open, close) = *random.element(&[("[", "]"), ("{\"\":", "}"), ("[[],", "]")]);
    out.extend(open.repeat(depth).bytes());
    if random.once_in(2) {
        out.push(b'0');
        out.extend(close.repeat(depth).bytes());
    }
}

/// Random bytes, or characters of JSON.
pub fn bytes(random: &mut Random, most: usize) -> Vec<u8> {
    let count = random.length(most) - 1;
    if random.once_in(2) {
        (0..count).map(|_| random.byte()).collect()
    } else {
        let signs = b"{}[]\":,0123456789.eE+- \n\\abcdefNInu#";
        (0..count).map(|_| *random.element(signs)).collect()
    }
}

/// A random text: letters of all planes, white space, combining characters, parts of tokens.
pub fn text(random: &mut Random, most: usize) -> String {
    const PIECES: [&str; 14] = [
        " ",
        "  ",
        "a",
        "photo of a man, ",
        "<|startoftext|>",
        "<|endoftext|>",
        "'s",
        "'ll",
        "\u{301}",
        "\n\t",
        "1",
        "!!",
        "\u{200d}",
        "İ",
    ];
    const PLANES: [u32; 5] = [0x80, 0x300, 0x3000, 0x1_0000, 0x11_0000];
    let plane = *random.element(&PLANES);
    let mut text = String::new();
    for _ in 0..random.length(most) - 1 {
        if random.once_in(3) {
            text += random.pick(&PIECES);
        } else {
            text.extend(char::from_u32(random.below(plane as usize) as u32));
        }
    }
    text
}
