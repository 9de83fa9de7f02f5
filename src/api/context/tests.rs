//! Contexts as tools write them, and as attackers would.

use super::*;

/// What is in a header besides the name
struct Head<'a> {
    kind: u8,
    link: &'a str,
    content: &'a [u8],
}

fn entry(name: &[u8], Head { kind, link, content }: Head<'_>) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    tar::put(&mut block, 0, name);
    tar::put_number(&mut block, 100, 8, 0o640);
    tar::put_number(&mut block, 108, 8, 1000);
    tar::put_number(&mut block, 116, 8, 100);
    tar::put_number(&mut block, 124, 12, content.len() as u64);
    tar::put_number(&mut block, 136, 12, 1_700_000_000);
    tar::put(&mut block, 156, &[kind]);
    tar::put(&mut block, 157, link.as_bytes());
    tar::put(&mut block, 257, b"ustar\x0000me");
    tar::put_number(&mut block, 329, 8, 0);
    tar::put_number(&mut block, 337, 8, 0);
    tar::seal(&mut block);
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(BLOCK), 0);
    block
}

fn file(name: &str, content: &str) -> Vec<u8> {
    entry(name.as_bytes(), Head { kind: b'0', link: "", content: content.as_bytes() })
}

fn other(name: &str, kind: u8, link: &str) -> Vec<u8> {
    entry(name.as_bytes(), Head { kind, link, content: b"" })
}

fn extended(kind: u8, content: &[u8]) -> Vec<u8> {
    entry(b"x", Head { kind, link: "", content })
}

fn record(key: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    tar::put_records([(key, value.as_bytes())], &mut out);
    out
}

fn ended(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 2 * BLOCK]].concat()
}

/// What goes on, what follows at the end, and the Dockerfile, however the context is cut
type Read = (Vec<u8>, Vec<u8>, String);

fn read_at(path: &str, bytes: &[u8]) -> Result<Read, BadContext> {
    let mut results = [1, 7, 512, 513, 100_000].map(|length| {
        let mut context = BuildContext::new(path, 1 << 16)?;
        let (mut passed, mut last, mut told) = (Vec::new(), Vec::new(), Vec::new());
        for piece in bytes.chunks(length) {
            context.push(piece, &mut passed)?;
            told.extend(context.dockerfile());
        }
        context.finish(&mut last)?;
        told.extend(context.dockerfile());
        assert_eq!(told.len(), 1, "the Dockerfile is told once");
        Ok((passed, last, String::from_utf8(told.remove(0)).unwrap()))
    });
    assert!(results.windows(2).all(|two| two[0] == two[1]), "the result hangs on how the context was cut");
    std::mem::replace(&mut results[0], Ok(Default::default()))
}

fn read(bytes: &[u8]) -> Result<Read, BadContext> {
    read_at("", bytes)
}

/// Why it is refused
fn why(entries: &[Vec<u8>]) -> String {
    read(&ended(entries)).expect_err("it was read").to_string()
}

#[test]
fn the_dockerfile_is_the_last_file_once_more() {
    let rest = || [other("src/", b'5', ""), file("src/main.c", "int x;"), other("current", b'2', "src")];
    let (passed, last, dockerfile) = read(&ended(&[&[file("Dockerfile", "FROM a\n")], &rest()[..]].concat())).unwrap();
    assert_eq!(dockerfile, "FROM a\n");
    // The first file begins with a header of our own.
    let again = &passed[..2 * BLOCK + 2 * BLOCK];
    assert!(last == [again, &[0; 2 * BLOCK]].concat());
    assert!(passed[4 * BLOCK..] == rest().concat(), "the rest goes on as it came");
}

#[test]
fn what_is_written_is_read_again_as_the_same() {
    for context in SEEDS {
        let (passed, last, dockerfile) = read(&context[1..]).unwrap();
        let again = read(&[&passed, &[0; 2 * BLOCK][..]].concat());
        assert_eq!(again, Ok((passed, last, dockerfile)));
    }
}

/// Python's tarfile wrote them; the first byte is the fuzzer's
const SEEDS: &[&[u8]] = &[
    include_bytes!("../../../fuzz/seeds/context/gnu"),
    include_bytes!("../../../fuzz/seeds/context/pax"),
    include_bytes!("../../../fuzz/seeds/context/ustar"),
];

