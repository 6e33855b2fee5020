//! See `../src/open_record.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kuvert_fuzz::open_record::run(data));
