//! What is lost when something breaks, by how the streams really are.

use super::config::some;
use super::finding::{Findings, Subject};
use crate::bus::Standing;

/// Says what survives the crash of a server process, the loss of a node, and a power cut. `managed`: by the local server
/// that gateways run.
pub fn judge(found: &[(String, Standing)], managed: bool, findings: &mut Findings) {
    if found.is_empty() {
        let text = "no stream or bucket is there yet: how they are kept is not known";
        return findings.ok(Subject::Durability, text);
    }
    crash(found, findings);
    node(found, findings);
    power(found, managed, findings);
}

fn labels(found: &[(String, Standing)], which: impl Fn(&Standing) -> bool) -> Vec<&str> {
    let chosen = found.iter().filter(|(_, standing)| which(standing));
    chosen.map(|(label, _)| label.as_str()).collect()
}

fn crash(found: &[(String, Standing)], findings: &mut Findings) {
    let lost = |standing: &Standing| standing.in_memory && standing.replicas < 3;
    // Who declares memory has chosen it.
    let chosen = |standing: &Standing| !standing.drift.iter().any(|d| d.field == "storage");
    let meant = labels(found, |s| lost(s) && chosen(s));
    let odd = labels(found, |s| lost(s) && !chosen(s));
    let rest = match meant.is_empty() {
        true => String::new(),
        false => format!(
            ", but for what is declared to be in memory: {}",
            some(&meant)
        ),
    };
    if odd.is_empty() {
        let text = "a server process that crashes loses nothing that it has acknowledged";
        return findings.ok(Subject::Durability, format!("{text}{rest}"));
    }
    let text = "when the server process crashes or restarts, all of these is lost, which are in memory only";
    findings.warn(
        Subject::Durability,
        format!("{text}: {}", some(&odd)),
        "they are declared to be on disk: delete them when they can be spared, and they are made anew as declared",
    );
}

fn node(found: &[(String, Standing)], findings: &mut Findings) {
    let single = labels(found, |s| s.replicas < 3);
    if single.is_empty() {
        let text =
            "the loss of a node loses nothing: each stream has a majority of copies without it";
        findings.ok(Subject::Durability, text);
    } else if found.iter().any(|(_, standing)| standing.clustered) {
        findings.warn(
            Subject::Durability,
            format!("when the node of one of these is lost, so is its only copy, or nothing can be stored (2 copies): {}", some(&single)),
            "the server is one of a cluster: `replicas: 3` keeps three copies",
        );
    } else {
        findings.ok_but(
            Subject::Durability,
            "the loss of the node is the loss of everything: the server is alone, its disk has the only copy",
            "back it up, or use a cluster of three servers and `replicas: 3`, where that matters",
        );
    }
}

fn power(found: &[(String, Standing)], managed: bool, findings: &mut Findings) {
    let single = found.iter().any(|(_, standing)| standing.replicas < 3);
    if managed {
        findings.ok_but(
            Subject::Durability,
            "a power cut may lose what was stored in the last 2 minutes: the local server writes to the disk at that interval (NATS's default)",
            "use a NATS server of your own with `sync_interval: always` where that matters",
        );
    } else if single {
        findings.ok_but(
            Subject::Durability,
            "a power cut may lose what was stored in the last 2 minutes, if the server has the default `sync_interval: 2m`; that cannot be asked of it",
            "`jetstream { sync_interval: always }` in the server's configuration loses nothing, and makes storing slower",
        );
    } else {
        findings.ok_but(
            Subject::Durability,
            "a power cut of one node loses nothing; one of all nodes at once may lose the last 2 minutes, if `sync_interval` is the default (it cannot be asked)",
            "put the nodes on different power, or set `sync_interval: always`",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Drift;

    fn standing(replicas: u64, in_memory: bool, clustered: bool) -> (String, Standing) {
        let storage = Drift {
            field: "storage".to_owned(),
            declared: "file".to_owned(),
            found: "memory".to_owned(),
        };
        let standing = Standing {
            drift: in_memory.then_some(storage).into_iter().collect(),
            adjusted: Vec::new(),
            replicas,
            in_memory,
            clustered,
            time: None,
        };
        (format!("stream R{replicas}"), standing)
    }

    fn told(found: &[(String, Standing)], managed: bool) -> String {
        let mut findings = Findings::default();
        judge(found, managed, &mut findings);
        findings.text(false)
    }

    #[test]
    fn what_survives_follows_from_copies_and_storage() {
        assert!(told(&[], false).contains("not known"));
        let text = told(&[standing(1, false, false)], true);
        assert!(text.contains("3 ok, 0 warning(s)"), "{text}");
        assert!(text.contains("the local server writes"), "{text}");
        let text = told(&[standing(3, false, true)], false);
        assert!(text.contains("loses nothing: each stream"), "{text}");
        let text = told(&[standing(3, false, true), standing(1, true, true)], false);
        assert!(text.contains("in memory only: stream R1\n"), "{text}");
        assert!(
            text.contains("only copy, or nothing can be stored (2 copies): stream R1\n"),
            "{text}"
        );
        assert!(text.contains("1 ok, 2 warning(s)"), "{text}");
        let text = told(&[standing(3, true, true)], false);
        assert!(text.contains("crashes loses nothing"), "{text}");
        let (label, mut meant) = standing(1, true, false);
        meant.drift.clear();
        let text = told(&[(label, meant)], false);
        assert!(
            text.contains("declared to be in memory: stream R1"),
            "{text}"
        );
        assert!(text.contains("3 ok, 0 warning(s)"), "{text}");
    }
}
