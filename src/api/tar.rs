//! Tar files by their blocks: what all readers and writers of them here have in common.
//!
//! What is written begins with bytes of our own. Engines tell by the first bytes whether a file is compressed, and in a tar
//! file those are a name, which its maker chooses: one file could be read as two.

/// A tar file is made of blocks of this many bytes
pub const BLOCK: usize = 512;
/// Most bytes of an extended header
pub const MAX_EXTENDED: u64 = 64 << 10;
/// How long a name in a plain header may be
pub const NAME: usize = 100;

/// Why a block is no header
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoHeader {
    /// It begins like a file that is compressed so
    Compressed(&'static str),
    /// Its checksum is another
    Checksum,
}

/// Holds a header against its checksum
///
/// # Errors
/// When it is none.
pub fn check(block: &[u8]) -> Result<(), NoHeader> {
    if octal(field(block, 148, 8)) == Some(sum(block)) {
        return Ok(());
    }
    let known = COMPRESSED.iter().find(|(magic, _)| block.starts_with(magic));
    Err(known.map_or(NoHeader::Checksum, |(_, name)| NoHeader::Compressed(name)))
}

/// Some bytes of a block
pub fn field(block: &[u8], from: usize, length: usize) -> &[u8] {
    block.get(from..from + length).unwrap_or_default()
}

/// A field up to its first NUL
pub fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    field.get(..end).unwrap_or_default()
}

/// The name in a plain header, with its prefix; GNU tar has other things in that place
pub fn name(block: &[u8]) -> Vec<u8> {
    let name = text(field(block, 0, NAME));
    if field(block, 257, 6) == b"ustar\0" && field(block, 345, 1) != [0] {
        return [text(field(block, 345, 155)), name].join(&b'/');
    }
    name.to_vec()
}

/// An octal number, padded with spaces and ended by space or NUL
pub fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() {
        return Some(0);
    }
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| u64::from_str_radix(text, 8).ok()).flatten()
}

/// The same, or GNU tar's binary number
pub fn number(field: &[u8]) -> Option<u64> {
    let [0x80, rest @ ..] = field else { return octal(field) };
    let (zeros, last) = rest.split_at_checked(rest.len().saturating_sub(8))?;
    let value = last.iter().fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
    (zeros.iter().all(|byte| *byte == 0) && value < 1 << 62).then_some(value)
}

/// Writes bytes into a block
pub fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in block.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

/// Writes a number into a field: octal digits and a NUL, or where they do not suffice GNU tar's binary number
pub fn put_number(block: &mut [u8], at: usize, length: usize, value: u64) {
    let digits = length - 1;
    let text = format!("{value:0digits$o}\0");
    if text.len() == length {
        return put(block, at, text.as_bytes());
    }
    let binary = value.to_be_bytes();
    let fits = binary.len().min(length - 1);
    put(block, at, &vec![0; length]);
    put(block, at, &[0x80]);
    put(block, at + length - fits, binary.get(binary.len() - fits..).unwrap_or_default());
}

/// Writes the checksum of a header
pub fn seal(block: &mut [u8]) {
    let sum = sum(block);
    put(block, 148, format!("{sum:06o}\0 ").as_bytes());
}

/// The sum of a header; it counts its own field as spaces
fn sum(block: &[u8]) -> u64 {
    let all = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
    all(block) - all(field(block, 148, 8)) + 8 * u64::from(b' ')
}

/// Records of an extended header (POSIX `pax`): `LENGTH KEY=VALUE\n`, many times; none if they are broken
pub fn records(mut content: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut records = Vec::new();
    while !content.is_empty() {
        let digits = content.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(content.get(..digits)?).ok()?.parse().ok()?;
        let pair = content.get(digits + 1..length)?.strip_suffix(b"\n")?;
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        records.push((std::str::from_utf8(pair.get(..equals)?).ok()?, pair.get(equals + 1..)?));
        content = content.get(length..)?;
    }
    Some(records)
}

/// Writes an extended header for the file that comes next
pub fn put_records<'a>(records: impl IntoIterator<Item = (&'a str, &'a [u8])>, out: &mut Vec<u8>) {
    let mut content = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        // The length counts its own digits.
        let length = (1..=20).map(|digits| rest + digits).find(|length| length.to_string().len() + rest == *length);
        content.extend_from_slice(format!("{} {key}=", length.unwrap_or(rest)).as_bytes());
        content.extend_from_slice(value);
        content.push(b'\n');
    }
    let mut block = [0; BLOCK];
    put(&mut block, 0, b"PaxHeader");
    for at in [100, 108, 116] {
        put_number(&mut block, at, 8, 0);
    }
    put_number(&mut block, 124, 12, content.len() as u64);
    put_number(&mut block, 136, 12, 0);
    put(&mut block, 156, b"x");
    put(&mut block, 257, b"ustar\x0000");
    seal(&mut block);
    out.extend_from_slice(&block);
    out.extend_from_slice(&content);
    out.resize(out.len() + padding(content.len() as u64) as usize, 0);
}

