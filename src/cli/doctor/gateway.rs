//! A gateway that serves HTTP: whether it answers, whether it is ready, and how its last reload went.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::Patient;
use super::config::some;
use super::finding::{Findings, Subject};
use crate::spec::config::http::DEFAULT_ADDRESS;

/// The longest time of one question.
const LIMIT: Duration = Duration::from_secs(2);
/// The longest answer, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Asks the gateway of this config. `address` comes before the config's.
pub async fn look(patient: &Patient<'_>, address: Option<SocketAddr>, findings: &mut Findings) {
    if !patient.http {
        return;
    }
    let named = patient.setup.config.http.address.as_deref();
    let named = named.unwrap_or(DEFAULT_ADDRESS);
    let Some(address) = address.or_else(|| named.parse().ok()) else {
        let text = format!("http.address: {named} is not an IP address and a port");
        return findings.error(Subject::Gateway, text, "write one such as 127.0.0.1:8420");
    };
    if address.port() == 0 {
        let text = "the gateway takes any free port: where it listens is not known";
        return findings.ok_but(Subject::Gateway, text, "give its address by --http");
    }
    let at = reachable(address);
    // Both at once, off this thread: they block.
    let ask = |path: &'static str| tokio::task::spawn_blocking(move || fetched(at, path));
    let (health, ready) = tokio::join!(ask("health"), ask("ready"));
    let gone = |_| Err("it could not be asked".to_owned());
    match health.unwrap_or_else(gone) {
        Ok(health) => judge(at, &health, ready.unwrap_or_else(gone), findings),
        Err(problem) => findings.warn(
            Subject::Gateway,
            format!("no gateway answers at http://{at}: {problem}"),
            "start it with `jacquard serve`, or give the address where it listens by --http",
        ),
    }
}

/// An address of this machine for one that means all of its addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn fetched(at: SocketAddr, path: &str) -> Result<Value, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(LIMIT))
        .max_redirects(0)
        .http_status_as_error(false)
        // The gateway is reached as it is, whatever proxy this shell has.
        .proxy(None)
        .build()
        .into();
    let answer = agent.get(format!("http://{at}/{path}")).call();
    let mut answer = answer.map_err(|error| error.to_string())?;
    let body = answer.body_mut().with_config().limit(MAX_BYTES);
    let text = body.read_to_string().map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|_| {
        format!(
            "the answer of /{path} is none of a gateway's ({})",
            answer.status()
        )
    })
}

fn judge(at: SocketAddr, health: &Value, ready: Result<Value, String>, findings: &mut Findings) {
    let own = env!("CARGO_PKG_VERSION");
    let Some(version) = health["version"].as_str() else {
        let text = format!("what answers at http://{at} is no gateway");
        let advice = "stop the other program, or give the gateway another address (`http.address`)";
        return findings.error(Subject::Gateway, text, advice);
    };
    let count = |key: &str| health[key].as_u64().unwrap_or_default();
    let text = format!(
        "http://{at}: version {version}, up for {} s, {} tool(s), {} session(s), NATS {}",
        count("uptime_s"),
        count("tools"),
        count("sessions"),
        health["nats"].as_str().unwrap_or("unknown"),
    );
    if version == own {
        findings.ok(Subject::Gateway, text);
    } else {
        let advice = format!("restart it to serve with this program, which is version {own}");
        findings.warn(Subject::Gateway, text, advice);
    }
    match ready {
        Ok(ready) => readiness(&ready, findings),
        Err(problem) => findings.error(
            Subject::Gateway,
            format!("whether it is ready cannot be told: {problem}"),
            "look at its log",
        ),
    }
}

/// What `/ready` says: reasons, and the last reload.
fn readiness(ready: &Value, findings: &mut Findings) {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    if ready["ready"] == true {
        findings.ok(Subject::Gateway, "it is ready");
    } else {
        let text = format!("it is not ready: {}", some(&texts(&ready["reasons"])));
        findings.error(
            Subject::Gateway,
            text,
            "look at what is said of NATS above, and at its log",
        );
    }
    let reload = &ready["reload"];
    let since = reload["since"].as_str().unwrap_or_default();
    if reload["ok"] == false {
        findings.error(
            Subject::Gateway,
            format!(
                "a change is not served since {since}, and what was served before goes on: {}",
                reload["error"].as_str().unwrap_or("the log says why")
            ),
            "mend the file; it is read again when it is written, or on SIGHUP",
        );
    } else if reload["ok"] == true {
        findings.ok(
            Subject::Gateway,
            format!("the last reload, at {since}, went well"),
        );
    }
    let restart = texts(&reload["restart"]);
    if !restart.is_empty() {
        let text = format!(
            "these sections have changed, and wait for a restart: {}",
            some(&restart)
        );
        findings.warn(Subject::Gateway, text, "restart the gateway");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(health: &Value, ready: Value) -> String {
        let mut findings = Findings::default();
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        judge(at, health, Ok(ready), &mut findings);
        findings.text(false)
    }

    #[test]
    fn a_gateway_says_how_it_is() {
        let health = json!({"version": env!("CARGO_PKG_VERSION"), "tools": 3, "nats": "connected"});
        let text = told(&health, json!({"ready": true, "reasons": []}));
        assert!(
            text.contains("3 tool(s)") && text.contains("2 ok, 0 warning(s), 0 error(s)"),
            "{text}"
        );
        let text = told(
            &health,
            json!({"ready": false, "reasons": ["NATS is refused"], "reload": {"ok": false, "since": "S", "error": "a.yaml:1:1: odd [schema]", "restart": ["auth"]}}),
        );
        assert!(
            text.contains("error    it is not ready: NATS is refused"),
            "{text}"
        );
        assert!(
            text.contains("since S") && text.contains("a.yaml:1:1: odd [schema]"),
            "{text}"
        );
        assert!(text.contains("wait for a restart: auth"), "{text}");
        let text = told(
            &json!({"version": "0.0.1"}),
            json!({"ready": true, "reload": {"ok": true, "since": "S"}}),
        );
        assert!(
            text.contains("warning") && text.contains("went well"),
            "{text}"
        );
        assert!(told(&json!([]), json!({})).contains("is no gateway"));
    }

    #[test]
    fn an_address_of_all_is_asked_on_this_machine() {
        for (given, asked) in [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(given.parse().map(reachable).ok(), asked.parse().ok());
        }
    }
}
