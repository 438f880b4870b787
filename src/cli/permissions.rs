//! `jacquard permissions`

use std::process::ExitCode;

use clap::ValueEnum;

use super::{Source, fail, refuse, say, setup};
use crate::gateway::permits;
use crate::project::Environment;
use crate::spec::config::Transport;

/// In which form permissions are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The block of a user in the configuration of a nats-server.
    Conf,
    /// JSON, with all reasons.
    Json,
}

/// Prints what the NATS user of this gateway must be allowed.
pub fn run(source: &Source, http: bool, format: Format) -> ExitCode {
    let env = Environment::from_process();
    let permits = setup::read(source, &env).and_then(|setup| {
        let http = http || setup.config.transport == Transport::Http;
        permits::permits(&setup, &env, http)
    });
    let (permits, warnings) = match permits {
        Ok(made) => made,
        Err(report) => return refuse(&report),
    };
    if !warnings.is_empty() {
        eprintln!("{}\n", warnings.render(super::color()));
    }
    match format {
        Format::Conf => say(permits::conf(&permits).trim_end()),
        Format::Json => match serde_json::to_string_pretty(&permits::to_json(&permits)) {
            Ok(text) => say(&text),
            Err(error) => return fail(error),
        },
    }
    ExitCode::SUCCESS
}
