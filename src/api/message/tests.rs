//! What a message takes, and what it refuses.

use super::*;
use crate::one_of;

message! {
    /// Inner
    pub struct Inner {
        /// Text
        1 "Text" => text: String,
        /// Texts
        2 "Texts" => texts: Vec<String>,
    }
}

message! {
    /// Outer
    pub struct Outer {
        /// Number
        2 "Number" => number: i32,
        /// One
        3 "Inner" => inner: Option<Inner>,
        /// Many
        4 "Many" => many: Vec<Inner>,
        /// Map
        7 "Map" => map: BTreeMap<String, String>,
        /// Numbers
        8 "Numbers" => numbers: Packed,
        /// Of 8 bytes
        9 "Eight" => eight: Fixed64,
        /// Of 4 bytes
        10 "Four" => four: Fixed32,
        /// One of several
        11 "Any" => any: Option<Any>,
        /// Always written
        12 "Always" => always: Always<Any>,
    }
}

one_of! {
    /// Any
    pub enum Any {
        /// Text
        1 "Text" => Text(String),
        /// Yes or no
        2 "Switch" => Switch(bool),
        /// Of 8 bytes
        3 "Eight" => Eight(Fixed64),
        /// Inner
        4 "Inner" => Inner(Inner),
    }
}

fn read(bytes: &'static [u8]) -> Result<Outer, String> {
    read_message(Bytes::from_static(bytes)).map_err(|error| error.to_string())
}

#[test]
fn what_is_read_is_written_again() {
    let outer = Outer {
        number: -1,
        inner: Some(Inner { text: "a".to_owned(), texts: Vec::new() }),
        many: vec![Inner::default(), Inner { text: "b".to_owned(), texts: vec!["c".to_owned()] }],
        map: [("k".to_owned(), String::new())].into(),
        numbers: Packed(vec![0, -1, 300]),
        eight: Fixed64(f64::NAN.to_bits()),
        four: Fixed32(u32::MAX),
        any: Some(Any::Eight(Fixed64(0))),
        always: Always(Any::Inner(Inner::default())),
    };
    assert_eq!(read_message::<Outer>(write_message(&outer).into()), Ok(outer));
}

#[test]
fn numbers_of_fixed_length_are_written_from_their_lowest_byte() {
    let bytes = b"\x49\x02\x01\0\0\0\0\0\x80\x55\x04\x03\0\0\x62\x00";
    let outer = read(bytes).unwrap();
    assert_eq!((outer.eight, outer.four), (Fixed64(0x8000_0000_0000_0102), Fixed32(0x304)));
    assert_eq!(write_message(&outer), bytes);
}

#[test]
fn one_of_several_is_written_also_where_it_is_zero() {
    for (bytes, any) in [
        (&b"\x5a\x00\x62\x00"[..], Any::Nothing),
        (b"\x5a\x02\x0a\x00\x62\x00", Any::Text(String::new())),
        (b"\x5a\x02\x10\x00\x62\x00", Any::Switch(false)),
        (b"\x5a\x09\x19\0\0\0\0\0\0\0\0\x62\x00", Any::Eight(Fixed64(0))),
        (b"\x5a\x02\x22\x00\x62\x00", Any::Inner(Inner::default())),
    ] {
        let outer = read(bytes).unwrap();
        assert_eq!(outer.any, Some(any), "{bytes:?}");
        assert_eq!(write_message(&outer), bytes);
    }
}

#[test]
fn what_is_always_written_is_so_where_it_was_not_there() {
    assert_eq!(read(b""), read(b"\x62\x00"));
    assert_eq!(write_message(&Outer::default()), b"\x62\x00");
}

