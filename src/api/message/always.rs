//! A value that is written also where it says nothing, for readers that cannot do without it.

use crate::api::message::{Element, Payload, Slot, Wrap};
use crate::api::object::{At, Field, Malformed};

/// One value; where none was given, the one that says nothing
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Always<T>(pub T);

impl<T: Element> Slot for Always<T> {
    fn take(&mut self, payload: Payload, at: &At<'_>) -> Result<(), Malformed> {
        self.0 = T::read(payload.once(at)?, at)?;
        Ok(())
    }

    fn append(&self, number: u32, out: &mut Vec<u8>) {
        self.0.write(number, out);
    }

    fn describe(path: &str, number: u32, wrap: Wrap<'_>, fields: &mut Vec<Field>) {
        T::describe(path, number, wrap, fields);
    }
}
