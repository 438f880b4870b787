//! What other programs say of resources on NATS.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::made::Made;
use super::source::Source;
use crate::bus::{Bus, ErrorKind, Subscription};
use crate::gateway::Change;

/// How long after a subscription was refused it is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// The most addresses of one message; of one with more it is taken that anything may have changed.
const MAX_NAMED: usize = 1000;

/// Hears what others say of the files of a folder, until the bus is closed. `look` has the folder looked at.
pub(super) async fn of_folder(
    source: Arc<Source>,
    bus: Bus,
    look: Arc<Notify>,
    tell: impl Fn(Change),
) {
    let heard = |uris: Option<Vec<String>>| match uris {
        Some(uris) => {
            let known = uris.iter().filter_map(|uri| source.canonical(uri));
            known.for_each(|uri| tell(Change::Updated(uri)));
        }
        None => {
            tell(Change::Resources);
            look.notify_one();
        }
    };
    hear(&source.name, &source.changed, &bus, heard).await;
}

/// Hears what others say of resources that steps make, until the bus is closed.
pub(super) async fn of_steps(made: Arc<Made>, bus: Bus, tell: impl Fn(Change)) {
    let heard = |uris: Option<Vec<String>>| match uris {
        Some(uris) => {
            let known = uris.iter().filter_map(|uri| made.canonical(uri));
            known.for_each(|uri| tell(Change::Updated(uri)));
        }
        None => {
            if made.decl.list.is_some() {
                tell(Change::Resources);
            }
            tell(Change::UpdatedAll(made.template.clone()));
        }
    };
    hear(&made.name, &made.changed, &bus, heard).await;
}

/// Hears subjects until the bus is closed: of each message, the addresses that it names, or `None`.
async fn hear(
    resources: &str,
    subjects: &[String],
    bus: &Bus,
    heard: impl Fn(Option<Vec<String>>),
) {
    let mut complained = false;
    loop {
        match bus.subscribe(subjects, Subscription::CAPACITY).await {
            Ok(subscription) => return follow(subscription, heard).await,
            Err(error) if error.kind() == ErrorKind::Closed => return,
            Err(error) if !std::mem::replace(&mut complained, true) => {
                tracing::warn!(resources, %error, "changes that others tell are not heard");
            }
            Err(_) => {}
        }
        sleep(RETRY).await;
    }
}

async fn follow(mut subscription: Subscription, heard: impl Fn(Option<Vec<String>>)) {
    let mut dropped = 0;
    while let Some(message) = subscription.next().await {
        let lost = subscription.dropped() != dropped;
        dropped = subscription.dropped();
        heard(named(&message.payload).filter(|_| !lost));
    }
}

/// The addresses that a message names: `{uri: …}` or `{uris: […]}`; `None` for anything else.
fn named(payload: &[u8]) -> Option<Vec<String>> {
    let message: Value = serde_json::from_slice(payload).ok()?;
    match (message.get("uri"), message.get("uris")) {
        (Some(Value::String(uri)), None) => Some(vec![uri.clone()]),
        (None, Some(Value::Array(uris))) if uris.len() <= MAX_NAMED => {
            let texts = uris.iter().map(|uri| uri.as_str().map(str::to_owned));
            texts.collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_addresses_or_says_that_one_should_look() {
        let texts = |uris: &[&str]| Some(uris.iter().map(|u| (*u).to_owned()).collect());
        for (payload, expected) in [
            (r#"{"uri": "a:/1", "by": "x"}"#, texts(&["a:/1"])),
            (r#"{"uris": ["a:/1", "a:/2"]}"#, texts(&["a:/1", "a:/2"])),
            (r#"{"uris": []}"#, texts(&[])),
            (r#"{"uris": ["a:/1", 2]}"#, None),
            (r#"{"uri": 1}"#, None),
            ("{}", None),
            ("[\"a:/1\"]", None),
            ("", None),
            ("\u{1}", None),
        ] {
            assert_eq!(named(payload.as_bytes()), expected, "{payload}");
        }
    }
}
