//! Streams and buckets: what is declared, and what is there. What others have made is none of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use super::config::some;
use super::finding::{Findings, Subject};
use super::nats;
use crate::bus::{Bucket, Bus, Drift, Error, Standing, Stream};
use crate::catalog::Catalog;
use crate::engine::resources::Resources;

/// How many are asked for at once.
const AT_ONCE: usize = 16;
/// The most that are looked at.
const MAX: usize = 500;

/// One declared stream or bucket.
enum Handle {
    Stream(Stream),
    Bucket(Bucket),
}

impl Handle {
    fn label(&self) -> String {
        match self {
            Self::Stream(stream) => format!("stream {}", stream.spec().name),
            Self::Bucket(bucket) => format!("bucket {}", bucket.spec().name),
        }
    }

    async fn look(&self) -> Result<Option<Standing>, Error> {
        match self {
            Self::Stream(stream) => stream.look().await,
            Self::Bucket(bucket) => bucket.look().await,
        }
    }
}

/// Those that are there, by what they are called.
pub async fn look(
    catalog: &Arc<Catalog>,
    bus: &Bus,
    findings: &mut Findings,
) -> Vec<(String, Standing)> {
    let resources = match Resources::new(catalog, bus.clone()) {
        Ok(resources) => resources,
        Err(failure) => {
            let advice = "correct the declaration, or the settings that it is made from";
            findings.error(Subject::Streams, failure.to_string(), advice);
            return Vec::new();
        }
    };
    let mut later = Vec::new();
    let handles = declared(&resources, catalog, &mut later);
    let over = handles.len().saturating_sub(MAX);
    let asked = handles
        .iter()
        .take(MAX)
        .map(|(label, handle)| async move { (label.clone(), handle.look().await) });
    let mut asked = stream::iter(asked).buffered(AT_ONCE);
    let (mut found, mut good, mut absent) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((label, outcome)) = asked.next().await {
        match outcome {
            Ok(Some(standing)) => {
                if standing.drift.is_empty() && standing.adjusted.is_empty() {
                    good.push(label.clone());
                }
                drift(&label, &standing, findings);
                found.push((label, standing));
            }
            Ok(None) => absent.push(label),
            Err(error) => nats::failed(Subject::Streams, &error, findings),
        }
    }
    if !good.is_empty() {
        let text = format!("{} as declared: {}", good.len(), some(&good));
        findings.ok(Subject::Streams, text);
    }
    if !absent.is_empty() {
        let text = format!(
            "{} not there, made at first use: {}",
            absent.len(),
            some(&absent)
        );
        findings.ok(Subject::Streams, text);
    }
    if !later.is_empty() {
        let text = format!("named by calls, and not looked at: {}", some(&later));
        findings.ok(Subject::Streams, text);
    }
    if over > 0 {
        findings.ok(Subject::Streams, format!("{over} more are not looked at"));
    }
    queues(&resources, catalog, &found, findings);
    found
}

/// All that is declared, each once: packs may share one. `later`: those that only a call names.
fn declared(
    resources: &Resources,
    catalog: &Catalog,
    later: &mut Vec<String>,
) -> BTreeMap<String, Handle> {
    let of = |pack: usize| catalog.packs.get(pack).map_or("", |p| &*p.pack.name);
    let mut all = BTreeMap::new();
    let mut add = |handle: Handle| {
        all.insert(handle.label(), handle);
    };
    for ((pack, name), handles) in resources.declared_streams() {
        match handles {
            Some(handles) => handles.into_iter().map(Handle::Stream).for_each(&mut add),
            None => later.push(format!("stream {name} of {}", of(pack))),
        }
    }
    for ((pack, name), handles) in resources.declared_buckets() {
        match handles {
            Some(handles) => handles.into_iter().map(Handle::Bucket).for_each(&mut add),
            None => later.push(format!("bucket {name} of {}", of(pack))),
        }
    }
    all
}

/// How one differs from its declaration.
fn drift(label: &str, standing: &Standing, findings: &mut Findings) {
    let keys = |list: &[Drift]| -> String {
        let told = |d: &Drift| format!("{} is {}, declared {}", d.field, d.found, d.declared);
        list.iter().map(told).collect::<Vec<_>>().join("; ")
    };
    if !standing.drift.is_empty() {
        findings.warn(
            Subject::Streams,
            format!("{label} differs: {}", keys(&standing.drift)),
            "it is used as it is: change it by `nats stream edit`, or declare what is there",
        );
    }
    if !standing.adjusted.is_empty() {
        findings.ok_but(
            Subject::Streams,
            format!("{label} differs: {}", keys(&standing.adjusted)),
            "nothing: the next use changes it to what is declared (`adjust`)",
        );
    }
}

/// The queues, and whether what they are made of is there.
fn queues(
    resources: &Resources,
    catalog: &Catalog,
    found: &[(String, Standing)],
    findings: &mut Findings,
) {
    for queue in resources.queues() {
        let spec = queue.handle.spec();
        let (leases, dead) = (&spec.leases.spec().name, &spec.dead.spec().name);
        let parts = [format!("bucket {leases}"), format!("stream {dead}")];
        let there = |label: &&String| !found.iter().any(|(known, _)| known == *label);
        let absent: Vec<&String> = parts.iter().filter(there).collect();
        let pack = catalog.packs.get(queue.pack());
        let name = format!(
            "queue {} of {}",
            queue.name,
            pack.map_or("", |p| &*p.pack.name)
        );
        let text = match absent.is_empty() {
            true => format!(
                "{name}: its leases and dead letters are kept ({})",
                parts.join(", ")
            ),
            false => format!("{name}: not used yet ({} made at first use)", some(&absent)),
        };
        findings.ok(Subject::Streams, text);
    }
}
