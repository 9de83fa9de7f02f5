//! Fuzzes `sockwarden::fuzzing::policy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockwarden::fuzzing::policy(data));
