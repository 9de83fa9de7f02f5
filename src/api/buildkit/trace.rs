//! What a client tells of its own doings: spans in OpenTelemetry's messages (`opentelemetry-proto` 1).
//!
//! Attributes hold one text, number, switch or bytes, or a list of those, as OpenTelemetry's SDKs write them. Maps and lists
//! in lists (`kvlist_value`, `array_value` within an array) are not modelled, and refused.

use bytes::Bytes;

use crate::api::message::{Always, Fixed32, Fixed64};
use crate::{message, one_of};

message! {
    /// `ExportTraceServiceRequest`: spans, by what made them
    pub struct Export {
        /// They
        1 "resource_spans" => resource_spans: Vec<ResourceSpans>,
    }
}

message! {
    /// Spans of one program
    pub struct ResourceSpans {
        /// The program
        1 "resource" => resource: Option<Resource>,
        /// Spans by the part of it that made them
        2 "scope_spans" => scope_spans: Vec<ScopeSpans>,
        /// Which words attributes use
        3 "schema_url" => schema_url: String,
    }
}

message! {
    /// What makes spans
    pub struct Resource {
        /// As `service.name`
        1 "attributes" => attributes: Vec<Attribute>,
        /// Left out
        2 "dropped_attributes_count" => dropped_attributes: u32,
        /// What it is, by some of the attributes
        3 "entity_refs" => entities: Vec<EntityRef>,
    }
}

message! {
    /// Attributes that say what something is
    pub struct EntityRef {
        /// Which words they use
        1 "schema_url" => schema_url: String,
        /// As `service`
        2 "type" => kind: String,
        /// Keys of those that tell it from others
        3 "id_keys" => id_keys: Vec<String>,
        /// Keys of those that do not
        4 "description_keys" => description_keys: Vec<String>,
    }
}

message! {
    /// Spans of one part of a program
    pub struct ScopeSpans {
        /// The part
        1 "scope" => scope: Option<Scope>,
        /// Its spans
        2 "spans" => spans: Vec<Span>,
        /// Which words attributes use
        3 "schema_url" => schema_url: String,
    }
}

message! {
    /// `InstrumentationScope`: a part of a program
    pub struct Scope {
        /// Its name
        1 "name" => name: String,
        /// Its version
        2 "version" => version: String,
        /// More of it
        3 "attributes" => attributes: Vec<Attribute>,
        /// Left out
        4 "dropped_attributes_count" => dropped_attributes: u32,
    }
}

message! {
    /// Something that was done
    pub struct Span {
        /// What it belongs to
        1 "trace_id" => trace_id: Bytes,
        /// Its id
        2 "span_id" => span_id: Bytes,
        /// More of the trace
        3 "trace_state" => trace_state: String,
        /// What it is part of
        4 "parent_span_id" => parent_span_id: Bytes,
        /// Its name
        5 "name" => name: String,
        /// 1 within, 2 a server's, 3 a client's, 4 a producer's, 5 a consumer's
        6 "kind" => kind: i32,
        /// Its beginning, in nanoseconds since 1970
        7 "start_time_unix_nano" => start: Fixed64,
        /// Its end
        8 "end_time_unix_nano" => end: Fixed64,
        /// More of it
        9 "attributes" => attributes: Vec<Attribute>,
        /// Left out
        10 "dropped_attributes_count" => dropped_attributes: u32,
        /// What happened meanwhile
        11 "events" => events: Vec<Event>,
        /// Left out
        12 "dropped_events_count" => dropped_events: u32,
        /// Other spans that it has to do with
        13 "links" => links: Vec<Link>,
        /// Left out
        14 "dropped_links_count" => dropped_links: u32,
        /// How it went
        15 "status" => status: Option<SpanStatus>,
        /// Of the trace, and where its parent is
        16 "flags" => flags: Fixed32,
    }
}

message! {
    /// Something that happened meanwhile
    pub struct Event {
        /// When
        1 "time_unix_nano" => time: Fixed64,
        /// What
        2 "name" => name: String,
        /// More of it
        3 "attributes" => attributes: Vec<Attribute>,
        /// Left out
        4 "dropped_attributes_count" => dropped_attributes: u32,
    }
}

message! {
    /// Another span
    pub struct Link {
        /// What it belongs to
        1 "trace_id" => trace_id: Bytes,
        /// Its id
        2 "span_id" => span_id: Bytes,
        /// More of its trace
        3 "trace_state" => trace_state: String,
        /// Of the link
        4 "attributes" => attributes: Vec<Attribute>,
        /// Left out
        5 "dropped_attributes_count" => dropped_attributes: u32,
        /// Of its trace
        6 "flags" => flags: Fixed32,
    }
}

