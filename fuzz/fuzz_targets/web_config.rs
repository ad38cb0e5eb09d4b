//! See `entries::web_config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::web_config::run(data));
