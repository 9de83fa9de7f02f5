//! What a message takes, and what it refuses.

use super::*;

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
    };
    assert_eq!(read_message::<Outer>(write_message(&outer).into()), Ok(outer));
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
        (b"\x12\x01\x01", "Number: expected a number"),
        (b"\x10\xff\xff\xff\xff\x0f", "Number: out of range"),
        (b"\x22\x02\x0a\x00\x22\x02\x18\x01", "Many[1]: unknown field number 3"),
        (b"\x3a\x03\x0a\x01k\x3a\x03\x0a\x01k", "Map.k: the same key twice"),
        (b"\x3a\x06\x0a\x01k\x0a\x01j", "Map: a key or a value stands twice"),
        (b"\x1a\x05\x0a\x01a", "Inner: longer than its message"),
        (b"\x1a\x03\x0a\x01\xff", "Inner.Text: no UTF-8"),
        (b"\x15\x00\x00\x00\x00", "Number: unexpected wire type ThirtyTwoBit"),
        (b"\x42\x01\x80", "Numbers: no list of numbers"),
        (b"\x80", "body: no protobuf message"),
    ] {
        assert_eq!(read(bytes).unwrap_err(), why, "{bytes:?}");
    }
}
