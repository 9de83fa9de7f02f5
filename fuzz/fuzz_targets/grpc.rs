//! Fuzzes `sockwarden::fuzzing::grpc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sockwarden::fuzzing::grpc(data));
