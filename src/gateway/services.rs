//! The NATS services that are there, as entries that tools are made of. They come and go, and the tools follow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Change, Gateway};
use crate::bus::{self, Bus, Instance};
use crate::spec::model::MICRO;

/// How long services may take to answer who asks which there are.
const LIMIT: Duration = Duration::from_secs(1);
/// In how many looks in a row an instance must be missed to be gone.
const LOOKS: u8 = 2;
/// When it is looked again because an instance is missed, at the latest.
const AGAIN: Duration = Duration::from_secs(2);
/// The most endpoints that tools are made of.
const MAX_ENDPOINTS: usize = 1_000;

impl Gateway {
    /// Whether a pack makes tools of NATS services.
    pub fn follows_services(&self) -> bool {
        self.serving.load().engine.period(MICRO).is_some()
    }

    /// Looks once which NATS services there are, and makes their tools: for who calls one tool and goes.
    ///
    /// # Errors
    /// Those of the connection; the tools stay as they were.
    pub async fn find_services(self: &Arc<Self>) -> Result<(), bus::Error> {
        let mut roster = self.roster();
        roster.look(self.nats.bus()).await?;
        self.remake(roster.entries()).await;
        Ok(())
    }

    /// Knows nobody yet, and passes over what this gateway itself offers.
    fn roster(&self) -> Roster {
        Roster::new(self.own_service())
    }

    fn own_service(&self) -> Option<String> {
        let serving = self.serving.load();
        let own = serving.config.expose.micro.as_ref();
        own.map(|micro| micro.service().to_owned())
    }

    /// Makes tools of the NATS services that are there, if a pack wants that, for as long as the gateway is connected. While
    /// NATS is away all of them stay: a call says why it fails.
    pub async fn keep_services(self: &Arc<Self>) {
        let mut roster = self.roster();
        let mut made: Option<Vec<Value>> = None;
        let mut engines = self.engines.subscribe();
        let mut states = self.nats.bus().watch();
        while states.wait_for(bus::State::is_connected).await.is_ok() {
            let period = engines.borrow_and_update().period(MICRO);
            let Some(period) = period else {
                if engines.changed().await.is_err() {
                    return;
                }
                continue;
            };
            roster.own = self.own_service();
            let mut pause = period;
            match roster.look(self.nats.bus()).await {
                Ok(missed) => {
                    if missed {
                        pause = period.min(AGAIN);
                    }
                    let entries = roster.entries();
                    if made.as_ref() != Some(&entries) {
                        self.remake(entries.clone()).await;
                        made = Some(entries);
                    }
                }
                // It is looked again when the connection is back.
                Err(error) if error.kind() == bus::ErrorKind::Disconnected => {}
                Err(error) => roster.note(error.to_string()),
            }
            let _ = tokio::time::timeout(pause, engines.changed()).await;
        }
    }

    /// Makes the tools anew, and tells the clients when they are others.
    async fn remake(self: &Arc<Self>, entries: Vec<Value>) {
        let gateway = Arc::clone(self);
        let count = entries.len();
        let work = move || gateway.regenerate(MICRO, &entries);
        match tokio::task::spawn_blocking(work).await {
            Ok(true) => {
                tracing::info!(endpoints = count, "the tools of NATS services have changed");
                self.announce(Change::Tools);
            }
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the tools of NATS services cannot be made"),
        }
    }
}

/// Who is known to be there.
struct Roster {
    /// The service that is this gateway itself, and others that serve the same.
    own: Option<String>,
    /// By name and id, with how many looks it may still miss, and one.
    known: BTreeMap<(String, String), (Instance, u8)>,
    /// What has been logged: each once.
    noted: BTreeSet<String>,
}

impl Roster {
    fn new(own: Option<String>) -> Self {
        Self {
            own,
            known: BTreeMap::new(),
            noted: BTreeSet::new(),
        }
    }

    /// Logs a line that has not been logged before.
    fn note(&mut self, line: String) {
        if self.noted.len() >= MAX_ENDPOINTS {
            self.noted.clear();
        }
        if !self.noted.contains(&line) {
            tracing::warn!("NATS services: {line}");
            self.noted.insert(line);
        }
    }

    /// Asks who is there. Whether somebody is missed: an instance goes when it has not answered twice, since answers are lost, and
    /// after a restart of NATS others come back later than this gateway.
    async fn look(&mut self, bus: &Bus) -> Result<bool, bus::Error> {
        let roll = bus.services(LIMIT).await?;
        for line in roll.passed_over {
            self.note(line);
        }
        for instance in roll.instances {
            if self.own.as_ref() != Some(&instance.name) {
                let key = (instance.name.clone(), instance.id.clone());
                // One less, as all are counted down now.
                self.known.insert(key, (instance, LOOKS + 1));
            }
        }
        self.known.retain(|_, (_, looks)| {
            *looks -= 1;
            *looks > 0
        });
        Ok(self.known.values().any(|(_, looks)| *looks < LOOKS))
    }

