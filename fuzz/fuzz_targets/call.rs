//! Fuzzes `sockwarden::fuzzing::call`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockwarden::fuzzing::call(data));
