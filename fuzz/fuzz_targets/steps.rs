//! Fuzzes `sockwarden::fuzzing::steps`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockwarden::fuzzing::steps(data));
