//! How often it is looked whether the entries of generators with `from` have changed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::failure::{Failure, FailureKind};
use super::resources::Reader;
use crate::catalog::Catalog;
use crate::spec::model::TIMER_PERIOD;

/// When a generator does not say.
const DEFAULT: Duration = Duration::from_secs(5);

/// The shortest period of each source that the generators of a catalog name.
///
/// # Errors
/// [`FailureKind::Range`] for a period outside of [`TIMER_PERIOD`], or whatever its expression runs into.
pub(super) fn periods(catalog: &Catalog) -> Result<BTreeMap<String, Duration>, Failure> {
    let mut periods = BTreeMap::new();
    for (pack, loaded) in catalog.packs.iter().enumerate().filter(|(_, p)| p.named) {
        let context = catalog.base_context(pack);
        let reader = Reader {
            templates: &catalog.templates,
            context: &context,
        };
        for (name, generator) in loaded.pack.generate.iter() {
            let Some(source) = &generator.from else {
                continue;
            };
            let within = |why: String, kind| {
                let pack = &loaded.pack.name;
                let text = format!("the generator `{name}` of the pack `{pack}`: {why}");
                Failure::new(kind, text)
            };
            let every = reader
                .span("every", generator.every.as_ref())
                .map_err(|e| within(e.to_string(), e.kind))?
                .unwrap_or(DEFAULT);
            if !TIMER_PERIOD.contains(&every) {
                let why = format!("`every` is {every:?}, and must be from 1s to 24h");
                return Err(within(why, FailureKind::Range));
            }
            let shortest = periods.entry(source.to_string()).or_insert(every);
            *shortest = every.min(*shortest);
        }
    }
    Ok(periods)
}
