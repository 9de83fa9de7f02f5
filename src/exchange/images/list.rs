//! Images as an owner is shown them, with what is another's left out; of a list one element in memory at a time.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde_json::Value;

use crate::answer::BoxError;
use crate::api::image_ref::ImageRef;
use crate::exchange::images::Images;
use crate::policy::images::name;
use crate::policy::modify::OWNER_LABEL;
use crate::shown::whole::Containers;

/// An image of a list as an owner sees it: with the names it may see, or not at all
fn shown(images: &Images, own: &Containers, mut image: Value) -> Option<Value> {
    in_use(&mut image, own);
    let names = Names::of(images, &image, "/Labels");
    if names.is_none() {
        // Without a label it may be what another's build has on its way, and is used by who knows its id.
        return (names.label.as_deref() == Some(&**images.owner.name())).then_some(image);
    }
    if names.tags.is_empty() && names.digests.is_empty() {
        return None;
    }
    names.put(&mut image);
    Some(image)
}

/// An image that an owner inspects, with the names that it may see and the containers that are its own
pub fn inspected(images: &Images, own: &Containers, image: &mut Value) {
    in_use(image, own);
    Names::of(images, image, "/Config/Labels").put(image);
}

/// Whether an image that is inspected tells of containers
pub fn tells_of_containers(image: &Value) -> bool {
    image.get("Manifests").is_some()
}

/// The names of an image that its owner may see
struct Names {
    label: Option<String>,
    tags: Vec<String>,
    digests: Vec<String>,
    /// How many there are
    all: usize,
}

impl Names {
    fn of(images: &Images, image: &Value, labels: &str) -> Self {
        let label = image.pointer(labels).and_then(|labels| labels.get(OWNER_LABEL)).and_then(Value::as_str);
        let texts = |key: &str| -> Vec<String> {
            let list = image.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).filter(|text| !text.starts_with(NONE)).map(str::to_owned).collect()
        };
        let full = |text: &String| ImageRef::read(text).map_or_else(|_| text.clone(), |image| name(&image));
        let (mut tags, mut digests) = (texts("RepoTags"), texts("RepoDigests"));
        let all = tags.len() + digests.len();
        let full_tags: Vec<String> = tags.iter().map(full).collect();
        tags.retain(|tag| images.sees_name(&full(tag)));
        let repository = |digest: &str| digest.split('@').next().unwrap_or(digest).to_owned();
        digests.retain(|digest| {
            let digest = full(digest);
            let prefix = format!("{}:", repository(&digest));
            tags.iter().any(|tag| full(tag).starts_with(&prefix)) || images.sees_digest(&digest, &full_tags, label)
        });
        Self { label: label.map(str::to_owned), tags, digests, all }
    }

    fn is_none(&self) -> bool {
        self.all == 0
    }

    fn put(self, image: &mut Value) {
        let Self { label: _, tags, digests, all } = self;
        if let Some(object) = image.as_object_mut().filter(|_| tags.len() + digests.len() < all) {
            object.insert("RepoTags".to_owned(), tags.into());
            object.insert("RepoDigests".to_owned(), digests.into());
        }
    }
}

/// Newer engines say how many containers are made of an image, and with containerd's store which (28.5)
fn in_use(image: &mut Value, own: &Containers) {
    let count = image.get("Id").and_then(Value::as_str).map(|id| own.of_image(id)).unwrap_or_default();
    // Others say that they have not counted.
    if let Some(containers) = image.get_mut("Containers").filter(|said| said.as_i64().is_some_and(|said| said >= 0)) {
        *containers = count.into();
    }
    for manifest in image.get_mut("Manifests").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(ids) = manifest.pointer_mut("/ImageData/Containers").and_then(Value::as_array_mut) {
            ids.retain(|id| id.as_str().is_some_and(|id| own.has(id)));
        }
    }
}

/// A JSON array of images on its way, each element held against what its owner sees
pub struct List<B> {
    body: B,
    images: Images,
    own: Containers,
    elements: Elements,
    ended: bool,
}

