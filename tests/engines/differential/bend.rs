//! Ways to bend a request, so that a careless reader and the engine part: the list, and what each does to target and head.
//!
//! `bites` says that the engine takes a request that is bent this way for what it was. A bend that never bites would prove
//! nothing, so the run counts; and one that must not bite is here since an engine could be wrong about it too.

use super::bend_body;
use super::draft::{Draft, Frame};
use super::random::Random;

/// Declares the bends once: name, and the engines it bites on
macro_rules! bends {
    ($($name:ident: $bites:expr,)*) => {
        /// A way to bend a request
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Bend { $($name,)* }

        impl Bend {
            /// All of them
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Whether an engine takes what is bent this way
            pub fn bites(self, engine: &str) -> bool {
                let on: &[&str] = match self { $(Self::$name => $bites,)* };
                on.contains(&engine)
            }
        }
    };
}

const ALL: &[&str] = &["bookworm", "trixie", "sid"];
const NONE: &[&str] = &[];

bends! {
    // Keys and values of a body; see `bend_body`
    KeyCase: ALL,
    KeyFold: ALL,
    KeyFoldEscaped: ALL,
    KeyEscape: ALL,
    TwiceDangerLast: ALL,
    TwiceDangerFirst: ALL,
    TwiceThenNull: ALL,
    TwiceOtherCase: ALL,
    SplitObject: ALL,
    ValueEscape: ALL,
    ValueCase: ALL,
    ValueSpace: NONE,
    ValuePath: ALL,
    OtherType: NONE,
    ListAsText: ALL,
    NullElsewhere: ALL,
    ZeroUnknown: ALL,
    Unknown: ALL,
    Hoist: &["bookworm", "trixie"],
    Wrap: NONE,
    Bom: NONE,
    Trailing: NONE,
    TrailingSpace: ALL,
    Spaces: ALL,
    Padding: ALL,
    Surrogate: ALL,
    // Query
    QueryTwiceDangerFirst: ALL,
    QueryTwiceDangerLast: NONE,
    QueryCase: NONE,
    QueryEncodeName: ALL,
    QueryEncodeValue: ALL,
    QueryPlus: NONE,
    QuerySemicolon: NONE,
    QueryBadEscape: NONE,
    QueryUnknown: ALL,
    QueryEmpty: ALL,
    // Path
    PathEncode: ALL,
    PathEncodedTwice: NONE,
    PathSlash: NONE,
    PathDots: NONE,
    PathEncodedSlash: NONE,
    PathVersion: ALL,
    PathOldVersion: NONE,
    PathTail: NONE,
    PathCase: NONE,
    Url: ALL,
    Fragment: NONE,
    // Head and framing
    MethodOverride: NONE,
    MethodOverridden: ALL,
    MethodCase: NONE,
    ContentType: ALL,
    ContentEncoding: ALL,
    Form: ALL,
    Identity: ALL,
    Expect: ALL,
    OldHttp: ALL,
    Chunked: ALL,
    ChunkExtensions: ALL,
    ChunkTrailers: ALL,
    ZeroLength: NONE,
    BothLengths: ALL,
}

impl Bend {
    /// Bends a request; `false` if there is nothing to bend
    pub fn apply(self, draft: &mut Draft, aim: &[String], random: &mut Random) -> bool {
        match self {
            Self::QueryTwiceDangerFirst
            | Self::QueryTwiceDangerLast
            | Self::QueryCase
            | Self::QueryEncodeName
            | Self::QueryEncodeValue
            | Self::QueryPlus => return !draft.query.is_empty() && self.bend_pair(draft, random),
            Self::QuerySemicolon => tail(draft, random.pick(&[";a=b", ";", "x;y=z"])),
            Self::QueryBadEscape => tail(draft, random.pick(&["x=%zz", "%=1", "x=%f"])),
            Self::QueryUnknown => tail(draft, random.pick(&["unknown=1", "force_=1", "Name=x", "names=x", "unknown="])),
            Self::QueryEmpty => tail(draft, random.pick(&["", "&", "=", "=x", "x"])),
            Self::PathEncode
            | Self::PathEncodedTwice
            | Self::PathSlash
            | Self::PathDots
            | Self::PathEncodedSlash
            | Self::PathVersion
            | Self::PathOldVersion
            | Self::PathTail
            | Self::PathCase => draft.path = self.bend_path(&draft.path, random),
            Self::Url => draft.authority = (random.pick(&["http://docker", "http://x:1", "http://u@h"])).to_owned(),
            Self::Fragment => draft.query_tail += random.pick(&["#x", "#/_ping"]),
            _ => return self.bend_head(draft, random) || bend_body::apply(self, draft, aim, random),
        }
        true
    }

    fn bend_pair(self, draft: &mut Draft, random: &mut Random) -> bool {
        let at = random.below(draft.query.len());
        let (name, value) = draft.query[at].clone();
        match self {
            Self::QueryTwiceDangerFirst => draft.query.insert(at + 1, (name, format!("{value}x"))),
            Self::QueryTwiceDangerLast => draft.query.insert(at, (name, format!("{value}x"))),
            Self::QueryCase => draft.query[at].0 = recase(&name, random),
            Self::QueryEncodeName => draft.query[at].0 = encode(&name, random),
            Self::QueryEncodeValue => draft.query[at].1 = encode(&value, random),
            _ => draft.query[at].1 = random.pick(&[format!("{value}+"), format!("+{value}"), format!("{value}%20")]),
        }
        true
    }