#[test]
fn every_field_is_described_by_a_message_that_has_it() {
    let mut fields = Vec::new();
    <Outer as Message>::describe("", &|message| message, &mut fields);
    let paths: Vec<&str> = fields.iter().map(|field| field.path.as_str()).collect();
    for path in ["Eight", "Four", "Any.Text", "Any.Inner.Texts[]", "Always.Switch", "Always.Eight"] {
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
    for field in fields {
        assert_ne!(read_message::<Outer>(field.message.into()), Ok(Outer::default()), "{}", field.path);
    }
}

#[test]
fn numbers_are_read_packed_and_one_by_one() {
    for bytes in [&b"\x42\x03\x01\x02\x03"[..], b"\x40\x01\x40\x02\x40\x03", b"\x42\x01\x01\x40\x02\x42\x01\x03"] {
        assert_eq!(read(bytes).unwrap().numbers, Packed(vec![1, 2, 3]), "{bytes:?}");
    }
}

#[test]
fn a_list_of_very_many_empty_elements_is_refused() {
    let bytes = [0x22, 0x00].repeat(MOST_ELEMENTS + 1);
    let error = read_message::<Outer>(bytes.into()).unwrap_err();
    assert_eq!(error.to_string(), "Many: more than 50000 elements");
}

#[test]
fn lists_in_lists_count_together() {
    let full = Inner { texts: vec![String::new(); MOST_ELEMENTS - 1], ..Inner::default() };
    let whole = Outer { many: vec![full; MOST_IN_ALL / MOST_ELEMENTS], ..Outer::default() };
    let bytes = write_message(&whole);
    assert_eq!(read_message::<Outer>(bytes.clone().into()), Ok(whole));
    let error = read_message::<Outer>([&bytes[..], &[0x22, 0x00]].concat().into()).unwrap_err();
    assert_eq!(error.to_string(), "Many: more than 200000 elements in all");
    // The same in a map, and within a list.
    let error = read_message::<Outer>([&bytes[..], &[0x3a, 0x00]].concat().into()).unwrap_err();
    assert_eq!(error.to_string(), "Map: more than 200000 elements in all");
    let error = read_message::<Outer>([&bytes[..], &[0x1a, 0x02, 0x12, 0x00]].concat().into()).unwrap_err();
    assert_eq!(error.to_string(), "Inner.Texts: more than 200000 elements in all");
}

#[test]
fn a_message_has_one_reading() {
    for (bytes, why) in [
        (&b"\x08\x01"[..], "body: unknown field number 1"),
        (b"\x10\x01\x10\x02", "Number: stands twice"),
        (b"\x1a\x00\x1a\x00", "Inner: stands twice"),
        (b"\x12\x01\x01", "Number: expected a number, got bytes"),
        (b"\x10\xff\xff\xff\xff\x0f", "Number: out of range"),
        (b"\x22\x02\x0a\x00\x22\x02\x18\x01", "Many[1]: unknown field number 3"),
        (b"\x3a\x03\x0a\x01k\x3a\x03\x0a\x01k", "Map.k: the same key twice"),
        (b"\x3a\x06\x0a\x01k\x0a\x01j", "Map: a key or a value stands twice"),
        (b"\x1a\x05\x0a\x01a", "Inner: longer than its message"),
        (b"\x1a\x03\x0a\x01\xff", "Inner.Text: no UTF-8"),
        (b"\x15\x00\x00\x00\x00", "Number: expected a number, got a number of 4 bytes"),
        (b"\x1d\x00\x00\x00\x00", "Inner: expected bytes, got a number of 4 bytes"),
        (b"\x45\x00\x00\x00\x00", "Numbers: expected numbers, got a number of 4 bytes"),
        (b"\x48\x01", "Eight: expected a number of 8 bytes, got a number"),
        (b"\x4d\x00\x00\x00\x00", "Eight: expected a number of 8 bytes, got a number of 4 bytes"),
        (b"\x51\0\0\0\0\0\0\0\0", "Four: expected a number of 4 bytes, got a number of 8 bytes"),
        (b"\x52\x00", "Four: expected a number of 4 bytes, got bytes"),
        (b"\x49\0\0\0\0\0\0\0", "Eight: no protobuf message"),
        (b"\x55\0\0\0", "Four: no protobuf message"),
        (b"\x55\0\0\0\0\x55\0\0\0\0", "Four: stands twice"),
        (b"\x5a\x04\x10\x00\x10\x01", "Any.Switch: several things at once"),
        (b"\x5a\x04\x0a\x00\x10\x01", "Any.Switch: several things at once"),
        (b"\x5a\x00\x5a\x00", "Any: stands twice"),
        (b"\x5a\x02\x28\x00", "Any: unknown field number 5"),
        (b"\x62\x00\x62\x00", "Always: stands twice"),
        (b"\x13", "Number: unexpected wire type StartGroup"),
        (b"\x42\x01\x80", "Numbers: no list of numbers"),
        (b"\x80", "body: no protobuf message"),
    ] {
        assert_eq!(read(bytes).unwrap_err(), why, "{bytes:?}");
    }
}
