#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| iib_fuzz::images::challenge(data));
