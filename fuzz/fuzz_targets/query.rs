//! Fuzzes `sockwarden::fuzzing::query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockwarden::fuzzing::query(data));
