//! Archives as tools write them, and as attackers would.

use super::*;

/// One entry as GNU tar writes it
fn entry(name: &str, kind: u8, content: &[u8]) -> Vec<u8> {
    linked(name, kind, "", content)
}

fn linked(name: &str, kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_header(name, kind, content.len() as u64, link, &mut out);
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
    out
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 2 * BLOCK]].concat()
}

/// The same as it goes on
fn opened(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    tar::open(&mut out);
    [out, archive(entries)].concat()
}

fn file(name: &str, content: &str) -> Vec<u8> {
    entry(name, b'0', content.as_bytes())
}

/// An empty file whose name is in two parts, as ustar allows
fn prefixed(prefix: &str, name: &str) -> Vec<u8> {
    let mut block = entry(name, b'0', b"");
    block[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// What comes out, and the names, however the archive is cut
fn read(bytes: &[u8]) -> Result<(Vec<u8>, Vec<String>), BadArchive> {
    let mut results = [1, 7, 512, 513, 100_000].map(|length| {
        let mut archive = ImageArchive::new(1 << 20);
        let mut out = Vec::new();
        bytes.chunks(length).try_for_each(|piece| archive.push(piece, &mut out))?;
        archive.finish(&mut out)?;
        Ok((out, archive.names().into_iter().map(|named| named.image.to_string()).collect()))
    });
    assert!(results.windows(2).all(|two| two[0] == two[1]), "the result hangs on how the archive was cut");
    std::mem::replace(&mut results[0], Ok(Default::default()))
}

fn tags(bytes: &[u8]) -> Vec<String> {
    read(bytes).unwrap().1
}

#[test]
fn every_file_that_names_an_image_is_read() {
    let manifest = file(
        "manifest.json",
        r#"[{"Config":"c.json","RepoTags":["a:1","r.example/b:2"],"Layers":[]},{"RepoTags":null}]"#,
    );
    assert_eq!(tags(&archive(&[file("c.json", "{}"), manifest])), ["docker.io/library/a:1", "r.example/b:2"]);
    let repositories = file("./repositories", r#"{"a":{"1":"id","2":"id"}}"#);
    assert_eq!(tags(&archive(&[repositories])), ["docker.io/library/a:1", "docker.io/library/a:2"]);
    let index = file(
        "index.json",
        r#"{"manifests":[{"annotations":{"io.containerd.image.name":"docker.io/library/a:1","org.opencontainers.image.ref.name":"1"}},
            {"annotations":{"org.opencontainers.image.ref.name":"b:2"}},{}]}"#,
    );
    assert_eq!(tags(&archive(&[index])), ["docker.io/library/a:1", "docker.io/library/b:2"]);
}

/// Python's tarfile wrote them; the first byte is the fuzzer's
#[test]
fn what_another_writer_made_is_read() {
    let docker = include_bytes!("../../../fuzz/seeds/archive/docker");
    assert_eq!(tags(&docker[1..]), ["docker.io/library/a:1", "docker.io/library/a:1"]);
    assert_eq!(tags(&include_bytes!("../../../fuzz/seeds/archive/oci")[1..]), ["docker.io/library/a:1"]);
}

#[test]
fn what_is_written_is_read_again_as_the_same() {
    let layer = vec![7; 1000];
    let bytes = archive(&[
        entry("x", b'5', b""),
        entry("x/layer.tar", b'0', &layer),
        linked("y/layer.tar", b'2', "../x/layer.tar", b""),
        file("manifest.json", r#"[{"RepoTags":["a:1"]}]"#),
    ]);
    let (written, names) = read(&bytes).unwrap();
    assert_eq!(&written[2 * BLOCK..], bytes);
    assert_eq!(read(&written).unwrap(), (written.clone(), names));
}

#[test]
fn a_layer_of_more_than_eight_gibibytes_has_its_size() {
    for size in [0, 1, (1 << 33) - 1, 1 << 33, 1 << 40] {
        let mut block = Vec::new();
        write_header("layer.tar", b'0', size, "", &mut block);
        assert_eq!(Header::read(&block).unwrap().size, size);
    }
}

#[test]
fn times_owners_and_extended_headers_are_left_out() {
    let with_time = [entry("x", b'x', b"19 mtime=12345.678\n"), file("manifest.json", "[]")];
    assert_eq!(read(&archive(&with_time)).unwrap().0, opened(&[file("manifest.json", "[]")]));
    assert_eq!(read(&archive(&[entry(".", b'5', b"")])).unwrap().0, opened(&[]));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let manifest = || file("manifest.json", r#"[{"RepoTags":["evil:1"]}]"#);
    for (what, entries) in [
        ("twice", vec![manifest(), manifest()]),
        ("twice under two spellings", vec![manifest(), file("./manifest.json", "[]")]),
        ("above", vec![file("x/../manifest.json", "[]")]),
        ("absolute", vec![file("/manifest.json", "[]")]),
        ("as a link", vec![linked("manifest.json", b'2', "other.json", b"")]),
        ("as a hard link", vec![linked("manifest.json", b'1', "other.json", b"")]),
        ("as a directory", vec![entry("manifest.json", b'5', b"")]),
        ("through a directory's link", vec![linked("x", b'2', ".", b""), file("x/manifest.json", "[]")]),
        (
            "through a layer's link",
            vec![linked("layer.tar", b'2', "a.tar", b""), file("layer.tar/manifest.json", "[]")],
        ),
        ("by a layer's link", vec![linked("layer.tar", b'2', "manifest.json", b"")]),
        ("renamed by an extended header", vec![entry("x", b'x', b"22 path=manifest.json\n"), file("other", "[]")]),
        ("resized by an extended header", vec![entry("x", b'x', b"9 size=9\n"), file("other", "[]")]),
        ("renamed by GNU tar", vec![entry("././@LongLink", b'L', b"manifest.json\0"), file("other", "[]")]),
        ("sparse", vec![entry("manifest.json", b'S', b"[]")]),
        ("a device", vec![entry("x", b'3', b"")]),
        ("in another case", vec![file("manifest.json", r#"[{"repotags":["evil:1"]}]"#)]),
        ("folded", vec![file("manifest.json", "[{\"RepoTag\u{17f}\":[\"evil:1\"]}]")]),
        ("two lists", vec![file("manifest.json", r#"[{"RepoTags":["a:1"],"RepoTags":["evil:1"]}]"#)]),
        ("no list", vec![file("manifest.json", r#"[{"RepoTags":"evil:1"}]"#)]),
        ("no JSON", vec![file("manifest.json", "[] []")]),
        ("no name", vec![file("manifest.json", r#"[{"RepoTags":["EVIL"]}]"#)]),
        ("a long name", vec![prefixed(&"y".repeat(60), &"z".repeat(60))]),
        ("named by a prefix twice", vec![manifest(), prefixed(".", "manifest.json")]),
    ] {
        assert!(read(&archive(&entries)).is_err(), "{what} was read");
    }
}

/// Engines with zstd skip a frame of as many bytes as its head says, and unpack what comes then
#[test]
fn an_archive_begins_like_no_compressed_file_whatever_its_first_name_is() {
    for name in ["P*M\u{18}\u{1}\u{1}\u{1}\u{1}", "BZh91AY&SY"] {
        for first in [file(name, ""), entry(name, b'5', b"")] {
            let (written, _) = read(&archive(&[first])).unwrap();
            assert!(written.starts_with(b"PaxHeader\0"), "{name}: {}", written[..20].escape_ascii());
        }
    }
}

#[test]
fn what_is_no_tar_is_refused() {
    assert_eq!(read(&[b"BZh9".as_slice(), &[1; 600]].concat()), Err(BadArchive::Compressed("bzip2")));
    assert!(matches!(read(&[1; 600]), Err(BadArchive::NotTar(_))));
    assert!(matches!(read(&file("x", "content")[..600]), Err(BadArchive::NotTar(_))));
    // A reader that takes one empty block for nothing would find another file here.
    let hidden = [vec![0; BLOCK], file("manifest.json", r#"[{"RepoTags":["evil:1"]}]"#)].concat();
    assert!(matches!(read(&hidden), Err(BadArchive::NotTar(_))));
    // One that goes on after the end as well: it does not get there.
    let after = [archive(&[]), archive(&[file("manifest.json", r#"[{"RepoTags":["evil:1"]}]"#)])].concat();
    assert_eq!(read(&after).unwrap(), (opened(&[]), Vec::new()));
}

fn sha256(content: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(content).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn blob(content: &str) -> (String, Vec<u8>) {
    let digest = sha256(content.as_bytes());
    (digest.clone(), file(&format!("blobs/sha256/{}", &digest["sha256:".len()..]), content))
}

fn missing(entries: &[Vec<u8>]) -> Result<Vec<String>, BadArchive> {
    let mut archive = ImageArchive::new(1 << 20);
    archive.push(&super::tests::archive(entries), &mut Vec::new())?;
    archive.finish(&mut Vec::new())?;
    Ok(archive.missing().into_iter().collect())
}

#[test]
fn an_archive_brings_what_it_names() {
    let (config, config_file) = blob(r#"{"config":{"Labels":{"a":"b"}}}"#);
    let (layer, layer_file) = blob("layer");
    let (image, image_file) =
        blob(&format!(r#"{{"config":{{"digest":"{config}"}},"layers":[{{"digest":"{layer}"}}]}}"#));
    let (elsewhere, _) = blob(r#"{"layers":[]}"#);
    let (both, both_file) =
        blob(&format!(r#"{{"manifests":[{{"digest":"{image}"}},{{"digest":"{elsewhere}"}},{{}}]}}"#));
    let root = |digest: &str| file("index.json", &format!(r#"{{"manifests":[{{"digest":"{digest}"}}]}}"#));
    let whole = [config_file.clone(), layer_file.clone(), image_file.clone(), root(&image)];
    assert_eq!(missing(&whole), Ok(vec![]));
    assert_eq!(missing(&whole.iter().rev().cloned().collect::<Vec<_>>()), Ok(vec![]), "in any order");
    let of_one_platform = [config_file.clone(), layer_file.clone(), image_file.clone(), both_file, root(&both)];
    assert_eq!(missing(&of_one_platform), Ok(vec![elsewhere.clone()]), "as an engine saves that has one platform");

    let absent = |digest: &String| Err(BadArchive::Missing(digest.clone()));
    assert_eq!(missing(&[root(&image)]), absent(&image));
    assert_eq!(missing(&[config_file.clone(), image_file.clone(), root(&image)]), absent(&layer));
    assert_eq!(missing(&[layer_file.clone(), image_file.clone(), root(&image)]), absent(&config));
    let (copied, copied_file) =
        blob(&format!(r#"{{"config":{{"digest":"{config}"}},"layers":[{{"digest":"{layer}","data":"bGF5ZXI="}}]}}"#));
    for (what, entries) in [
        (
            "another's digest on what is not it",
            vec![file(&format!("blobs/sha256/{}", &image[7..]), "{}"), root(&image)],
        ),
        ("a layer as a manifest", vec![layer_file.clone(), root(&layer)]),
        ("content in a descriptor", vec![config_file.clone(), layer_file.clone(), copied_file, root(&copied)]),
        (
            "content in the first descriptor",
            vec![file("index.json", r#"{"manifests":[{"digest":"x","data":"eA=="}]}"#)],
        ),
        ("in other letters", vec![file("index.json", &format!(r#"{{"Manifests":[{{"digest":"{image}"}}]}}"#))]),
        (
            "a digest in other letters",
            vec![file("index.json", &format!(r#"{{"manifests":[{{"Digest":"{image}"}}]}}"#))],
        ),
        ("a link", vec![linked(&format!("blobs/sha256/{}", &image[7..]), b'2', "a.tar", b""), root(&image)]),
        ("a large manifest", {
            let (large, large_file) = blob(&format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 20)));
            vec![large_file, root(&large)]
        }),
    ] {
        assert!(missing(&entries).is_err(), "{what}");
    }
}

#[test]
fn an_archive_of_the_older_form_brings_what_it_names() {
    let manifest = file("manifest.json", r#"[{"Config":"c.json","Layers":["x/layer.tar","y/layer.tar"]}]"#);
    let config = file("c.json", "{}");
    let (layer, link) = (file("x/layer.tar", "layer"), linked("y/layer.tar", b'2', "../x/layer.tar", b""));
    assert_eq!(missing(&[config.clone(), layer.clone(), link.clone(), manifest.clone()]), Ok(vec![]));
    let elsewhere = linked("y/layer.tar", b'2', "../z/layer.tar", b"");
    for (what, entries, name) in [
        ("no configuration", vec![layer.clone(), link.clone(), manifest.clone()], "c.json"),
        ("no layer", vec![config.clone(), layer.clone(), manifest.clone()], "y/layer.tar"),
        ("a link to nothing", vec![config.clone(), layer.clone(), elsewhere, manifest.clone()], "y/layer.tar"),
        (
            "a link to a link",
            vec![config, link, linked("x/layer.tar", b'2', "../y/layer.tar", b""), manifest],
            "x/layer.tar",
        ),
    ] {
        assert_eq!(missing(&entries), Err(BadArchive::Missing(name.to_owned())), "{what}");
    }
}
