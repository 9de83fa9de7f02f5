//! Typed protobuf messages: one line a field, from which both `read` and `write` are made, so that they cannot drift apart.
//!
//! The set of fields is closed, and a message has one reading only: a number nobody knows, a wire type that is not the
//! field's, and what stands twice where it may stand once (engines let the last one win, and merge messages) are refused by
//! name. The wire's primitives are prost's; its messages would drop what they do not know.

use std::cell::Cell;
use std::collections::BTreeMap;

use bytes::{Buf as _, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};

use crate::api::json::Json;
use crate::api::object::{At, Field, Malformed, SAMPLE, member};

mod always;
mod one_of;
mod packed;

pub use self::always::Always;
pub use self::packed::Packed;

/// A message with a closed set of fields, made by [`message!`](crate::message)
pub trait Message: Sized + Default {
    /// Every field's number and name
    const FIELDS: &'static [(u32, &'static str)];

    /// Reads one field into its place; `number` is one of [`Message::FIELDS`]
    ///
    /// # Errors
    /// When its value is not understood.
    fn take(&mut self, number: u32, payload: Payload, at: &At<'_>) -> Result<(), Malformed>;

    /// Writes the fields that say something, in the order of their numbers
    fn append(&self, out: &mut Vec<u8>);

    /// Appends every field below `path`, each with a message that has it; `wrap` puts it where it belongs
    fn describe(path: &str, wrap: Wrap<'_>, fields: &mut Vec<Field>);
}

/// Puts the bytes of a message into the messages around it
pub type Wrap<'a> = &'a dyn Fn(Vec<u8>) -> Vec<u8>;

/// Reads a whole message
///
/// # Errors
/// Naming the first field that is not understood.
pub fn read_message<T: Message>(bytes: Bytes) -> Result<T, Malformed> {
    read_at(bytes, &At::Message(&Cell::new(MOST_IN_ALL)))
}

/// Writes a whole message
pub fn write_message<T: Message>(message: &T) -> Vec<u8> {
    let mut out = Vec::new();
    message.append(&mut out);
    out
}

fn read_at<T: Message>(mut bytes: Bytes, at: &At<'_>) -> Result<T, Malformed> {
    let mut message = T::default();
    let mut seen = Vec::new();
    while bytes.has_remaining() {
        let (number, wire) = decode_key(&mut bytes).map_err(|_| at.malformed("no protobuf message"))?;
        let Some((_, name)) = T::FIELDS.iter().find(|(known, _)| *known == number) else {
            return Err(at.malformed(format!("unknown field number {number}")));
        };
        let here = At::Member(at, name);
        let payload = Payload::read(wire, &mut bytes, &here)?.again(seen.contains(&number));
        seen.push(number);
        message.take(number, payload, &here)?;
    }
    Ok(message)
}

/// What stands behind a field's key
#[derive(Debug, Clone)]
pub struct Payload {
    data: Data,
    again: bool,
}

#[derive(Debug, Clone)]
enum Data {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Bytes),
}

impl Data {
    /// The refusal where something else belongs
    fn instead_of(&self, expected: &str, at: &At<'_>) -> Malformed {
        let got = match self {
            Self::Varint(_) => "a number",
            Self::Fixed64(_) => "a number of 8 bytes",
            Self::Fixed32(_) => "a number of 4 bytes",
            Self::Bytes(_) => "bytes",
        };
        at.malformed(format!("expected {expected}, got {got}"))
    }
}

impl Payload {
    fn read(wire: WireType, bytes: &mut Bytes, at: &At<'_>) -> Result<Self, Malformed> {
        let broken = || at.malformed("no protobuf message");
        let data = match wire {
            WireType::Varint => Data::Varint(decode_varint(bytes).map_err(|_| broken())?),
            WireType::SixtyFourBit => Data::Fixed64(bytes.try_get_u64_le().map_err(|_| broken())?),
            WireType::ThirtyTwoBit => Data::Fixed32(bytes.try_get_u32_le().map_err(|_| broken())?),
            WireType::LengthDelimited => {
                let length = decode_varint(bytes).map_err(|_| broken())?;
                let length = usize::try_from(length).ok().filter(|length| *length <= bytes.remaining());
                Data::Bytes(bytes.split_to(length.ok_or_else(|| at.malformed("longer than its message"))?))
            }
            // No field of a message here is a group.
            WireType::StartGroup | WireType::EndGroup => {
                return Err(at.malformed(format!("unexpected wire type {wire:?}")));
            }
        };
        Ok(Self { data, again: false })
    }

