//! See `entries::framing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::framing::run(data));
