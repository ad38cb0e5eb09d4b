//! See `entries::http`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::http::run(data));
