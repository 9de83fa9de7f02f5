//! The smallest tar archive: regular files, as build contexts and uploads need them.

/// An archive of files by name
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[108..115].copy_from_slice(b"0000000");
        header[116..123].copy_from_slice(b"0000000");
        header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        header[136..147].copy_from_slice(b"00000000000");
        header[148..156].copy_from_slice(b"        ");
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend(header);
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// The files of an archive by name, as engines write it: short names, sizes in octal
pub fn files(mut archive: &[u8]) -> Vec<(String, &[u8])> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_matches(['\0', ' ']).to_owned();
    let mut files = Vec::new();
    while archive.len() > 512 && archive[0] != 0 {
        let size = usize::from_str_radix(&text(&archive[124..136]), 8).unwrap();
        files.push((text(&archive[..100]), &archive[512..512 + size]));
        archive = &archive[512 + size.next_multiple_of(512)..];
    }
    files
}

/// An entry of any kind, as tools or attackers write it
pub fn entry(name: &[u8], kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut entry = tar(&[("", content)]);
    entry.truncate(512 + content.len().next_multiple_of(512));
    entry[..name.len()].copy_from_slice(name);
    entry[156] = kind;
    entry[157..157 + link.len()].copy_from_slice(link.as_bytes());
    entry[148..156].fill(b' ');
    let sum: u32 = entry[..512].iter().map(|byte| u32::from(*byte)).sum();
    entry[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    entry
}

/// Entries, and the end of their archive
pub fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

/// An archive of one file of no interest, which engines with zstd take for `inner`
///
/// Its name is how a frame begins that is to be skipped, up to where `inner` stands in the file.
pub fn disguised(inner: &[u8]) -> Vec<u8> {
    const SKIPPED: usize = 0x278;
    // A frame with its length, and blocks as they are.
    let mut zstd = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    zstd.extend_from_slice(&u32::try_from(inner.len()).unwrap().to_le_bytes());
    let mut blocks = inner.chunks(1 << 16).peekable();
    while let Some(block) = blocks.next() {
        let last = u32::from(blocks.peek().is_none());
        zstd.extend_from_slice(&(last | u32::try_from(block.len()).unwrap() << 3).to_le_bytes()[..3]);
        zstd.extend_from_slice(block);
    }
    let name = [b"P*M\x18", &u32::try_from(SKIPPED).unwrap().to_le_bytes()[..]].concat();
    entry(&name, b'0', "", &[vec![0; SKIPPED + 8 - 512], zstd].concat())
}