    /// The same where the field has stood before
    fn again(self, again: bool) -> Self {
        Self { again, ..self }
    }

    /// Refuses what may stand once only
    ///
    /// # Errors
    /// When the field has stood before.
    fn once(self, at: &At<'_>) -> Result<Self, Malformed> {
        if self.again { Err(at.malformed("stands twice")) } else { Ok(self) }
    }

    fn varint(self, at: &At<'_>) -> Result<u64, Malformed> {
        match self.data {
            Data::Varint(value) => Ok(value),
            other => Err(other.instead_of("a number", at)),
        }
    }

    fn fixed64(self, at: &At<'_>) -> Result<u64, Malformed> {
        match self.data {
            Data::Fixed64(value) => Ok(value),
            other => Err(other.instead_of("a number of 8 bytes", at)),
        }
    }

    fn fixed32(self, at: &At<'_>) -> Result<u32, Malformed> {
        match self.data {
            Data::Fixed32(value) => Ok(value),
            other => Err(other.instead_of("a number of 4 bytes", at)),
        }
    }

    fn bytes(self, at: &At<'_>) -> Result<Bytes, Malformed> {
        match self.data {
            Data::Bytes(bytes) => Ok(bytes),
            other => Err(other.instead_of("bytes", at)),
        }
    }
}

