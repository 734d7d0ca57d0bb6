#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| farebox_text::import::fuzz::freeswitch_csv(bytes));
