//! Fuzzes `sockwarden::fuzzing::json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockwarden::fuzzing::json(data));
