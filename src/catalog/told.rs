//! What clients are told of a catalog beside its tools.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{LoadedPack, Tool};

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

/// See [`Catalog::fingerprint`](super::Catalog::fingerprint).
pub(super) fn fingerprint(tools: &[Tool]) -> String {
    let mut hash = Sha256::new();
    for tool in tools {
        let shown = json!([
            tool.name,
            tool.title,
            tool.description,
            *tool.input,
            tool.output.as_deref()
        ]);
        hash.update(shown.to_string());
    }
    let digest = hash.finalize();
    digest
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
