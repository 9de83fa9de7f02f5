//! A message of which one field at most may stand, as one value.
//!
//! What it holds is written also where it is zero or empty: that it stands there says which of them it is.

/// Declares an enum whose variants are the fields of a protobuf `oneof` that is a message by itself
#[macro_export]
macro_rules! one_of {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$doc:meta])* $number:literal $key:literal => $variant:ident($type:ty),)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub enum $name {
            /// None of them
            #[default]
            Nothing,
            $($(#[$doc])* $variant($type),)*
        }

        impl $crate::api::message::Message for $name {
            const FIELDS: &'static [(u32, &'static str)] = &[$(($number, $key)),*];

            fn take(
                &mut self,
                number: u32,
                payload: $crate::api::message::Payload,
                at: &$crate::api::object::At<'_>,
            ) -> Result<(), $crate::api::object::Malformed> {
                // Engines take the last.
                if !matches!(self, Self::Nothing) {
                    return Err(at.malformed("several things at once"));
                }
                *self = match number {
                    $($number => Self::$variant($crate::api::message::Element::read(payload, at)?),)*
                    _ => return Err(at.malformed("unknown field")),
                };
                Ok(())
            }

            fn append(&self, out: &mut Vec<u8>) {
                match self {
                    Self::Nothing => {}
                    $(Self::$variant(value) => $crate::api::message::Element::write(value, $number, out),)*
                }
            }

            fn describe(
                path: &str,
                wrap: $crate::api::message::Wrap<'_>,
                fields: &mut Vec<$crate::api::object::Field>,
            ) {
                $(
                    let here = $crate::api::object::member(path, $key);
                    <$type as $crate::api::message::Element>::describe(&here, $number, wrap, fields);
                )*
            }
        }
    };
}
