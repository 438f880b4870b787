//! What clients are told of a catalog beside its tools.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::LoadedPack;

/// What all packs say under `capabilities`; where two say the same name, the fields of both.
pub(super) fn experimental(packs: &[LoadedPack]) -> BTreeMap<String, Map<String, Value>> {
    let mut merged: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for (name, fields) in packs
        .iter()
        .flat_map(|p| p.pack.capabilities.experimental.iter())
    {
        let known = merged.entry(name.to_owned()).or_default();
        known.extend(
            fields
                .iter()
                .map(|(key, json)| (key.to_owned(), json.to_value())),
        );
    }
    merged
}