    /// An entry for each endpoint of each service, in the order of their names.
    fn entries(&mut self) -> Vec<Value> {
        let mut entries = entries(self.known.values().map(|(instance, _)| instance));
        if entries.len() > MAX_ENDPOINTS {
            let count = entries.len();
            self.note(format!(
                "there are {count} endpoints; tools are made of the first {MAX_ENDPOINTS}"
            ));
            entries.truncate(MAX_ENDPOINTS);
        }
        entries
    }
}

/// Instances of one service are one: what the newest version says of the service and of an endpoint counts.
fn entries<'a>(instances: impl Iterator<Item = &'a Instance>) -> Vec<Value> {
    let mut services: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for instance in instances {
        services.entry(&instance.name).or_default().push(instance);
    }
    let mut entries = Vec::new();
    for (name, mut instances) in services {
        let ids: Vec<&str> = instances.iter().map(|i| i.id.as_str()).collect();
        instances.sort_by_key(|i| std::cmp::Reverse(ordered(&i.version)));
        let Some(newest) = instances.first() else {
            continue;
        };
        let service = json!({
            "name": name,
            "version": newest.version,
            "description": newest.description,
            "metadata": newest.metadata,
            "ids": ids,
        });
        let mut points = BTreeMap::new();
        for point in instances.iter().flat_map(|i| &i.endpoints) {
            points.entry((&point.name, &point.subject)).or_insert(point);
        }
        for point in points.into_values() {
            let endpoint = json!({
                "name": point.name,
                "subject": point.subject,
                "queue_group": point.queue_group,
                "metadata": point.metadata,
            });
            entries.push(json!({"service": service, "endpoint": endpoint}));
        }
    }
    entries
}

/// A version as it is compared: by its numbers, then as a text.
fn ordered(version: &str) -> (Vec<u64>, &str) {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers = core.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.collect(), version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Point;

    fn instance(name: &str, id: &str, version: &str, points: &[(&str, &str)]) -> Instance {
        let point = |(name, subject): &(&str, &str)| Point {
            name: (*name).to_owned(),
            subject: (*subject).to_owned(),
            queue_group: "q".to_owned(),
            metadata: BTreeMap::from([("version".to_owned(), version.to_owned())]),
        };
        Instance {
            name: name.to_owned(),
            id: id.to_owned(),
            version: version.to_owned(),
            description: format!("of {version}"),
            metadata: BTreeMap::new(),
            endpoints: points.iter().map(point).collect(),
        }
    }

    #[test]
    fn instances_of_a_service_are_one_and_the_newest_counts() {
        let all = [
            instance(
                "shop",
                "X",
                "1.9.0",
                &[("buy", "shop.buy"), ("old", "shop.old")],
            ),
            instance(
                "shop",
                "Y",
                "1.10.0",
                &[("buy", "shop.buy"), ("sell", "shop.sell")],
            ),
            instance("bank", "Z", "", &[("pay", "bank.pay")]),
        ];
        let entries = entries(all.iter());
        let shown: Vec<String> = entries
            .iter()
            .map(|e| {
                let (service, endpoint) = (&e["service"], &e["endpoint"]);
                let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
                [
                    text(&service["name"]),
                    text(&service["version"]),
                    text(&endpoint["subject"]),
                    text(&endpoint["metadata"]["version"]),
                ]
                .join(" ")
            })
            .collect();
        assert_eq!(
            shown,
            [
                "bank  bank.pay ",
                "shop 1.10.0 shop.buy 1.10.0",
                "shop 1.10.0 shop.old 1.9.0",
                "shop 1.10.0 shop.sell 1.10.0",
            ]
        );
        assert_eq!(entries[1]["service"]["ids"], json!(["X", "Y"]));
    }

    #[test]
    fn too_many_endpoints_are_cut_off() {
        let mut roster = Roster::new(None);
        for number in 0..=MAX_ENDPOINTS {
            let name = format!("s{number:05}");
            let one = instance(&name, "X", "1.0.0", &[("a", "a.b")]);
            roster.known.insert((name, "X".to_owned()), (one, LOOKS));
        }
        assert_eq!(roster.entries().len(), MAX_ENDPOINTS);
        assert_eq!(roster.noted.len(), 1);
    }
}
