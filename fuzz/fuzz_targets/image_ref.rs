//! Fuzzes `sockwarden::fuzzing::image_ref`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockwarden::fuzzing::image_ref(data));
