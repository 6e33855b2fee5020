//! See `../src/open_message.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kuvert_fuzz::open_message::run(data));