#[test]
fn names_of_any_length_and_of_any_bytes_stay_as_they_are() {
    let long = format!("{}/x", "y".repeat(200));
    for (entries, name) in [
        (vec![extended(b'L', format!("{long}\0").as_bytes()), file("y", "1")], long.as_bytes()),
        (vec![record("path", &long), file("y", "1")], long.as_bytes()),
        (vec![entry(b"\xff\xfe", Head { kind: b'0', link: "", content: b"1" })], b"\xff\xfe"),
    ] {
        let (passed, ..) = read(&ended(&[&[file("Dockerfile", "")], &entries[..]].concat())).unwrap();
        let mut again = BuildContext::new("", 1 << 16).unwrap();
        again.push(&passed, &mut Vec::new()).unwrap();
        assert!(again.files.contains(&hash(name)), "{}", name.escape_ascii());
    }
}

#[test]
fn what_the_engine_keeps_is_kept_and_the_rest_is_not() {
    let mut records = Vec::new();
    let capability: &[u8] = b"\x01\0\0\x02\n\xff";
    tar::put_records(
        [
            ("mtime", &b"1700000000.5"[..]),
            ("uid", b"4000000"),
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.security.selinux", b"x"),
            ("LIBARCHIVE.creationtime", b"1"),
            ("comment", b"x"),
        ],
        &mut records,
    );
    let (passed, ..) = read(&ended(&[file("Dockerfile", ""), records, file("bin", "")])).unwrap();
    let kept = &passed[3 * BLOCK..];
    let size = tar::number(tar::field(kept, 124, 12)).unwrap() as usize;
    let expected: Vec<(&str, &[u8])> =
        vec![("mtime", b"1700000000.5"), ("SCHILY.xattr.security.capability", capability)];
    assert_eq!(tar::records(&kept[BLOCK..BLOCK + size]), Some(expected));
    let header = &kept[2 * BLOCK..3 * BLOCK];
    let numbers =
        [(100, 8), (108, 8), (116, 8), (136, 12)].map(|(at, length)| tar::number(tar::field(header, at, length)));
    assert_eq!(numbers, [0o640, 4_000_000, 100, 1_700_000_000].map(Some));
}

#[test]
fn the_dockerfile_is_found_where_the_engine_looks() {
    let context = ended(&[file("./a//Dockerfile.dev", "FROM a\n"), file("dockerfile", "FROM b\n")]);
    for path in ["a/Dockerfile.dev", "./a//Dockerfile.dev", "/a/./Dockerfile.dev"] {
        assert_eq!(read_at(path, &context).unwrap().2, "FROM a\n", "{path}");
    }
    for path in ["", "Dockerfile", "dockerfile"] {
        assert_eq!(read_at(path, &context).unwrap().2, "FROM b\n", "{path}");
    }
    // The engine looks for another name only where it was given none.
    assert_eq!(read_at("./Dockerfile", &context), Err(BadContext::Missing("Dockerfile".to_owned())));
    let both = ended(&[file("dockerfile", "FROM b\n"), file("Dockerfile", "FROM a\n")]);
    assert_eq!(read(&both).unwrap().2, "FROM a\n");
    for path in ["../Dockerfile", "a/../Dockerfile", "/", ".", "a\0b"] {
        assert_eq!(read_at(path, &context), Err(BadContext::Outside(path.to_owned())));
    }
}

