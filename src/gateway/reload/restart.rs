//! What of a config only a new start takes over.

use crate::gateway::Setup;

/// The sections that are other than at the start and are not taken over. A gateway stays in its project: of another one `now`
/// gets the facts of the start.
pub(super) fn needed(started: &Setup, now: &mut Setup) -> Vec<&'static str> {
    let (old, new) = (&started.config, &now.config);
    let (was, is) = (&started.facts, &now.facts);
    let other_project = (&was.path, &was.name, &was.id) != (&is.path, &is.name, &is.id);
    let sections = [
        ("nats", old.nats != new.nats || was.nats_url != is.nats_url),
        ("transport", old.transport != new.transport),
        ("http", old.http != new.http),
        ("auth", old.auth != new.auth),
        ("log", old.log != new.log || was.logging != is.logging),
        ("project", other_project),
    ];
    if other_project {
        now.facts.clone_from(&started.facts);
    }
    let changed = sections.into_iter().filter(|(_, other)| *other);
    changed.map(|(section, _)| section).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::project::{Environment, discover};
    use crate::spec::config::load;
    use crate::spec::source::Source;

    fn setup(text: &str, folder: &str) -> Setup {
        let text = format!("packs: [warp]\n{text}");
        let env = Environment::from_iter([("HOME", "/nowhere")]);
        Setup {
            config: load(Source::new("c.yaml", text), Some(&|_| None))
                .0
                .unwrap(),
            base: PathBuf::from("."),
            facts: discover(Some(Path::new(folder)), None, &env).unwrap(),
            allow_local: false,
        }
    }

    #[test]
    fn what_is_not_taken_over_is_named() {
        let started = setup("", "/a");
        for (text, folder, expected) in [
            ("", "/a", &[][..]),
            ("name: other\ntoolsets: {t: {tools: ['*']}}", "/a", &[]),
            ("nats: {url: 'nats://h:1'}", "/a", &["nats"]),
            (
                "http: {address: '127.0.0.1:1'}\nlog: {level: debug}",
                "/a",
                &["http", "log"],
            ),
            ("", "/b", &["project"]),
        ] {
            let mut now = setup(text, folder);
            assert_eq!(needed(&started, &mut now), expected, "{text}");
            assert_eq!(now.facts.path, Path::new("/a"));
        }
    }
}
