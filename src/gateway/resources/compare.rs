//! What has changed in a folder between two looks at it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::files::Entry;

/// The files of a folder as they were.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Snapshot(BTreeMap<String, (u64, Option<SystemTime>)>);

impl Snapshot {
    pub(super) fn of(files: Vec<Entry>) -> Self {
        let files = files.into_iter();
        Self(files.map(|f| (f.name, (f.bytes, f.modified))).collect())
    }

    /// What is different in `now`.
    pub(super) fn differences(&self, now: &Self) -> Differences {
        let mut found = Differences::default();
        for (name, file) in &now.0 {
            match self.0.get(name) {
                Some(before) if before == file => {}
                before => {
                    found.listed |= before.is_none();
                    found.updated.push(name.clone());
                }
            }
        }
        for name in self.0.keys().filter(|name| !now.0.contains_key(*name)) {
            found.listed = true;
            found.updated.push(name.clone());
        }
        found
    }
}

/// What clients are told.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Differences {
    /// Files have come or gone.
    pub(super) listed: bool,
    /// Files that have come or gone, or say something else.
    pub(super) updated: Vec<String>,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn snapshot(files: &[(&str, u64, u64)]) -> Snapshot {
        let entry = |(name, bytes, at): &(&str, u64, u64)| Entry {
            name: (*name).to_owned(),
            bytes: *bytes,
            modified: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(*at)),
        };
        Snapshot::of(files.iter().map(entry).collect())
    }

    #[test]
    fn what_came_went_and_changed_is_found() {
        let before = snapshot(&[("a", 1, 1), ("b", 1, 1), ("c", 1, 1), ("d", 1, 1)]);
        for (now, listed, updated) in [
            (
                snapshot(&[("a", 1, 1), ("b", 1, 1), ("c", 1, 1), ("d", 1, 1)]),
                false,
                &[][..],
            ),
            (
                snapshot(&[("a", 1, 2), ("b", 2, 1), ("c", 1, 1), ("d", 1, 1)]),
                false,
                &["a", "b"],
            ),
            (
                snapshot(&[("a", 1, 1), ("c", 1, 1), ("d", 1, 1), ("e", 1, 1)]),
                true,
                &["e", "b"],
            ),
            (snapshot(&[]), true, &["a", "b", "c", "d"]),
        ] {
            let found = before.differences(&now);
            assert_eq!(
                (found.listed, found.updated.as_slice()),
                (
                    listed,
                    &updated.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()[..]
                )
            );
        }
    }
}
