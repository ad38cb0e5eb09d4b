//! See `entries::lost_writes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::lost_writes::run(data));
