//! The list of images, with what is another's left out: one element in memory at a time.

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

/// An image of a list as an owner sees it: with the names it may see, or not at all
fn shown(images: &Images, mut image: Value) -> Option<Value> {
    let label = image.pointer("/Labels").and_then(|labels| labels.get(OWNER_LABEL)).and_then(Value::as_str);
    let label = label.map(str::to_owned);
    let texts = |key: &str| -> Vec<String> {
        let list = image.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).filter(|text| !text.starts_with(NONE)).map(str::to_owned).collect()
    };
    let full = |text: &String| ImageRef::read(text).map_or_else(|_| text.clone(), |image| name(&image));
    let (tags, digests) = (texts("RepoTags"), texts("RepoDigests"));
    let full_tags: Vec<String> = tags.iter().map(full).collect();
    if tags.is_empty() && digests.is_empty() {
        return images.sees_any(&[], &[], label.as_deref()).then_some(image);
    }
    let repository = |digest: &str| digest.split('@').next().unwrap_or(digest).to_owned();
    let (seen_tags, rest): (Vec<_>, Vec<_>) = tags.into_iter().partition(|tag| images.sees_name(&full(tag)));
    let of_a_seen_tag = |digest: &str| {
        let prefix = format!("{}:", repository(digest));
        seen_tags.iter().any(|tag| full(tag).starts_with(&prefix))
    };
    let seen_digests: Vec<String> = digests
        .iter()
        .filter(|digest| {
            let digest = full(digest);
            of_a_seen_tag(&digest) || images.sees_digest(&digest, &full_tags, label.as_deref())
        })
        .cloned()
        .collect();
    if seen_tags.is_empty() && seen_digests.is_empty() {
        return None;
    }
    if !rest.is_empty() || seen_digests.len() < digests.len() {
        let object = image.as_object_mut()?;
        object.insert("RepoTags".to_owned(), seen_tags.into());
        object.insert("RepoDigests".to_owned(), seen_digests.into());
    }
    Some(image)
}

/// A JSON array of images on its way, each element held against what its owner sees
pub struct List<B> {
    body: B,
    images: Images,
    elements: Elements,
    ended: bool,
}

impl<B> List<B> {
    /// Passes on of `body` what `images` shows
    pub fn new(body: B, images: Images) -> Self {
        Self { body, images, elements: Elements::default(), ended: false }
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
                    this.elements.read(&data, |element| shown(&this.images, element))
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
