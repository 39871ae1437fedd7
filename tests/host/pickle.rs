//! Pickles that would run something when PyTorch reads them: all are refused, with the reason.

use darkroom::text::embedding::Embedding;
use darkroom::weights::pickle::Pickle;

use crate::support::assert_contains;

/// A text of pickle's protocol 2.
fn text(text: &str) -> Vec<u8> {
    [
        b"X",
        &(text.len() as u32).to_le_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

/// A file of `torch.save` before version 1.6; `program` makes its value.
fn legacy(program: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let keys = b"\x80\x02]q\x00.";
    [
        magic,
        &b"\x80\x02M\xe9\x03."[..],
        b"\x80\x02}q\x00.",
        program,
        keys,
    ]
    .concat()
}

/// A file of `torch.save` from 1.6 on.
fn archive(program: &[u8]) -> Vec<u8> {
    let name = b"word/data.pkl";
    let (size, length) = (
        (program.len() as u32).to_le_bytes(),
        (name.len() as u16).to_le_bytes(),
    );
    let local = [
        b"PK\x03\x04",
        &[0; 14][..],
        &size,
        &size,
        &length,
        &[0; 2],
        name,
        program,
    ]
    .concat();
    let directory = [
        b"PK\x01\x02",
        &[0; 16][..],
        &size,
        &size,
        &length,
        &[0; 16],
        name,
    ]
    .concat();
    let end = [
        b"PK\x05\x06",
        &[0; 4][..],
        &[1, 0, 1, 0],
        &(directory.len() as u32).to_le_bytes(),
        &(local.len() as u32).to_le_bytes(),
        &[0; 2],
    ]
    .concat();
    [local, directory, end].concat()
}

#[test]
fn pickles_that_would_call_something_are_refused() {
    let command = text("touch /tmp/darkroom-was-here");
    let short = |word: &str| [&[0x8c, word.len() as u8][..], word.as_bytes()].concat();
    let programs: Vec<(&str, Vec<u8>, &str)> = vec![
        (
            "REDUCE",
            [b"cos\nsystem\n(", &command[..], b"tR."].concat(),
            "os.system",
        ),
        (
            "STACK_GLOBAL",
            [
                &short("os")[..],
                &short("system"),
                b"\x93",
                &command,
                b"\x85R.",
            ]
            .concat(),
            "os.system",
        ),
        (
            "INST",
            [b"(", &command[..], b"ios\nsystem\n."].concat(),
            "0x69",
        ),
        (
            "OBJ",
            [b"(cos\nsystem\n", &command[..], b"o."].concat(),
            "os.system",
        ),
        (
            "OBJ of a tensor's function",
            [b"(ctorch._utils\n_rebuild_tensor_v2\n", &command[..], b"o."].concat(),
            "0x6f",
        ),
        (
            "NEWOBJ",
            [b"csubprocess\nPopen\n", &command[..], b"\x85\x81."].concat(),
            "subprocess.Popen",
        ),
        (
            "NEWOBJ_EX",
            [b"ccollections\nOrderedDict\n)", &b"}\x92."[..]].concat(),
            "0x92",
        ),
        ("EXT1", b"\x82\x01.".to_vec(), "0x82"),
        ("EXT2", b"\x83\x01\x00.".to_vec(), "0x83"),
        ("EXT4", b"\x84\x01\x00\x00\x00.".to_vec(), "0x84"),
        ("PERSID", b"Pos.system\n.".to_vec(), "0x50"),
        ("BINPERSID", [&command[..], b"Q."].concat(), "no storage"),
        (
            "BUILD",
            [b"cbuiltins\nobject\n", &b"}b."[..]].concat(),
            "builtins.object",
        ),
        (
            "getattr",
            [b"cbuiltins\ngetattr\n", &b"."[..]].concat(),
            "builtins.getattr",
        ),
        (
            "a dotted name",
            b"ctorch\n_utils.os.system\n.".to_vec(),
            "torch._utils.os.system",
        ),
        (
            "a function of torch",
            b"ctorch.hub\nload\n.".to_vec(),
            "torch.hub.load",
        ),
        (
            "a storage that is called",
            [b"ctorch\nFloatStorage\n", &command[..], b"\x85R."].concat(),
            "no function of tensors",
        ),
        ("NEXT_BUFFER", b"\x97.".to_vec(), "0x97"),
    ];
    for (what, program, reason) in programs {
        let program = [&b"\x80\x02"[..], &program].concat();
        for bytes in [archive(&program), legacy(&program)] {
            let error = Pickle::read("word.pt", &bytes).map(drop).expect_err(what);
            assert_contains(&error.to_string(), &["word.pt", reason]);
            let error = Embedding::read(None, "word.pt", "word.pt", &bytes).expect_err(what);
            assert_contains(&error.to_string(), &["word.pt", reason]);
        }
    }
    assert!(!std::path::Path::new("/tmp/darkroom-was-here").exists());
}

#[test]
fn instructions_that_are_not_known_are_refused_one_and_all() {
    // Instructions that build numbers, texts, lists and dictionaries, and references to them.
    let harmless: &[u8] = b"(.012]}GJKMNQRTUXBC)abcdehjlqrstu\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\
        \x93\x94\x95";
    for code in (0..=255u8).filter(|code| !harmless.contains(code)) {
        let bytes = archive(&[0x80, 2, code, b'.']);
        let error = Pickle::read("word.pt", &bytes)
            .map(drop)
            .expect_err("an instruction");
        assert_contains(
            &error.to_string(),
            &[&format!("0x{code:02x}"), "nothing was run"],
        );
    }
}

#[test]
fn damaged_files_are_named() {
    let read = |bytes: &[u8]| {
        let error = Pickle::read("word.pt", bytes)
            .map(drop)
            .expect_err("a damaged file");
        error.to_string()
    };
    let whole = archive(b"\x80\x02}.");
    assert!(Pickle::read("word.pt", &whole).is_ok());
    assert_contains(
        &read(&whole[..whole.len() - 30]),
        &["word.pt", "ends too early"],
    );
    assert_contains(&read(&archive(b"\x80\x02}")), &["ends too early"]);
    assert_contains(&read(&archive(b"\x80\x020.")), &["empty stack"]);
    assert_contains(&read(b"\x80\x02}."), &["no magic number"]);
    let mut compressed = whole.clone();
    let directory = whole
        .windows(4)
        .position(|part| part == b"PK\x01\x02")
        .expect("there");
    compressed[directory + 10] = 8;
    assert_contains(&read(&compressed), &["compressed"]);
}
