//! The server: which one, whether it answers, what it is, and what the account may have.

use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::finding::{Findings, Subject};
use super::{Patient, clock, durability, permissions, streams};
use crate::bus::local::{self, Options};
use crate::bus::{Account, Bus, Error, ErrorKind, Login};
use crate::gateway::full;
use crate::gateway::nats::{self, Choice};
use crate::project::DEFAULT_URL;

/// How long a server may take to let a connection in.
const CONNECT: Duration = Duration::from_secs(3);
/// The longest time of one request.
const REQUEST: Duration = Duration::from_millis(1500);
/// How long the look at the local server may take.
const LOCAL: Duration = Duration::from_secs(3);
/// What is sent on before the connection is closed.
const CLOSE: Duration = Duration::from_millis(300);
/// From this time on every call is slow.
const SLOW: Duration = Duration::from_millis(250);

/// Looks at NATS and all that is there.
pub async fn look(patient: &Patient<'_>, findings: &mut Findings) {
    let Choice { mut config, local } = nats::choice(patient.setup, patient.env);
    let mut managed = false;
    if local && !nats::default_answers().await {
        let Some(address) = local_server(findings).await else {
            return;
        };
        config.servers = vec![address];
        managed = true;
    }
    config.name = "jacquard doctor".to_owned();
    config.request_timeout = config.request_timeout.min(REQUEST);
    let bus = match Bus::connect(config).await {
        Ok(bus) => bus,
        Err(error) => return failed(Subject::Nats, &error, findings),
    };
    match bus.wait_connected(CONNECT).await {
        Ok(()) => inside(patient, &bus, managed, findings).await,
        Err(error) if nats::is_required(patient.setup) => unreachable(patient, &error, findings),
        Err(error) => findings.warn(
            Subject::Nats,
            told(&error),
            "the config does not require NATS (`nats.required: false`): what needs it fails until it is there",
        ),
    }
    bus.close(CLOSE).await;
}

/// An error of the bus, and what can be done about it.
pub fn failed(subject: Subject, error: &Error, findings: &mut Findings) {
    findings.error(subject, told(error), error.advice());
}

/// What happened, without the advice.
pub fn told(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{}: {cause}", error.context()),
        None => error.context().to_owned(),
    }
}

fn unreachable(patient: &Patient<'_>, error: &Error, findings: &mut Findings) {
    let named = patient.setup.facts.nats_url.as_ref();
    let from = match named {
        Some(url) => format!("the address is from the {}", url.origin),
        None => format!("{DEFAULT_URL} is the default address"),
    };
    let advice = match error.kind() {
        ErrorKind::Unauthorized => error.advice().to_owned(),
        _ => format!("start the server, or name another one by NATS_URL or `nats.url` ({from})"),
    };
    findings.error(Subject::Nats, told(error), advice);
}

/// The address of the local server; without one that runs, says what a gateway would do.
async fn local_server(findings: &mut Findings) -> Option<String> {
    let options = match Options::from_env() {
        Ok(options) => Options {
            fetch: false,
            ..options
        },
        Err(error) => {
            findings.error(Subject::Nats, full(&error), "correct the variable");
            return None;
        }
    };
    match timeout(LOCAL, local::address(&options)).await {
        Ok(Ok(Some(address))) => {
            let text = format!(
                "no NATS is named: gateways share the local server in {}",
                options.data_dir.display()
            );
            findings.ok(Subject::Nats, text);
            return Some(address);
        }
        Ok(Ok(None)) => {}
        Ok(Err(error)) => {
            findings.error(
                Subject::Nats,
                full(&error),
                "`jacquard nats status` tells more",
            );
            return None;
        }
        Err(_) => {
            let text = "the local server is being started or stopped";
            findings.warn(Subject::Nats, text, "try again in a minute");
            return None;
        }
    }
    let none = format!("no NATS is named and none answers at {DEFAULT_URL}");
    match timeout(LOCAL, local::find_binary(options, &|_| {})).await {
        Ok(Ok(path)) => findings.ok(
            Subject::Nats,
            format!(
                "{none}: a gateway runs a local server when it needs one ({})",
                path.display()
            ),
        ),
        Ok(Err(error)) if error.kind() == local::ErrorKind::TooOld => {
            findings.error(
                Subject::Nats,
                format!("{none}, and no local server can run: {}", full(&error)),
                "set NATS_SERVER to a newer one",
            );
        }
        _ => findings.warn(
            Subject::Nats,
            format!("{none}, and there is no nats-server here: the first gateway fetches one"),
            "install nats-server, or name a server by NATS_URL, where nothing may be fetched",
        ),
    }
    let text = "streams, permissions and clocks can be looked at when it runs";
    findings.ok_but(Subject::Streams, text, "`jacquard nats up` starts it");
    None
}

async fn inside(patient: &Patient<'_>, bus: &Bus, managed: bool, findings: &mut Findings) {
    let trip = server(bus, findings).await;
    let login = bus.login().await;
    let asked = SystemTime::now();
    if bus.hears_no_answers() {
        let text = "the user may not hear answers (its inbox is refused): nothing can be asked, and no tool can use NATS";
        let advice = "allow the inbox in the line `subscribe` of `jacquard permissions`, or set `nats.inbox_prefix` to the one that is allowed";
        return findings.error(Subject::Permissions, text, advice);
    }
    let usable = jetstream(patient, bus, findings).await;
    permissions::look(patient, bus, login.as_ref(), findings).await;
    let found = match &patient.catalog {
        Some(catalog) if usable => streams::look(catalog, bus, findings).await,
        _ => Vec::new(),
    };
    let looked = SystemTime::now();
    if usable && patient.catalog.is_some() {
        durability::judge(&found, managed, findings);
    }
    let ahead = match login.ok().and_then(|login: Login| login.time) {
        Some(time) => clock::ahead(&time, asked),
        // The last one that was asked for; the others may be older than the request for it.
        None => {
            let times = found
                .iter()
                .filter_map(|(_, standing)| standing.time.as_ref());
            times.max().and_then(|time| clock::ahead(time, looked))
        }
    };
    clock::judge(ahead, trip.as_secs_f64(), findings);
}

