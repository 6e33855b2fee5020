//! See `../src/context.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kuvert_fuzz::context::run(data));