impl<B> List<B> {
    /// Passes on of `body` what `images` shows, to an owner of these containers
    pub fn new(body: B, images: Images, own: Containers) -> Self {
        Self { body, images, own, elements: Elements::default(), ended: false }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for List<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        while !this.ended {
            let out = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    this.elements.read(&data, |element| shown(&this.images, &this.own, element))
                }
                None => {
                    this.ended = true;
                    this.elements.end()
                }
            };
            match out {
                Ok(out) if out.is_empty() => {}
                Ok(out) => return Poll::Ready(Some(Ok(Frame::data(out.into())))),
                Err(why) => return Poll::Ready(Some(Err(why.into()))),
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// Takes an array apart while it comes
#[derive(Debug, Default)]
struct Elements {
    place: Place,
    /// The element that is coming
    element: Vec<u8>,
    depth: usize,
    in_text: bool,
    escaped: bool,
    written: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Inside,
    After,
    /// It is no array: `null`, say
    Elsewhere,
}

impl Elements {
    fn read(&mut self, piece: &[u8], show: impl Fn(Value) -> Option<Value>) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        for byte in piece {
            match self.place {
                Place::Before if byte.is_ascii_whitespace() => {}
                Place::Before if *byte == b'[' => {
                    out.push(b'[');
                    self.place = Place::Inside;
                }
                Place::Before => {
                    self.element.push(*byte);
                    self.place = Place::Elsewhere;
                }
                Place::Elsewhere => self.element.push(*byte),
                Place::After if byte.is_ascii_whitespace() => out.push(*byte),
                Place::After => return Err("something follows the list"),
                Place::Inside => self.inside(*byte, &show, &mut out)?,
            }
            if self.element.len() > MOST {
                return Err("an image of the list is too large");
            }
        }
        Ok(out)
    }

    fn inside(
        &mut self,
        byte: u8,
        show: &impl Fn(Value) -> Option<Value>,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        if !self.in_text && self.depth == 0 && matches!(byte, b',' | b']') {
            self.element(show, out)?;
            if byte == b']' {
                out.push(b']');
                self.place = Place::After;
            }
            return Ok(());
        }
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'{' | b'[' if !self.in_text => self.depth += 1,
            b'}' | b']' if !self.in_text => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        self.element.push(byte);
        Ok(())
    }

    fn element(&mut self, show: &impl Fn(Value) -> Option<Value>, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let element = std::mem::take(&mut self.element);
        if element.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let image = serde_json::from_slice(&element).map_err(|_| "an image of the list is not understood")?;
        if let Some(image) = show(image) {
            if std::mem::replace(&mut self.written, true) {
                out.push(b',');
            }
            out.extend(image.to_string().into_bytes());
        }
        Ok(())
    }

    fn end(&mut self) -> Result<Vec<u8>, &'static str> {
        match self.place {
            Place::After | Place::Before => Ok(Vec::new()),
            Place::Inside => Err("the list of images ends early"),
            Place::Elsewhere if self.element.trim_ascii() == b"null" => Ok(std::mem::take(&mut self.element)),
            Place::Elsewhere => Err("the list of images is none"),
        }
    }
}

/// How the engine writes that an image has no name
const NONE: &str = "<none>";
/// Bytes of one image of a list at most
const MOST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(text: &str, piece: usize) -> Result<String, &'static str> {
        let mut elements = Elements::default();
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(piece) {
            out.extend(elements.read(piece, |image| (image["a"] != 2).then_some(image))?);
        }
        out.extend(elements.end()?);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn elements_are_left_out_wherever_the_pieces_end() {
        for (list, left) in [
            (r#"[{"a":1},{"a":2},{"a":3}]"#, r#"[{"a":1},{"a":3}]"#),
            (r#"[{"a":2},{"a":3}]"#, r#"[{"a":3}]"#),
            (r#" [ {"a":2} ] "#, "[] "),
            (r#"[{"b":"],[{\"a\":2}"},{"a":[{"a":2}]}]"#, r#"[{"b":"],[{\"a\":2}"},{"a":[{"a":2}]}]"#),
            ("[]\n", "[]\n"),
            ("null\n", "null\n"),
        ] {
            for piece in 1..=list.len() {
                assert_eq!(passed(list, piece).as_deref(), Ok(left), "{list} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_is_no_list_is_not_passed_on() {
        for text in [r#"[{"a":1}"#, r#"[{"a":1}]["#, r#"{"a":1}"#, r#"[{"a":1},{a}]"#] {
            assert!(passed(text, 3).is_err(), "{text}");
        }
        let large = format!("[{{\"a\":\"{}\"}}]", "x".repeat(MOST));
        assert!(passed(&large, 4096).is_err());
    }
}
