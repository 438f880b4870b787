//! The `jacquard` program.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    jacquard::cli::run(std::env::args_os())
}