/// Begins a file with bytes that nobody else chooses: an extended header that says nothing
pub fn open(out: &mut Vec<u8>) {
    put_records([OPENING], out);
}

/// Ends a file
pub fn close(out: &mut Vec<u8>) {
    out.resize(out.len() + 2 * BLOCK, 0);
}

/// How many bytes follow content up to the end of its last block
pub fn padding(size: u64) -> u64 {
    (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64
}

/// The path without `.` and doubled slashes; none if it leads up
pub fn clean(name: &[u8]) -> Option<Vec<u8>> {
    let parts = || name.split(|byte| *byte == b'/');
    if parts().any(|part| part == b"..") {
        return None;
    }
    Some(parts().filter(|part| !matches!(*part, b"" | b".")).collect::<Vec<_>>().join(&b'/'))
}

/// Moves bytes of a piece into a block until that is full, and returns the rest
pub fn fill<'a>(block: &mut Vec<u8>, piece: &'a [u8]) -> &'a [u8] {
    let (part, rest) = split(piece, (BLOCK - block.len()) as u64);
    block.extend_from_slice(part);
    rest
}

/// What there is of a file's content in a piece, and what comes after that and its padding
pub fn take<'a>(piece: &'a [u8], left: &mut u64, padding: &mut u64) -> (&'a [u8], &'a [u8]) {
    let (part, rest) = split(piece, *left);
    *left -= part.len() as u64;
    let (skipped, rest) = split(rest, if *left == 0 { *padding } else { 0 });
    *padding -= skipped.len() as u64;
    (part, rest)
}

/// The same, written: the content as it is, and for its padding zeros
pub fn pass<'a>(piece: &'a [u8], left: &mut u64, padding: &mut u64, out: &mut Vec<u8>) -> (&'a [u8], &'a [u8]) {
    let (part, rest) = take(piece, left, padding);
    out.extend_from_slice(part);
    out.resize(out.len() + piece.len() - part.len() - rest.len(), 0);
    (part, rest)
}

fn split(piece: &[u8], most: u64) -> (&[u8], &[u8]) {
    piece.split_at(usize::try_from(most).unwrap_or(usize::MAX).min(piece.len()))
}

/// A record that changes nothing, for the first file
pub const OPENING: (&str, &[u8]) = ("comment", b"sockwarden");
/// How compressed files begin that the engine would unpack and that are not read here
const COMPRESSED: &[(&[u8], &str)] = &[(b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back_as_they_were_written() {
        for length in [0, 1, 88, 89, 90, 91, 92, 987, 988, 989, 9_990] {
            let value = vec![b'\n'; length];
            let mut out = Vec::new();
            put_records([("path", &*value), ("comment", b"=")], &mut out);
            assert_eq!(check(&out[..BLOCK]), Ok(()));
            let size = number(field(&out, 124, 12)).unwrap() as usize;
            let expected: Vec<(&str, &[u8])> = vec![("path", &value), ("comment", b"=")];
            assert_eq!(records(&out[BLOCK..BLOCK + size]), Some(expected), "{length}");
        }
    }

    #[test]
    fn numbers_read_back_as_they_were_written() {
        for value in [0, 7, 0o777_7777, 0o1000_0000, u64::from(u32::MAX), (1 << 33) - 1, 1 << 33, 1 << 40] {
            for length in [8, 12] {
                let mut block = [b'x'; BLOCK];
                put_number(&mut block, 4, length, value);
                assert_eq!(number(field(&block, 4, length)), Some(value), "{length}");
                assert_eq!((block[3], block[4 + length]), (b'x', b'x'));
            }
        }
    }

    #[test]
    fn broken_records_are_none() {
        for broken in ["x", "9 a=b", "7 a=b\n", "5 a=b\n", "5 ab\n", "-1 a=b\n", " a=b\n", "2 \n", "0 a=b\n"] {
            assert_eq!(records(broken.as_bytes()), None, "{broken:?}");
        }
        assert_eq!(records(b"").map(|records| records.len()), Some(0));
    }
}
