//! See `../src/stream_ops.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kuvert_fuzz::stream_ops::run(data));
