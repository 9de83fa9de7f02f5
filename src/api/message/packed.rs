//! Numbers that stand in one field together; clients may write them one by one as well.

use bytes::Buf as _;
use prost::encoding::{decode_varint, encode_varint};

use crate::api::json::Json;
use crate::api::message::{Data, Payload, Slot, Wrap, push, write_bytes};
use crate::api::object::{At, Field, Malformed};

/// Numbers in one field
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed(pub Vec<i64>);

impl Slot for Packed {
    fn take(&mut self, payload: Payload, at: &At<'_>) -> Result<(), Malformed> {
        let mut bytes = match payload.data {
            Data::Varint(value) => return push(&mut self.0, value.cast_signed(), at),
            Data::Bytes(bytes) => bytes,
            other => return Err(other.instead_of("numbers", at)),
        };
        while bytes.has_remaining() {
            let value = decode_varint(&mut bytes).map_err(|_| at.malformed("no list of numbers"))?;
            push(&mut self.0, value.cast_signed(), at)?;
        }
        Ok(())
    }

    fn append(&self, number: u32, out: &mut Vec<u8>) {
        if !self.0.is_empty() {
            let mut bytes = Vec::new();
            self.0.iter().for_each(|value| encode_varint(value.cast_unsigned(), &mut bytes));
            write_bytes(number, &bytes, out);
        }
    }

    fn describe(path: &str, number: u32, wrap: Wrap<'_>, fields: &mut Vec<Field>) {
        let mut bytes = Vec::new();
        Self(vec![1]).append(number, &mut bytes);
        fields.push(Field { path: format!("{path}[]"), since: 24, sample: Json::Null, message: wrap(bytes) });
    }
}