#[test]
fn no_other_file_comes_in_the_dockerfiles_place() {
    let evil = || file("Dockerfile", "FROM evil\n");
    let good = || file("Dockerfile", "FROM a\n");
    for (what, entries, said) in [
        ("none", vec![file("Dockerfile.dev", "")], "no Dockerfile `Dockerfile`"),
        ("none at all", vec![], "no Dockerfile"),
        ("two", vec![good(), evil()], "is there twice"),
        ("two spellings", vec![good(), file("./Dockerfile", "")], "is there twice"),
        ("an extended name", vec![good(), record("path", "Dockerfile"), file("x", "")], "is there twice"),
        ("a long name", vec![good(), extended(b'L', b"Dockerfile\0"), file("x", "")], "is there twice"),
        ("a link", vec![other("Dockerfile", b'2', "evil")], "no plain file"),
        ("a hard link", vec![file("evil", ""), other("Dockerfile", b'1', "evil")], "no plain file"),
        ("a pipe", vec![other("Dockerfile", b'6', "")], "no plain file"),
        ("a directory", vec![other("Dockerfile", b'5', "")], "no plain file"),
        ("a directory by its name", vec![file("Dockerfile/", "")], "no plain file"),
        ("a file below a link", vec![good(), other("x", b'2', "."), file("x/Dockerfile", "")], "below a link"),
        ("a link below a link", vec![other("x", b'2', "."), other("x/y/z", b'2', "/")], "below a link"),
        ("above", vec![file("x/../Dockerfile", "")], "leads out"),
        ("larger than is read", vec![file("Dockerfile", &"#".repeat(70_000))], "`body_bytes`"),
    ] {
        assert!(why(&entries).contains(said), "{what}: {}", why(&entries));
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let twice = || [record("path", "a"), record("path", "b"), file("x", "")].to_vec();
    for (what, entries, said) in [
        ("two extended headers", twice(), "two headers"),
        ("two long names", vec![extended(b'L', b"a\0"), extended(b'L', b"b\0"), file("x", "")], "two headers"),
        ("an empty long name", vec![extended(b'L', b"\0a"), file("x", "")], "long name is empty"),
        ("a record twice", vec![extended(b'x', b"8 path=a8 path=b"), file("x", "")], "broken"),
        ("one record twice", vec![extended(b'x', b"9 path=a\n9 path=b\n"), file("x", "")], "there twice"),
        ("an empty name", vec![record("path", ""), file("x", "")], "is empty"),
        ("a size that is none", vec![record("size", "+1"), file("x", "")], "no number"),
        ("a time that is none", vec![record("mtime", "1e9"), file("x", "")], "no time"),
        ("sparse", vec![record("GNU.sparse.major", "1"), file("x", "")], "not known"),
        ("sparse, as GNU tar's own", vec![other("x", b'S', "")], "sparse"),
        ("for all files", vec![extended(b'g', b"9 path=a\n"), file("x", "")], "not known"),
        ("a header for nothing", vec![file("Dockerfile", ""), record("path", "a")], "is the last"),
        ("a device", vec![other("x", b'3', "")], "is a device"),
        ("a block device", vec![other("x", b'4', "")], "is a device"),
        ("another type", vec![other("x", b'V', "")], "neither a file"),
        ("a link with content", vec![entry(b"x", Head { kind: b'2', link: "y", content: b"1" })], "has content"),
        ("a directory with content", vec![entry(b"x", Head { kind: b'5', link: "", content: b"1" })], "has content"),
        ("a link to nothing", vec![other("x", b'2', "")], "leads nowhere"),
        ("a file with a link's end", vec![other("x", b'0', "y")], "is none"),
        ("a name of nothing", vec![other(".", b'0', "")], "has no name"),
        ("a NUL in a name", vec![record("path", "a\0b"), file("x", "")], "NUL"),
    ] {
        assert!(why(&entries).contains(said), "{what}: {}", why(&entries));
    }
    // A git archive begins with one, and engines pay no heed.
    assert!(read(&ended(&[extended(b'g', b"14 comment=0a\n"), file("Dockerfile", "")])).is_ok());
}

#[test]
fn what_is_no_tar_is_refused() {
    assert_eq!(read(&[b"BZh9".as_slice(), &[1; 600]].concat()), Err(BadContext::Compressed("bzip2")));
    assert!(matches!(read(&[1; 600]), Err(BadContext::NotTar(_))));
    assert!(matches!(read(b"FROM a\n"), Err(BadContext::NotTar(_))));
    assert!(matches!(read(&file("Dockerfile", "content")[..600]), Err(BadContext::NotTar(_))));
    let hidden = [vec![0; BLOCK], file("Dockerfile", "")].concat();
    assert!(matches!(read(&hidden), Err(BadContext::NotTar(_))));
    // What follows the end does not get to the engine.
    let after = [ended(&[file("Dockerfile", "FROM a\n")]), ended(&[file("Dockerfile", "FROM evil\n")])].concat();
    assert_eq!(read(&after), read(&ended(&[file("Dockerfile", "FROM a\n")])));
}

#[test]
fn a_context_begins_like_no_compressed_file_whatever_its_first_name_is() {
    for name in [&b"\x1f\x8b\x08\x08"[..], b"BZh91AY&SY", b"P*M\x18\x01\x01\x01\x01", b"\xfd7zXZ"] {
        let (passed, ..) =
            read(&ended(&[entry(name, Head { kind: b'0', link: "", content: b"" }), file("Dockerfile", "")])).unwrap();
        assert!(passed.starts_with(b"PaxHeader\0"), "{}", name.escape_ascii());
    }
}

#[test]
fn every_path_is_counted_as_held() {
    let mut context = BuildContext::new("", 1 << 16).unwrap();
    let files: Vec<Vec<u8>> = (0..1000).map(|number| file(&number.to_string(), "")).collect();
    context.push(&files.concat(), &mut Vec::new()).unwrap();
    assert!(context.held() >= 9 * 1000, "{}", context.held());
}
