//! See `../src/key_file.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kuvert_fuzz::key_file::run(data));
