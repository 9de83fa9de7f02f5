//! A request in parts that can be bent one by one, and written to bytes as bent as it is.

use std::fmt::Write as _;

use serde_json::Value;

/// A request that is not yet bytes
#[derive(Debug, Clone)]
pub struct Draft {
    /// Method
    pub method: String,
    /// What stands before the path: nothing, or a URL's scheme and host
    pub authority: String,
    /// Path with its version
    pub path: String,
    /// Names and values as they are written
    pub query: Vec<(String, String)>,
    /// What is put behind the query
    pub query_tail: String,
    /// Header lines besides those of the framing
    pub headers: Vec<String>,
    /// Body
    pub body: Option<Body>,
    /// How the body's end is told
    pub frame: Frame,
    /// HTTP's version
    pub http: &'static str,
}

/// A body: a document and what stands around it
#[derive(Debug, Clone)]
pub struct Body {
    /// Before the document
    pub before: String,
    /// The document
    pub json: Json,
    /// Behind the document
    pub after: String,
}

/// How the end of a body is told
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// `Content-Length`
    Length,
    /// Chunks of a few bytes
    Chunked,
    /// Chunks with extensions
    Extensions,
    /// Chunks and trailers
    Trailers,
    /// A length of nothing before a body
    Zero,
    /// A length and chunks
    Both,
}

/// A document whose keys and values are text as it is written, so that they can be wrong
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// A value as it is written
    Raw(String),
    /// `{…}`; keys without their quotes
    Object(Vec<(String, Json)>),
    /// `[…]`
    List(Vec<Json>),
}

impl Json {
    /// A document in its plain spelling
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Object(members) => {
                Self::Object(members.iter().map(|(key, value)| (key.clone(), Self::of(value))).collect())
            }
            Value::Array(elements) => Self::List(elements.iter().map(Self::of).collect()),
            plain => Self::Raw(plain.to_string()),
        }
    }

    /// As it goes over the wire
    pub fn text(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(",");
        match self {
            Self::Raw(text) => text.clone(),
            Self::Object(members) => {
                let member = |(key, value): &(String, Self)| format!("\"{key}\":{}", value.text());
                format!("{{{}}}", joined(members.iter().map(member).collect()))
            }
            Self::List(elements) => format!("[{}]", joined(elements.iter().map(Self::text).collect())),
        }
    }

    /// Where each member is: the indices that lead there, and the keys
    pub fn members(&self) -> Vec<(Vec<usize>, Vec<String>)> {
        let mut found = Vec::new();
        self.walk(&mut (Vec::new(), Vec::new()), &mut found);
        found
    }

    fn walk(&self, here: &mut (Vec<usize>, Vec<String>), found: &mut Vec<(Vec<usize>, Vec<String>)>) {
        match self {
            Self::Raw(_) => {}
            Self::Object(members) => {
                for (index, (key, value)) in members.iter().enumerate() {
                    here.0.push(index);
                    here.1.push(key.clone());
                    found.push(here.clone());
                    value.walk(here, found);
                    here.0.pop();
                    here.1.pop();
                }
            }
            Self::List(elements) => {
                for (index, value) in elements.iter().enumerate() {
                    here.0.push(index);
                    value.walk(here, found);
                    here.0.pop();
                }
            }
        }
    }

    /// The object that holds a member, and the member's place in it
    pub fn holder(&mut self, path: &[usize]) -> Option<(&mut Vec<(String, Json)>, usize)> {
        let (first, rest) = path.split_first()?;
        match self {
            Self::Raw(_) => None,
            Self::Object(members) => match rest {
                [] => Some((members, *first)),
                rest => members.get_mut(*first)?.1.holder(rest),
            },
            Self::List(elements) => elements.get_mut(*first)?.holder(rest),
        }
    }
}

impl Body {
    fn text(&self) -> String {
        format!("{}{}{}", self.before, self.json.text(), self.after)
    }
}

impl Draft {
    /// The target, as it is written
    pub fn target(&self) -> String {
        let mut target = format!("{}{}", self.authority, self.path);
        for (index, (name, value)) in self.query.iter().enumerate() {
            let _ = write!(target, "{}{name}={value}", if index == 0 { '?' } else { '&' });
        }
        target + &self.query_tail
    }

    /// The bytes of a connection
    pub fn bytes(&self) -> Vec<u8> {
        let body = self.body.as_ref().map(Body::text).unwrap_or_default();
        let mut head =
            format!("{} {} {}\r\nHost: docker\r\nConnection: close\r\n", self.method, self.target(), self.http);
        for header in &self.headers {
            head += &format!("{header}\r\n");
        }
        let typed = self.headers.iter().any(|header| header.to_ascii_lowercase().starts_with("content-type:"));
        if !body.is_empty() && !typed {
            head += "Content-Type: application/json\r\n";
        }
        let length = match self.frame {
            Frame::Length if body.is_empty() && self.method == "GET" => String::new(),
            Frame::Length => format!("Content-Length: {}\r\n", body.len()),
            Frame::Zero => "Content-Length: 0\r\n".to_owned(),
            Frame::Both => format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", body.len()),
            Frame::Chunked | Frame::Extensions => "Transfer-Encoding: chunked\r\n".to_owned(),
            Frame::Trailers => "Trailer: X-Last\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        };
        let mut bytes = (head + &length + "\r\n").into_bytes();
        match self.frame {
            Frame::Length | Frame::Zero => bytes.extend(body.as_bytes()),
            Frame::Chunked | Frame::Both => bytes.extend(chunks(body.as_bytes(), "", "")),
            Frame::Extensions => bytes.extend(chunks(body.as_bytes(), ";name=\"value\"", "")),
            Frame::Trailers => bytes.extend(chunks(body.as_bytes(), "", "X-Last: Content-Length: 0\r\n")),
        }
        bytes
    }
}

fn chunks(body: &[u8], extension: &str, trailer: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(body.len().div_ceil(3).max(1)) {
        bytes.extend(format!("{:x}{extension}\r\n", chunk.len()).into_bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(format!("0\r\n{trailer}\r\n").into_bytes());
    bytes
}
