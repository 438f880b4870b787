//! Whether the NATS user may do what the gateway needs: as the server tells it, else as far as it can be tried.

use super::config::some;
use super::finding::{Findings, Subject};
use super::{Patient, nats};
use crate::bus::permits::Line;
use crate::bus::{Bus, Error, ErrorKind, Lacking, Login};

/// What to do about permissions that are missing.
const ADVICE: &str = "`jacquard permissions` prints the block that the user needs; give it to the user in the server's configuration";
/// The most subjects that have a line each, for either side.
const LINES: usize = 10;
/// The most reasons that are named.
const REASONS: usize = 3;

/// Compares what is needed with what the user may do.
pub async fn look(
    patient: &Patient<'_>,
    bus: &Bus,
    login: Result<&Login, &Error>,
    findings: &mut Findings,
) {
    let Some(needed) = &patient.needed else {
        return;
    };
    match login {
        Ok(Login {
            rules: None,
            account,
            ..
        }) => {
            let text = format!("the user may do everything in the account {account}");
            findings.ok(Subject::Permissions, text);
        }
        Ok(Login {
            rules: Some(rules), ..
        }) => {
            let lacking = rules.lacking(needed);
            if lacking.is_empty() {
                let count = needed.publish().len() + needed.subscribe().len();
                let text = format!("the user may do all {count} things that the gateway needs");
                findings.ok(Subject::Permissions, text);
            }
            missing(&lacking, findings);
        }
        // A user with just what a gateway needs may not ask.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::Permission | ErrorKind::NoResponders | ErrorKind::Timeout
            ) =>
        {
            match bus.try_permits(needed).await {
                Ok(lacking) => tried(&lacking, findings),
                Err(error) => nats::failed(Subject::Permissions, &error, findings),
            }
        }
        Err(error) => nats::failed(Subject::Permissions, error, findings),
    }
}

fn tried(lacking: &Lacking, findings: &mut Findings) {
    let untried = match lacking.untried.as_slice() {
        [] => String::new(),
        untried => format!(
            "; not tried, as that would send or change something: {}",
            some(untried)
        ),
    };
    if lacking.is_empty() {
        findings.ok(
            Subject::Permissions,
            format!("the user may not ask what it may do; all that can be tried without effect is allowed{untried}"),
        );
    }
    missing(lacking, findings);
}

/// A line for each subject that is refused.
fn missing(lacking: &Lacking, findings: &mut Findings) {
    let sides = [
        ("publish to", &lacking.publish),
        ("subscribe to", &lacking.subscribe),
    ];
    for (what, lines) in sides {
        for Line { subject, why } in lines.iter().take(LINES) {
            let named: Vec<&str> = why.iter().take(REASONS).map(String::as_str).collect();
            let more = match why.len().saturating_sub(REASONS) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let reasons = named.join(", ");
            let text =
                format!("the user may not {what} {subject}, which is needed for {reasons}{more}");
            findings.error(Subject::Permissions, text, ADVICE);
        }
        let rest: Vec<&str> = lines
            .iter()
            .skip(LINES)
            .map(|l| l.subject.as_str())
            .collect();
        if !rest.is_empty() {
            let text = format!(
                "the user may not {what} {} more subjects: {}",
                rest.len(),
                some(&rest)
            );
            findings.error(Subject::Permissions, text, ADVICE);
        }
    }
    if lacking.answers {
        let text = "the user may not answer those who ask (`allow_responses`)";
        findings.error(Subject::Permissions, text, ADVICE);
    }
}
