//! See `../src/rewrap.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kuvert_fuzz::rewrap::run(data));
