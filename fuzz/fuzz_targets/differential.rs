//! Every crypto backend, same input, same bytes, same verdict. The body is `src/crypto/differential.rs`, since only
//! the crypto floor sees more than one backend at a time.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kuvert::fuzz_api::differential(data));
