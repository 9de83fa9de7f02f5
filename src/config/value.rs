//! Single values of the configuration: each is read into what it means, or refused with what was expected.
//!
//! Bounds are part of the type, so that the message of a value out of range comes with the line it stands on.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Gid;
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};

use crate::api::bind::HostPath;
use crate::owner::rule::Rule;

/// A number of bytes from `MIN` to `MAX`, written as `64KiB`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size<const MIN: u64, const MAX: u64>(pub u64);

/// A time from `MIN` to `MAX` milliseconds, written as `30s`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time<const MIN: u64, const MAX: u64>(pub Duration);

/// A number from `MIN` to `MAX`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count<const MIN: u32, const MAX: u32>(pub u32);

/// A value, or off: written as `""`, or as a zero with or without a unit
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrOff<T>(pub Option<T>);

/// Permission bits, written in octal as `"0660"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

/// A group as written
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Group {
    /// To be looked up
    Name(String),
    /// By number
    Id(Gid),
}

/// The engine's socket, written as `unix:///var/run/docker.sock`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine(pub PathBuf);

/// A name that records and messages can show: not empty, one line, at most 255 bytes
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

/// How an owner is named
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// By the caller, or by a fixed name
    Rule(Rule),
    /// By an environment variable of sockwarden's own
    Variable(String),
}

/// A label's key, or the beginning of keys with a `*` behind
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelKey(pub String);

/// What can be written as a value
pub trait Value: Sized {
    /// Reads a string
    fn read(text: &str) -> Option<Self>;

    /// Reads a bare number; most values have a unit or are no number
    fn number(_: i64) -> Option<Self> {
        None
    }

    /// What it looks like, with an example
    fn expected() -> String;
}

impl Value for HostPath {
    fn read(text: &str) -> Option<Self> {
        // A colon would end the source of a bind.
        let plain = !text.ends_with('/') && !text.contains(|c: char| c == ':' || c.is_control());
        Self::parse(text).filter(|path| plain && path.as_str() == text)
    }

    fn expected() -> String {
        "the absolute path of a socket without a colon, such as `/srv/job/docker.sock`".to_owned()
    }
}

impl<const MIN: u64, const MAX: u64> Value for Size<MIN, MAX> {
    fn read(text: &str) -> Option<Self> {
        scaled(text, BYTES).filter(|bytes| (MIN..=MAX).contains(bytes)).map(Self)
    }

    fn expected() -> String {
        format!("a size in B, KiB, MiB or GiB, from {} to {}", shown(MIN, BYTES), shown(MAX, BYTES))
    }
}

impl<const MIN: u64, const MAX: u64> Value for Time<MIN, MAX> {
    fn read(text: &str) -> Option<Self> {
        scaled(text, MILLISECONDS).filter(|ms| (MIN..=MAX).contains(ms)).map(|ms| Self(Duration::from_millis(ms)))
    }

    fn expected() -> String {
        format!("a time in ms, s, m, h or d, from {} to {}", shown(MIN, MILLISECONDS), shown(MAX, MILLISECONDS))
    }
}

impl<const MIN: u32, const MAX: u32> Value for Count<MIN, MAX> {
    fn read(_: &str) -> Option<Self> {
        None
    }

    fn number(number: i64) -> Option<Self> {
        u32::try_from(number).ok().filter(|count| (MIN..=MAX).contains(count)).map(Self)
    }

    fn expected() -> String {
        format!("a number from {MIN} to {MAX}, without quotes")
    }
}

impl<T: Value> Value for OrOff<T> {
    fn read(text: &str) -> Option<Self> {
        // Any unit will do: nothing is measured.
        let off = text.is_empty() || [BYTES, MILLISECONDS].iter().any(|units| scaled(text, units) == Some(0));
        if off { Some(Self(None)) } else { T::read(text).map(|value| Self(Some(value))) }
    }