/// One value: of a field, of an element of a list, or of a member of a map
pub trait Element: Sized + Default {
    /// Reads it
    ///
    /// # Errors
    /// When it is of another type or out of range.
    fn read(payload: Payload, at: &At<'_>) -> Result<Self, Malformed>;

    /// Writes key and value
    fn write(&self, number: u32, out: &mut Vec<u8>);

    /// Whether an absent field means the same
    fn is_unset(&self) -> bool;

    /// Appends the field, or the fields below it
    fn describe(path: &str, number: u32, wrap: Wrap<'_>, fields: &mut Vec<Field>);
}

/// What a field holds: one value, perhaps none, a list, or a map
pub trait Slot {
    /// Reads one value into it
    ///
    /// # Errors
    /// When the value is not understood, or there is one already where one may be.
    fn take(&mut self, payload: Payload, at: &At<'_>) -> Result<(), Malformed>;

    /// Writes all that it holds
    fn append(&self, number: u32, out: &mut Vec<u8>);

    /// Appends the field, or the fields below it
    fn describe(path: &str, number: u32, wrap: Wrap<'_>, fields: &mut Vec<Field>);
}

macro_rules! elements {
    ($($type:ty: |$read:ident, $at:ident| $reading:expr, |$value:ident| $unset:expr, $writing:expr, $sample:expr;)*) => {$(
        impl Element for $type {
            fn read($read: Payload, $at: &At<'_>) -> Result<Self, Malformed> {
                $reading
            }

            fn write(&self, number: u32, out: &mut Vec<u8>) {
                let $value = self;
                write_scalar(number, $writing, out);
            }

            fn is_unset(&self) -> bool {
                let $value = self;
                $unset
            }

            fn describe(path: &str, number: u32, wrap: Wrap<'_>, fields: &mut Vec<Field>) {
                let sample: $type = $sample;
                fields.push(described(path, number, wrap, &sample));
            }
        }

        impl Slot for $type {
            fn take(&mut self, payload: Payload, at: &At<'_>) -> Result<(), Malformed> {
                *self = Element::read(payload.once(at)?, at)?;
                Ok(())
            }

            fn append(&self, number: u32, out: &mut Vec<u8>) {
                if !self.is_unset() {
                    self.write(number, out);
                }
            }

            fn describe(path: &str, number: u32, wrap: Wrap<'_>, fields: &mut Vec<Field>) {
                <$type as Element>::describe(path, number, wrap, fields);
            }
        }
    )*};
}

/// A scalar as it stands on the wire
enum Scalar<'a> {
    Number(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

fn write_scalar(number: u32, scalar: Scalar<'_>, out: &mut Vec<u8>) {
    match scalar {
        Scalar::Number(value) => {
            encode_key(number, WireType::Varint, out);
            encode_varint(value, out);
        }
        Scalar::Fixed64(value) => {
            encode_key(number, WireType::SixtyFourBit, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Scalar::Fixed32(value) => {
            encode_key(number, WireType::ThirtyTwoBit, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        Scalar::Bytes(bytes) => write_bytes(number, bytes, out),
    }
}

fn write_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn described<T: Element>(path: &str, number: u32, wrap: Wrap<'_>, sample: &T) -> Field {
    let mut bytes = Vec::new();
    sample.write(number, &mut bytes);
    Field { path: path.to_owned(), since: 24, sample: Json::Null, message: wrap(bytes) }
}

elements! {
    String: |payload, at| String::from_utf8(payload.bytes(at)?.into()).map_err(|_| at.malformed("no UTF-8")),
        |value| value.is_empty(), Scalar::Bytes(value.as_bytes()), SAMPLE.to_owned();
    Bytes: |payload, at| payload.bytes(at), |value| value.is_empty(), Scalar::Bytes(value), Bytes::from_static(SAMPLE.as_bytes());
    bool: |payload, at| match payload.varint(at)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(at.malformed("expected 0 or 1")),
    }, |value| !value, Scalar::Number(u64::from(*value)), true;
    i64: |payload, at| payload.varint(at).map(u64::cast_signed), |value| *value == 0, Scalar::Number(value.cast_unsigned()), 1;
    i32: |payload, at| i32::try_from(payload.varint(at)?.cast_signed()).map_err(|_| at.malformed("out of range")),
        |value| *value == 0, Scalar::Number(i64::from(*value).cast_unsigned()), 1;
    u32: |payload, at| u32::try_from(payload.varint(at)?).map_err(|_| at.malformed("out of range")),
        |value| *value == 0, Scalar::Number(u64::from(*value)), 1;
    u64: |payload, at| payload.varint(at), |value| *value == 0, Scalar::Number(*value), 1;
    Fixed64: |payload, at| payload.fixed64(at).map(Self), |value| value.0 == 0, Scalar::Fixed64(value.0), Self(1);
    Fixed32: |payload, at| payload.fixed32(at).map(Self), |value| value.0 == 0, Scalar::Fixed32(value.0), Self(1);
}

/// A number of 8 bytes, or the bits of a fraction: one that is no number would not equal itself
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fixed64(pub u64);

/// A number of 4 bytes
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fixed32(pub u32);

impl<T: Message> Element for T {
    fn read(payload: Payload, at: &At<'_>) -> Result<Self, Malformed> {
        read_at(payload.bytes(at)?, at)
    }

    fn write(&self, number: u32, out: &mut Vec<u8>) {
        write_bytes(number, &write_message(self), out);
    }

    fn is_unset(&self) -> bool {
        false
    }

    fn describe(path: &str, number: u32, wrap: Wrap<'_>, fields: &mut Vec<Field>) {
        let within = |inner: Vec<u8>| {
            let mut bytes = Vec::new();
            write_bytes(number, &inner, &mut bytes);
            wrap(bytes)
        };
        <T as Message>::describe(path, &within, fields);
    }
}

impl<T: Element> Slot for Option<T> {
    fn take(&mut self, payload: Payload, at: &At<'_>) -> Result<(), Malformed> {
        *self = Some(T::read(payload.once(at)?, at)?);
        Ok(())
    }

    fn append(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.write(number, out);
        }
    }

    fn describe(path: &str, number: u32, wrap: Wrap<'_>, fields: &mut Vec<Field>) {
        T::describe(path, number, wrap, fields);
    }
}

impl<T: Element> Slot for Vec<T> {
    fn take(&mut self, payload: Payload, at: &At<'_>) -> Result<(), Malformed> {
        let value = T::read(payload, &At::Element(at, self.len()))?;
        push(self, value, at)
    }

    fn append(&self, number: u32, out: &mut Vec<u8>) {
        self.iter().for_each(|value| value.write(number, out));
    }

    fn describe(path: &str, number: u32, wrap: Wrap<'_>, fields: &mut Vec<Field>) {
        T::describe(&format!("{path}[]"), number, wrap, fields);
    }
}

/// Elements that need a few bytes each on the wire take many times as many here
fn push<T>(list: &mut Vec<T>, value: T, at: &At<'_>) -> Result<(), Malformed> {
    room_after(list.len(), at)?;
    list.push(value);
    Ok(())
}

/// Refuses one element more where there are enough, in one list or in all of a message
fn room_after(length: usize, at: &At<'_>) -> Result<(), Malformed> {
    match (length < MOST_ELEMENTS, at.has_room()) {
        (true, true) => Ok(()),
        (false, _) => Err(at.malformed(format!("more than {MOST_ELEMENTS} elements"))),
        (true, false) => Err(at.malformed(format!("more than {MOST_IN_ALL} elements in all"))),
    }
}

/// A map is a list of messages with a key and a value
impl<T: Element> Slot for BTreeMap<String, T> {
    fn take(&mut self, payload: Payload, at: &At<'_>) -> Result<(), Malformed> {
        let mut bytes = payload.bytes(at)?;
        let (mut key, mut value) = (None, None);
        while bytes.has_remaining() {
            let (number, wire) = decode_key(&mut bytes).map_err(|_| at.malformed("no protobuf message"))?;
            let payload = Payload::read(wire, &mut bytes, at)?;
            let twice = match number {
                1 => key.replace(String::read(payload, at)?).is_some(),
                2 => value.replace(payload).is_some(),
                _ => return Err(at.malformed(format!("unknown field number {number}"))),
            };
            if twice {
                return Err(at.malformed("a key or a value stands twice"));
            }
        }
        let key = key.unwrap_or_default();
        let here = At::Member(at, &key);
        let value = value.map_or_else(|| Ok(T::default()), |payload| T::read(payload, &here))?;
        if self.contains_key(&key) {
            return Err(here.malformed("the same key twice"));
        }
        room_after(self.len(), at)?;
        self.insert(key, value);
        Ok(())
    }

    fn append(&self, number: u32, out: &mut Vec<u8>) {
        for (key, value) in self {
            let mut entry = Vec::new();
            key.write(1, &mut entry);
            value.write(2, &mut entry);
            write_bytes(number, &entry, out);
        }
    }

    fn describe(path: &str, number: u32, wrap: Wrap<'_>, fields: &mut Vec<Field>) {
        let entry = |value: Vec<u8>| {
            let mut entry = Vec::new();
            SAMPLE.to_owned().write(1, &mut entry);
            entry.extend(value);
            let mut bytes = Vec::new();
            write_bytes(number, &entry, &mut bytes);
            wrap(bytes)
        };
        T::describe(&member(path, "*"), 2, &entry, fields);
    }
}

/// Declares a struct whose fields are those of a protobuf message, with `read` and `write` made from the same lines
#[macro_export]
macro_rules! message {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $number:literal $key:literal => $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        impl $crate::api::message::Message for $name {
            const FIELDS: &'static [(u32, &'static str)] = &[$(($number, $key)),*];

            #[allow(unused_variables, reason = "a message may have no fields")]
            fn take(
                &mut self,
                number: u32,
                payload: $crate::api::message::Payload,
                at: &$crate::api::object::At<'_>,
            ) -> Result<(), $crate::api::object::Malformed> {
                match number {
                    $($number => $crate::api::message::Slot::take(&mut self.$field, payload, at),)*
                    _ => Err(at.malformed("unknown field")),
                }
            }

            #[allow(unused_variables, reason = "a message may have no fields")]
            fn append(&self, out: &mut Vec<u8>) {
                let Self { $($field,)* } = self;
                $($crate::api::message::Slot::append($field, $number, out);)*
            }

            #[allow(unused_variables, reason = "a message may have no fields")]
            fn describe(
                path: &str,
                wrap: $crate::api::message::Wrap<'_>,
                fields: &mut Vec<$crate::api::object::Field>,
            ) {
                $(
                    let here = $crate::api::object::member(path, $key);
                    <$type as $crate::api::message::Slot>::describe(&here, $number, wrap, fields);
                )*
            }
        }
    };
}

/// Elements of one list or map
const MOST_ELEMENTS: usize = 50_000;
/// Elements of all lists and maps of one message, as lists stand in lists
const MOST_IN_ALL: usize = 200_000;

#[cfg(test)]
mod tests;
