//! What an archive of images says it is made of, and what of that it brings.
//!
//! An engine finds parts by their digests and takes what it has already, whoever brought it: who names in an archive what
//! another made, and does not bring it, would be given it. So what an archive names has to be in it. An index alone may
//! name images that it does not bring, as `docker save` writes one of which the engine has a single platform; those are
//! told, so that the engine can be asked whether it has them.
//!
//! Formats: the index and the manifest of the OCI image, and `manifest.json` of `docker save`.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::{BadArchive, list, member, text};
use crate::api::json::Json;

/// What was found so far
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Files, and of links where they lead
    files: BTreeMap<String, Option<String>>,
    /// Blobs by their digests: of what could be a manifest what it says, or why it is none
    blobs: BTreeMap<String, Option<Result<Document, String>>>,
    /// Digests that `index.json` names
    roots: Vec<String>,
    /// Files that `manifest.json` names
    named: Vec<String>,
    /// How much of all that there is
    count: usize,
}

/// A file that is named by its digest, while it comes
#[derive(Debug)]
pub(super) struct Blob {
    name: String,
    digest: String,
    hash: Sha256,
    /// If it is short enough for a manifest
    content: Option<Vec<u8>>,
}

impl Blob {
    /// Such a file of so many bytes, if it is one
    pub fn begin(name: &str, size: u64) -> Option<Self> {
        let hex = name.strip_prefix("blobs/sha256/")?;
        let content = (size <= MOST_OF_ONE).then(Vec::new);
        Some(Self { name: name.to_owned(), digest: format!("sha256:{hex}"), hash: Sha256::new(), content })
    }

    /// Reads the next piece
    pub fn read(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        if let Some(content) = &mut self.content {
            content.extend_from_slice(piece);
        }
    }
}

#[derive(Debug, Default)]
struct Document {
    manifests: Vec<String>,
    /// Its configuration and its layers
    blobs: Vec<String>,
}

impl Parts {
    /// A file that the archive brings, or a link and where it leads
    pub fn file(&mut self, name: &str, link: &str) -> Result<(), BadArchive> {
        self.files.insert(name.to_owned(), (!link.is_empty()).then(|| link.to_owned()));
        self.counted(1)
    }

    /// A blob that has come whole
    pub fn blob(&mut self, blob: Blob) -> Result<(), BadArchive> {
        let Blob { name, digest, hash, content } = blob;
        // The engine goes by what it is, and looks elsewhere for what it is called.
        let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if digest.strip_prefix("sha256:") != Some(&*hex) {
            return Err(BadArchive::File(name, "is not what its name says"));
        }
        let content = content.filter(|content| content.first() == Some(&b'{'));
        let document = content.map(|content| Json::parse(&content).and_then(|json| Document::read(&json)));
        let parts = document.iter().flatten().map(|document| document.manifests.len() + document.blobs.len()).sum();
        self.blobs.insert(digest, document);
        self.counted(parts)
    }

    /// What a file says that names images
    pub fn names(&mut self, file: &str, json: &Json) -> Result<(), String> {
        match file {
            "index.json" => self.roots = Document::read(json)?.manifests,
            "manifest.json" => {
                for image in list(json)? {
                    self.named.extend(match member(image, "Config")? {
                        Json::Null => None,
                        config => Some(path(text(config)?)?),
                    });
                    for layer in list(member(image, "Layers")?)? {
                        self.named.push(path(text(layer)?)?);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Holds what is named against what is there; returns the manifests that an index names and the archive does not bring
    pub fn missing(&self) -> Result<BTreeSet<String>, BadArchive> {
        let absent = |name: &String| BadArchive::Missing(name.clone());
        for name in &self.named {
            let there = self.files.get(name).ok_or_else(|| absent(name))?;
            let target = there.as_ref().map(|link| beside(name, link));
            if target.is_some_and(|target| target.is_none_or(|target| !self.is_file(&target))) {
                return Err(absent(name));
            }
        }
        let (mut missing, mut known) = (BTreeSet::new(), BTreeSet::new());
        let mut left: Vec<&String> = self.roots.iter().collect();
        if let Some(root) = self.roots.iter().find(|root| !self.is_blob(root)) {
            return Err(absent(root));
        }
        while let Some(digest) = left.pop() {
            if !known.insert(digest) {
                continue;
            }
            let bad = |why: &str| BadArchive::Names { file: digest.clone(), why: why.to_owned() };
            match self.blobs.get(digest) {
                None => drop(missing.insert(digest.clone())),
                Some(Some(Ok(Document { manifests, blobs }))) => {
                    if let Some(blob) = blobs.iter().find(|blob| !self.is_blob(blob)) {
                        return Err(absent(blob));
                    }
                    left.extend(manifests);
                }
                Some(Some(Err(why))) => return Err(bad(why)),
                Some(None) => return Err(bad("it is no manifest, or too large a one")),
            }
        }
        Ok(missing)
    }

    fn is_blob(&self, digest: &str) -> bool {
        self.blobs.contains_key(digest)
    }

    fn is_file(&self, name: &str) -> bool {
        matches!(self.files.get(name), Some(None))
    }

    fn counted(&mut self, more: usize) -> Result<(), BadArchive> {
        self.count += more;
        if self.count > MOST { Err(BadArchive::NotTar("it has more parts than are read")) } else { Ok(()) }
    }
}

impl Document {
    fn read(json: &Json) -> Result<Self, String> {
        let mut blobs: Vec<String> = descriptor(member(json, "config")?)?.into_iter().collect();
        for layer in list(member(json, "layers")?)? {
            blobs.extend(descriptor(layer)?);
        }
        let mut manifests = Vec::new();
        for manifest in list(member(json, "manifests")?)? {
            manifests.extend(descriptor(manifest)?);
        }
        Ok(Self { manifests, blobs })
    }
}

/// The digest of a part; without one there is none
fn descriptor(json: &Json) -> Result<Option<String>, String> {
    if !member(json, "data")?.is_zero() {
        return Err("`data` in a descriptor is not read here".to_owned());
    }
    match member(json, "digest")? {
        Json::Null => Ok(None),
        digest => Ok(Some(text(digest)?.to_owned())),
    }
}

fn path(text: &str) -> Result<String, String> {
    super::clean(text).ok_or_else(|| format!("`{}` leads out of the archive", text.escape_debug()))
}

/// Where a link leads
fn beside(name: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Files of an archive, and parts that its manifests name, at most
const MOST: usize = 50_000;
/// Bytes of a manifest that is read, at most
const MOST_OF_ONE: u64 = 1 << 20;
