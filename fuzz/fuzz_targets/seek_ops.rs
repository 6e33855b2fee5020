//! See `../src/seek_ops.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kuvert_fuzz::seek_ops::run(data));