    fn number(number: i64) -> Option<Self> {
        (number == 0).then_some(Self(None))
    }

    fn expected() -> String {
        format!("{}, or `\"\"` for off", T::expected())
    }
}

impl Value for Mode {
    fn read(text: &str) -> Option<Self> {
        let octal = matches!(text.len(), 3 | 4) && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        u32::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o777).map(Self)
    }

    fn expected() -> String {
        "permission bits in octal and in quotes, as `\"0660\"`".into()
    }
}

impl Value for Group {
    fn read(text: &str) -> Option<Self> {
        match text.bytes().all(|b| b.is_ascii_digit()) {
            true => Self::id(text).map(Self::Id),
            false => Name::read(text).filter(|name| !name.0.contains(':')).map(|name| Self::Name(name.0)),
        }
    }

    fn number(number: i64) -> Option<Self> {
        Self::id(&number.to_string()).map(Self::Id)
    }

    fn expected() -> String {
        "a group by name or number, as `docker` or `999`".into()
    }
}

impl Group {
    /// Reads a number; the last one means "unchanged" to the kernel and is nobody's
    pub(super) fn id(text: &str) -> Option<Gid> {
        text.parse().ok().filter(|gid| *gid != u32::MAX).map(Gid::from_raw)
    }
}

impl Value for Engine {
    /// Anything but a local socket is not taken: it may be somebody else's engine, and it has no access rights
    fn read(text: &str) -> Option<Self> {
        let path = Path::new(text.strip_prefix("unix://")?);
        (path.is_absolute() && path.file_name().is_some() && !text.contains('\0')).then(|| Self(path.to_owned()))
    }

    fn expected() -> String {
        "a Unix socket by its absolute path, as `unix:///var/run/docker.sock`".into()
    }
}

impl Value for Name {
    fn read(text: &str) -> Option<Self> {
        let fits = (1..=255).contains(&text.len()) && !text.contains(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }

    fn expected() -> String {
        "a name in one line of at most 255 bytes".into()
    }
}

impl Value for Owner {
    fn read(text: &str) -> Option<Self> {
        let Name(text) = Name::read(text)?;
        match text.strip_prefix("env:") {
            Some(variable) => {
                let fits = !variable.is_empty() && !variable.contains(['=', '\0']);
                fits.then(|| Self::Variable(variable.to_owned()))
            }
            None => Rule::read(&text).map(Self::Rule),
        }
    }

    fn expected() -> String {
        "`container`, `label:KEY`, `uid`, `unit`, `env:NAME`, or a name that looks like no other kind's: no `=`, no such \
         word before a colon, no container's id"
            .into()
    }
}

impl Value for LabelKey {
    fn read(text: &str) -> Option<Self> {
        let Name(key) = Name::read(text)?;
        (!key.strip_suffix('*').unwrap_or(&key).contains('*')).then_some(Self(key))
    }

    fn expected() -> String {
        "a label's key, or the beginning of one and a `*`, as `com.example.job.*`".into()
    }
}

/// A value as it stands in the file
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<T>(pub T);

impl<'de, T: Value> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

struct Reader<T>(PhantomData<T>);

impl<T: Value> Visitor<'_> for Reader<T> {
    type Value = Given<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&T::expected())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Given<T>, E> {
        T::read(text).map(Given).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Given<T>, E> {
        T::number(number).map(Given).ok_or_else(|| E::invalid_value(Unexpected::Signed(number), &self))
    }
}

/// Reads a whole number and a unit, without a space between
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// Writes a number in the largest unit that has no remainder
fn shown(number: u64, units: &[(&str, u64)]) -> String {
    let (unit, scale) =
        units.iter().rev().find(|(_, scale)| number >= *scale && number.is_multiple_of(*scale)).unwrap_or(&("", 1));
    format!("{}{unit}", number / scale)
}

const BYTES: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

const MILLISECONDS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

#[cfg(test)]
mod tests;