/// The server and the way to it; answers how long that takes.
async fn server(bus: &Bus, findings: &mut Findings) -> Duration {
    let trip = match bus.round_trip().await {
        Ok(trip) => trip,
        Err(error) => {
            failed(Subject::Nats, &error, findings);
            return REQUEST;
        }
    };
    let (name, version) = match bus.server() {
        Some(info) => (info.name, info.version),
        None => (String::new(), String::new()),
    };
    let text = format!(
        "{} answers in {trip:.1?}: nats-server {version} ({name})",
        bus.servers()
    );
    if trip > SLOW {
        let advice =
            "every call takes one to three such round trips: run the gateway nearer to the server";
        findings.warn(Subject::Nats, text, advice);
    } else {
        findings.ok(Subject::Nats, text);
    }
    trip
}

/// Whether streams can be used.
async fn jetstream(patient: &Patient<'_>, bus: &Bus, findings: &mut Findings) -> bool {
    let needed = patient.http
        || patient.catalog.as_ref().is_none_or(|catalog| {
            let stores = |pack: &crate::spec::model::Pack| {
                pack.streams.keys().next().is_some() || pack.buckets.keys().next().is_some()
            };
            catalog.packs.iter().any(|loaded| stores(&loaded.pack))
        });
    if let Some(lacks) = bus.lacks() {
        let advice = "use nats-server 2.11 or newer with JetStream (`jetstream {}` in its configuration, or -js)";
        match needed {
            true => findings.error(Subject::Nats, lacks.as_str(), advice),
            false => findings.warn(Subject::Nats, lacks.as_str(), advice),
        }
        return false;
    }
    match bus.account().await {
        Ok(account) => limits(&account, findings),
        // A gateway does not ask that; it may do without.
        Err(error) if error.kind() == ErrorKind::Permission => findings.ok(
            Subject::Nats,
            "JetStream is there; what the account may have cannot be asked by this user ($JS.API.INFO)",
        ),
        Err(error) if needed => {
            let advice = "enable JetStream for the account of this user";
            findings.error(Subject::Nats, told(&error), advice);
            return false;
        }
        Err(error) => {
            findings.warn(Subject::Nats, told(&error), error.advice());
            return false;
        }
    }
    true
}

/// What the account has, of what it may have.
fn limits(account: &Account, findings: &mut Findings) {
    let of = |used: u64, most: i64| -> (f64, String) {
        match u64::try_from(most) {
            Ok(most) => {
                #[allow(clippy::cast_precision_loss)]
                let share = if most == 0 {
                    0.0
                } else {
                    used as f64 / most as f64
                };
                (share, format!("{} of {}", bytes(used), bytes(most)))
            }
            Err(_) => (0.0, bytes(used)),
        }
    };
    let limits = &account.limits;
    let streams = u64::try_from(account.streams).unwrap_or_default();
    let (disk, disk_text) = of(account.storage, limits.max_storage);
    let (memory, memory_text) = of(account.memory, limits.max_memory);
    let (many, _) = of(streams, limits.max_streams);
    let most = match limits.max_streams {
        n if n < 0 => String::new(),
        n => format!(" of {n}"),
    };
    let text = format!(
        "JetStream: {streams}{most} stream(s), {disk_text} on disk, {memory_text} in memory"
    );
    if disk >= 1.0 || many >= 1.0 {
        let advice =
            "nothing more can be stored or made: make room, or raise the limits of the account";
        findings.error(Subject::Nats, text, advice);
    } else if disk > 0.9 || memory > 0.9 || many > 0.9 {
        let advice = "little is left: make room, or raise the limits of the account";
        findings.warn(Subject::Nats, text, advice);
    } else {
        findings.ok(Subject::Nats, text);
    }
    if limits.max_bytes_required {
        findings.warn(
            Subject::Nats,
            "the account takes only streams with a limit of bytes",
            "give every stream and bucket `max_bytes`",
        );
    }
}

/// For people.
fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[allow(clippy::cast_precision_loss)]
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    match unit {
        0 => format!("{count} {name}"),
        _ => format!("{value:.1} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::AccountLimits;

    #[test]
    fn an_account_that_is_nearly_full_is_told() {
        let told = |storage, max_storage, max_streams| {
            let mut findings = Findings::default();
            let account = Account {
                storage,
                streams: 3,
                limits: AccountLimits {
                    max_storage,
                    max_streams,
                    ..AccountLimits::default()
                },
                ..Account::default()
            };
            limits(&account, &mut findings);
            findings.text(false)
        };
        let text = told(2048, -1, -1);
        assert!(
            text.contains("ok       JetStream: 3 stream(s), 2.0 KiB on disk, 0 B in memory"),
            "{text}"
        );
        assert!(told(95, 100, 10).contains("warning  JetStream: 3 of 10 stream(s), 95 B of 100 B"));
        assert!(told(1, 100, 3).contains("error "));
    }
}
