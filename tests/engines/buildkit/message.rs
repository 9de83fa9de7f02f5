//! Protobuf as far as attacks need it: tags, varints, bytes.

/// A message that is being written
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// Nothing in it yet
    pub fn new() -> Self {
        Self::default()
    }

    /// With a string, bytes or a message
    pub fn with(mut self, number: u64, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        varint(&mut self.0, number << 3 | 2);
        varint(&mut self.0, value.len() as u64);
        self.0.extend(value);
        self
    }

    /// With a number
    pub fn number(mut self, number: u64, value: u64) -> Self {
        varint(&mut self.0, number << 3);
        varint(&mut self.0, value);
        self
    }

    /// With the entries of a map of strings
    pub fn map(self, number: u64, entries: &[(&str, &str)]) -> Self {
        entries.iter().fold(self, |message, (key, value)| message.with(number, Self::new().with(1, key).with(2, value)))
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Every string, bytes or message that is found by these field numbers, one below the other
pub fn found(message: &[u8], numbers: &[u64]) -> Vec<Vec<u8>> {
    let Some((number, below)) = numbers.split_first() else { return vec![message.to_vec()] };
    let fields = fields(message).into_iter().filter(|(field, _)| field == number);
    fields.filter_map(|(_, value)| value.ok()).flat_map(|value| found(&value, below)).collect()
}

/// The first such as text; empty where there is none, as protobuf has it
pub fn text(message: &[u8], numbers: &[u64]) -> String {
    String::from_utf8_lossy(found(message, numbers).first().map_or(&[], Vec::as_slice)).into_owned()
}

/// A number; 0 where there is none, as protobuf has it
pub fn number(message: &[u8], number: u64) -> u64 {
    fields(message).into_iter().filter(|(field, _)| *field == number).find_map(|(_, value)| value.err()).unwrap_or(0)
}

/// Number and value of each field: bytes, or else a varint
fn fields(mut rest: &[u8]) -> Vec<(u64, Result<Vec<u8>, u64>)> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = read(&mut rest);
        let value = match tag & 7 {
            0 => Err(read(&mut rest)),
            1 => Ok(taken(&mut rest, 8)),
            2 => {
                let length = read(&mut rest);
                Ok(taken(&mut rest, usize::try_from(length).unwrap()))
            }
            5 => Ok(taken(&mut rest, 4)),
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, value));
    }
    fields
}

fn taken(rest: &mut &[u8], length: usize) -> Vec<u8> {
    let (value, after) = rest.split_at(length);
    *rest = after;
    value.to_vec()
}

fn read(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for place in 0..10 {
        let byte = taken(rest, 1)[0];
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
