//! The fuzz targets, in one binary, for libFuzzer. `FUZZ_TARGET` names the one that runs.
#![no_main]
// A session of the gateway is a deep future.
#![recursion_limit = "256"]

mod mutate;
mod targets;

use std::sync::OnceLock;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use targets::Target;

/// The target of this process.
fn target() -> Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    *TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        Target::named(&name)
            .unwrap_or_else(|| panic!("FUZZ_TARGET is `{name}`, and no target is called so"))
    })
}

fuzz_target!(|input: &[u8]| target().run(input));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match mutate::mutated(target(), &data[..size], seed) {
        Some(made) if made.len() <= max_size => {
            data[..made.len()].copy_from_slice(&made);
            made.len()
        }
        _ => fuzzer_mutate(data, size, max_size),
    }
});