    fn bend_path(self, path: &str, random: &mut Random) -> String {
        let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        let at = random.pick(&slashes);
        let instead = |text: &str| format!("{}{text}{}", &path[..at], &path[at + 1..]);
        let (_, unversioned) = version(path);
        match self {
            Self::PathEncode => {
                let last = &path[at + 1..];
                let end = last.find('/').unwrap_or(last.len());
                format!("{}{}{}", &path[..=at], encode(&last[..end], random), &last[end..])
            }
            Self::PathEncodedTwice => path.replacen('c', "%2563", 1),
            Self::PathSlash => instead(random.pick(&["//", "///", "/%2f"])),
            Self::PathDots => instead(random.pick(&["/./", "/x/../", "/%2e/", "/x/%2e%2e/", "/..;/"])),
            Self::PathEncodedSlash => instead(random.pick(&["%2f", "%2F", "%5c", "\\"])),
            Self::PathVersion => {
                let versions = ["", "/v1.24", "/v1.30", "/v1.40", "/v1.41", "/v01.41", "/v1.041", "/v1.41.0"];
                format!("{}{unversioned}", random.pick(&versions))
            }
            Self::PathOldVersion => {
                let versions =
                    ["/v1.23", "/v1.12", "/V1.41", "/v1", "/1.41", "/v1.99", "/v-1.41", "/v1.41/v1.41", "/latest"];
                format!("{}{unversioned}", random.pick(&versions))
            }
            Self::PathTail => format!("{path}{}", random.pick(&["/", "/.", ";x", "%00", "%20", "%0d%0a", "/json"])),
            _ => recase(path, random),
        }
    }

    fn bend_head(self, draft: &mut Draft, random: &mut Random) -> bool {
        let mut header = |lines: &[&str]| draft.headers.extend(lines.iter().map(|line| (*line).to_owned()));
        let body = draft.body.is_some();
        let mut frame = |frame: Frame| {
            draft.frame = frame;
            body
        };
        match self {
            Self::MethodOverride => {
                header(&[&format!("X-HTTP-Method-Override: {}", draft.method)]);
                draft.method = "GET".to_owned();
            }
            Self::MethodOverridden => {
                header(&["X-HTTP-Method-Override: GET", "X-Method-Override: GET", "X-HTTP-Method: GET"]);
            }
            Self::MethodCase => {
                draft.method = random.pick(&[draft.method.to_lowercase(), "HEAD".to_owned(), "PATCH".to_owned()])
            }
            Self::ContentType if body => header(&[random.pick(&[
                "Content-Type: application/json; charset=utf-8",
                "content-type:application/JSON",
                "Content-Type: application/json;q=1;charset=utf-7",
                "Content-Type: text/plain",
                "Content-Type: application/json\r\nContent-Type: text/plain",
                "Content-Type: ",
            ])]),
            Self::ContentEncoding => header(&[random.pick(&["Content-Encoding: gzip", "Content-Encoding: identity"])]),
            Self::Form if !body && !draft.query.is_empty() && draft.method == "POST" => {
                header(&["Content-Type: application/x-www-form-urlencoded"]);
                let pairs: Vec<_> = draft.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
                // The engine takes the body's value where both have one.
                draft.query.iter_mut().for_each(|(_, value)| value.push('x'));
                let json = super::draft::Json::Raw(pairs.join("&"));
                draft.body = Some(super::draft::Body { before: String::new(), json, after: String::new() });
            }
            Self::Identity => header(
                &[
                    "X-Forwarded-For: 127.0.0.1",
                    "X-Sockwarden-Owner: root",
                    "Authorization: Basic cm9vdDpyb290",
                    "Host: root",
                ][..random.below(3) + 1],
            ),
            Self::Expect if body => header(&["Expect: 100-continue"]),
            Self::OldHttp => draft.http = "HTTP/1.0",
            Self::Chunked => return frame(Frame::Chunked),
            Self::ChunkExtensions => return frame(Frame::Extensions),
            Self::ChunkTrailers => return frame(Frame::Trailers),
            Self::ZeroLength => return frame(Frame::Zero),
            Self::BothLengths => return frame(Frame::Both),
            _ => return false,
        }
        true
    }
}

/// The version prefix, and the path behind it
fn version(path: &str) -> (&str, &str) {
    match path[1..].split_once('/') {
        Some((first, _)) if first.starts_with('v') && first.contains('.') => path.split_at(first.len() + 1),
        _ => ("", path),
    }
}

fn tail(draft: &mut Draft, text: &str) {
    let joint = if draft.query.is_empty() && draft.query_tail.is_empty() { '?' } else { '&' };
    draft.query_tail += &format!("{joint}{text}");
}

/// Some letters in the other case, one at least if there is one
pub fn recase(text: &str, random: &mut Random) -> String {
    let letters = text.chars().filter(char::is_ascii_alphabetic).count();
    let (one, more) = (random.below(letters), random.below(4));
    let mut seen = 0;
    text.chars()
        .map(|c| {
            let here = c.is_ascii_alphabetic() && (seen == one || (more > 0 && seen % (more + 1) == 0));
            seen += usize::from(c.is_ascii_alphabetic());
            match (here, c.is_ascii_uppercase()) {
                (false, _) => c,
                (true, true) => c.to_ascii_lowercase(),
                (true, false) => c.to_ascii_uppercase(),
            }
        })
        .collect()
}

/// Some letters in percent escapes
fn encode(text: &str, random: &mut Random) -> String {
    let every = random.below(3) + 1;
    let one = |(index, c): (usize, char)| {
        if c.is_ascii_alphanumeric() && index % every == 0 { format!("%{:02x}", c as u32) } else { c.to_string() }
    };
    text.chars().enumerate().map(one).collect()
}
