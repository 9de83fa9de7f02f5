//! Fuzzes `sockwarden::fuzzing::context`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockwarden::fuzzing::context(data));