message! {
    /// `Status`: how a span went
    pub struct SpanStatus {
        /// In words
        2 "message" => message: String,
        /// 1 well, 2 not
        3 "code" => code: i32,
    }
}

message! {
    /// `KeyValue`: a word and what is said by it
    pub struct Attribute {
        /// The word
        1 "key" => key: String,
        // BuildKit (0.13 to 0.32) reads the value of one that has none, and the engine dies of it.
        /// What is said
        2 "value" => value: Always<Value>,
    }
}

one_of! {
    /// `AnyValue`: what an attribute says
    pub enum Value {
        /// Text
        1 "string_value" => Text(String),
        /// Yes or no
        2 "bool_value" => Switch(bool),
        /// Number
        3 "int_value" => Number(i64),
        /// Fraction
        4 "double_value" => Fraction(Fixed64),
        /// List
        5 "array_value" => List(Values),
        /// Bytes
        7 "bytes_value" => Bytes(Bytes),
    }
}

message! {
    /// `ArrayValue`: a list
    pub struct Values {
        /// They
        1 "values" => values: Vec<Single>,
    }
}

one_of! {
    /// `AnyValue` in a list: no list by itself
    pub enum Single {
        /// Text
        1 "string_value" => Text(String),
        /// Yes or no
        2 "bool_value" => Switch(bool),
        /// Number
        3 "int_value" => Number(i64),
        /// Fraction
        4 "double_value" => Fraction(Fixed64),
        /// Bytes
        7 "bytes_value" => Bytes(Bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::message::{Message, read_message, write_message};

    /// One span with one attribute, whose fields are these bytes
    fn attribute(fields: &[u8]) -> Vec<u8> {
        let within = |number: u8, message: Vec<u8>| {
            [&[number << 3 | 2, u8::try_from(message.len()).unwrap()], message.as_slice()].concat()
        };
        within(1, within(2, within(2, within(9, fields.to_vec()))))
    }

    fn written(bytes: Vec<u8>) -> Vec<u8> {
        write_message(&read_message::<Export>(bytes.into()).unwrap())
    }

    #[test]
    fn a_real_clients_spans_are_written_as_they_came() {
        let seed = include_bytes!("../../../fuzz/seeds/grpc/trace_of_buildx");
        let frame = seed.splitn(3, |byte| *byte == b'\n').last().unwrap();
        let export: Export = read_message(Bytes::from_static(&frame[5..])).unwrap();
        assert_eq!(write_message(&export), &frame[5..]);
        let spans = export.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        assert!(spans.flat_map(|scope| &scope.spans).any(|span| span.name == "moby.buildkit.v1.Control/Solve"));
    }

    #[test]
    fn zeros_stay_what_they_are() {
        for value in [
            &b"\x12\x00"[..],
            b"\x12\x02\x0a\x00",
            b"\x12\x02\x10\x00",
            b"\x12\x02\x18\x00",
            b"\x12\x09\x21\0\0\0\0\0\0\0\0",
            b"\x12\x09\x21\0\0\0\0\0\0\xf8\x7f",
            b"\x12\x02\x2a\x00",
            b"\x12\x0c\x2a\x0a\x0a\x02\x18\x00\x0a\x00\x0a\x02\x10\x00",
            b"\x12\x02\x3a\x00",
        ] {
            let bytes = attribute(value);
            assert_eq!(written(bytes.clone()), bytes, "{value:?}");
        }
    }

    #[test]
    fn no_attribute_is_written_without_a_value() {
        assert_eq!(written(attribute(b"\x0a\x01k")), attribute(b"\x0a\x01k\x12\x00"));
    }

    #[test]
    fn every_field_of_an_export_is_read_and_written_the_same() {
        let mut fields = Vec::new();
        <Export as Message>::describe("", &|message| message, &mut fields);
        assert!(fields.len() > 80, "{}", fields.len());
        for field in fields {
            let export: Export = read_message(field.message.clone().into()).unwrap();
            let written = write_message(&export);
            assert_eq!(read_message(written.clone().into()), Ok(export), "{}", field.path);
            // A key that stands alone gets a value.
            assert_eq!(written == field.message, !field.path.ends_with(".key"), "{}", field.path);
        }
    }
}
