#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    stirrup_fuzz::chap::run(bytes);
});
