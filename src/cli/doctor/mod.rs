//! `jacquard doctor`: whether a gateway could work here, and what to do where it could not. It looks and asks; it changes
//! nothing, neither on NATS nor in files.

mod clients;
mod clock;
mod config;
mod durability;
mod finding;
mod gateway;
mod nats;
mod permissions;
mod streams;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use self::finding::{Findings, Subject};
use super::{Source, fail, runtime, say, serve};
use crate::bus::permits::Permits;
use crate::catalog::Catalog;
use crate::gateway::{Setup, permits};
use crate::project::Environment;
use crate::spec::config::Transport;

/// The longest time that is spent on NATS.
const NATS_LIMIT: Duration = Duration::from_secs(10);
/// How long the runtime may take to end.
const LINGER: Duration = Duration::from_millis(100);

/// What is asked for.
#[derive(Debug, Args)]
pub struct Request {
    #[command(flatten)]
    source: Source,
    /// For a gateway that serves HTTP, at this address [default: `http.address` of the config, else 127.0.0.1:8420]
    #[arg(long, value_name = "ADDR", num_args = 0..=1, value_parser = serve::address)]
    #[allow(clippy::option_option)]
    http: Option<Option<SocketAddr>>,
    /// One JSON object, described in docs/deploy.md
    #[arg(long)]
    json: bool,
}

/// What the parts look at.
struct Patient<'a> {
    setup: &'a Setup,
    env: &'a Environment,
    /// None where the packs are broken.
    catalog: Option<Arc<Catalog>>,
    /// What the NATS user needs.
    needed: Option<Permits>,
    /// It serves HTTP.
    http: bool,
}

pub fn run(request: &Request) -> ExitCode {
    let env = Environment::from_process();
    let mut findings = Findings::default();
    let setup = config::look(&request.source, &env, &mut findings);
    match &setup {
        Some(setup) => {
            let http = request.http.is_some() || setup.config.transport == Transport::Http;
            let catalog = config::catalog(setup, &mut findings);
            let needed = permits::permits(setup, &env, http).ok().map(|made| made.0);
            let patient = Patient {
                setup,
                env: &env,
                needed: needed.filter(|_| catalog.is_some()),
                catalog,
                http,
            };
            if let Err(error) = ask(&patient, request.http.flatten(), &mut findings) {
                return fail(format!("the runtime cannot start: {error}"));
            }
        }
        None => findings.warn(
            Subject::Nats,
            "NATS, streams and the gateway are not looked at: the config says where they are",
            "mend the config first",
        ),
    }
    clients::look(setup.as_ref(), &env, &mut findings);
    findings.sort();
    say(&if request.json {
        findings.json()
    } else {
        findings.text(color())
    });
    match findings.errors() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Asks NATS and the gateway at the same time.
fn ask(
    patient: &Patient<'_>,
    address: Option<SocketAddr>,
    findings: &mut Findings,
) -> Result<(), std::io::Error> {
    let runtime = runtime()?;
    let (mut on_nats, mut over_http) = (Findings::default(), Findings::default());
    runtime.block_on(async {
        let asked = async {
            if timeout(NATS_LIMIT, nats::look(patient, &mut on_nats))
                .await
                .is_err()
            {
                on_nats.error(
                    Subject::Nats,
                    format!(
                        "not everything was answered within {NATS_LIMIT:?}; the rest is not told"
                    ),
                    "look at the load of the server and the way to it, and try again",
                );
            }
        };
        tokio::join!(asked, gateway::look(patient, address, &mut over_http));
    });
    runtime.shutdown_timeout(LINGER);
    findings.extend(on_nats);
    findings.extend(over_http);
    Ok(())
}

/// Whether standard output is a terminal that wants colours.
fn color() -> bool {
    use std::io::IsTerminal as _;
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
