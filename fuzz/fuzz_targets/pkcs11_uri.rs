//! See `../src/pkcs11_uri.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kuvert_fuzz::pkcs11_uri::run(data));
