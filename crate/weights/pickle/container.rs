//! Places of the program and of the tensors in a file of `torch.save`.

use std::ops::Range;

use super::machine::Program;

/// A program, and the bytes of each storage by its key.
type Contents = (Program, Vec<(String, Range<usize>)>);

/// Bytes of the record at the end of a ZIP archive.
const END: usize = 22;
/// Longest comment behind that record.
const MAX_COMMENT: usize = 65535;
/// First number in a file without archive.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Maximum number of storages that are read.
const MAX_STORAGES: usize = 64;

/// A number of `N` bytes at `at`.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<usize, String> {
    let part = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    let part = part.ok_or("the ZIP archive ends too early")?;
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(part);
    usize::try_from(u64::from_le_bytes(wide)).map_err(|_| "a number is impossible".into())
}

/// Reads a ZIP archive: `name/data.pkl`, and `name/data/0` and so on for the storages.
pub(super) fn read_archive(bytes: &[u8]) -> Result<Contents, String> {
    let files = files(bytes)?;
    let program = files.iter().find(|(name, _)| name.ends_with("/data.pkl"));
    let (name, range) =
        program.ok_or("the ZIP archive has no data.pkl, as torch.save writes it")?;
    let (program, _) = Program::run(&bytes[range.clone()])?;
    let folder = format!("{}/data/", name.trim_end_matches("/data.pkl"));
    let storage = |(name, range): &(String, Range<usize>)| {
        Some((name.strip_prefix(&folder)?.to_string(), range.clone()))
    };
    let storages = files.iter().filter_map(storage).take(MAX_STORAGES);
    Ok((program, storages.collect()))
}

/// The files of an archive. torch.save compresses none of them.
fn files(bytes: &[u8]) -> Result<Vec<(String, Range<usize>)>, String> {
    let first = bytes.len().saturating_sub(END + MAX_COMMENT);
    let tail = &bytes[first..];
    let end = tail.windows(4).rposition(|window| window == b"PK\x05\x06");
    let end = first + end.ok_or("the ZIP archive ends too early")?;
    let (count, mut at) = (number::<2>(bytes, end + 10)?, number::<4>(bytes, end + 16)?);
    let mut files = Vec::new();
    for _ in 0..count {
        if number::<4>(bytes, at)? != 0x0201_4b50 {
            return Err("the ZIP archive has a malformed list of files".into());
        }
        let [name, extra, comment] = [
            number::<2>(bytes, at + 28)?,
            number::<2>(bytes, at + 30)?,
            number::<2>(bytes, at + 32)?,
        ];
        let size = number::<4>(bytes, at + 20)?;
        let local = number::<4>(bytes, at + 42)?;
        let text = bytes.get(at + 46..at + 46 + name);
        let text = String::from_utf8_lossy(text.ok_or("the ZIP archive ends too early")?);
        if number::<2>(bytes, at + 10)? != 0 {
            return Err(format!(
                "{text} in the ZIP archive is compressed, unlike torch.save's"
            ));
        }
        let start = local
            + 30
            + number::<2>(bytes, local.saturating_add(26))?
            + number::<2>(bytes, local.saturating_add(28))?;
        let range = start..start.saturating_add(size);
        if range.end > bytes.len() {
            return Err(format!("{text} in the ZIP archive ends behind the file"));
        }
        files.push((text.into_owned(), range));
        at += 46 + name + extra + comment;
    }
    Ok(files)
}

/// Reads a file without archive: a magic number, the version, the writing system, the value, the
/// keys of the storages, and each storage behind its number of elements.
pub(super) fn read_legacy(bytes: &[u8]) -> Result<Contents, String> {
    if !bytes
        .get(..32)
        .unwrap_or(bytes)
        .windows(MAGIC.len())
        .any(|part| part == MAGIC)
    {
        return Err("not a file of torch.save: it has no magic number".into());
    }
    let mut at = 0;
    let mut next = || -> Result<Program, String> {
        let (program, length) = Program::run(&bytes[at..])?;
        at += length;
        Ok(program)
    };
    for _ in 0..3 {
        next()?;
    }
    let (program, keys) = (next()?, next()?);
    let mut storages = Vec::new();
    for key in keys.texts().take(MAX_STORAGES) {
        let size = program
            .element_size(key)
            .ok_or("a storage belongs to no tensor")?;
        let start = at + 8;
        let length = number::<8>(bytes, at)?.checked_mul(size);
        let end = length.and_then(|length| start.checked_add(length));
        let end = end
            .filter(|&end| end <= bytes.len())
            .ok_or("a storage ends behind the file")?;
        storages.push((key.to_string(), start..end));
        at = end;
    }
    Ok((program, storages))
}
