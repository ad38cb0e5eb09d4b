//! See `entries::info_to_metrics`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::info_to_metrics::run(data));
