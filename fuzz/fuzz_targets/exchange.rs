//! Fuzzes `sockwarden::fuzzing::exchange`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockwarden::fuzzing::exchange(data));
