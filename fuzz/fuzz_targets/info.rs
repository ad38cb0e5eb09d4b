//! See `entries::info`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::info::run(data));
