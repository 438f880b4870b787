//! The subjects of a feed, put so that a consumer takes them: it refuses filters that overlap.

use crate::bus::error::{Error, ErrorKind};
use crate::bus::message::{check_filter, is_match};

/// The subjects of a feed: sorted, without one that another covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Filters {
    subjects: Vec<String>,
    /// Some overlap all the same, as `a.*` and `*.b` do.
    overlap: bool,
}

impl Filters {
    pub(super) fn new(subjects: &[String]) -> Result<Self, Error> {
        if subjects.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidSubject,
                "reading a feed: no subject is given",
            ));
        }
        for subject in subjects {
            check_filter(subject)?;
        }
        let mut all = subjects.to_vec();
        all.sort();
        all.dedup();
        let covered = |subject: &String| {
            let mut others = all.iter().filter(|other| *other != subject);
            others.any(|other| covers(other, subject))
        };
        let subjects: Vec<String> = all.iter().filter(|s| !covered(s)).cloned().collect();
        let overlap = subjects.iter().enumerate().any(|(index, subject)| {
            let mut later = subjects.iter().skip(index + 1);
            later.any(|other| overlap(subject, other))
        });
        Ok(Self { subjects, overlap })
    }

    pub(super) fn subjects(&self) -> &[String] {
        &self.subjects
    }

    /// What the consumer is told; empty: it gives all of the stream, and [`Filters::takes`] decides.
    pub(super) fn for_consumer(&self) -> &[String] {
        if self.overlap { &[] } else { &self.subjects }
    }

    /// What to listen on so that everything comes by one subscription, and so in the order in which it was sent: several
    /// subscriptions bring each their own messages in order, and nothing tells the order between them. `None`: one that takes
    /// all of the subjects would take much else, too.
    ///
    /// It is there for subjects that differ in one word and are open below it, as `a.x.*` and `a.y.*` are: whoever has
    /// them wants most of what `a.*.*` takes. [`Filters::takes`] decides.
    pub(super) fn joint(&self) -> Option<String> {
        let (first, others) = self.subjects.split_first()?;
        let mut joint: Vec<&str> = first.split('.').collect();
        let mut differs = None;
        for other in others {
            let tokens: Vec<&str> = other.split('.').collect();
            if tokens.len() != joint.len() {
                return None;
            }
            for (at, (mine, token)) in joint.iter_mut().zip(tokens).enumerate() {
                if *mine != token && differs.is_none_or(|known| known == at) && token != ">" {
                    differs = Some(at);
                    *mine = "*";
                } else if *mine != token {
                    return None;
                }
            }
        }
        let at = differs.filter(|at| *at > 0)?;
        let below = joint.get(at + 1..).unwrap_or_default();
        let open = !below.is_empty() && below.iter().all(|token| matches!(*token, "*" | ">"));
        open.then(|| joint.join("."))
    }

    pub(super) fn takes(&self, subject: &str) -> bool {
        self.subjects.iter().any(|filter| is_match(filter, subject))
    }
}

/// Whether every subject that `narrow` takes is taken by `wide`.
pub(in crate::bus) fn covers(wide: &str, narrow: &str) -> bool {
    let mut tokens = narrow.split('.');
    for wanted in wide.split('.') {
        match (wanted, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(token)) if token != ">" => {}
            (wanted, Some(token)) if wanted == token => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

/// Whether a subject exists that both take.
pub(in crate::bus) fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('.'), other.split('.'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some(a), Some(b)) if a == "*" || b == "*" || a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn filters(list: &[&str]) -> Filters {
        let list: Vec<String> = list.iter().map(|&subject| subject.to_owned()).collect();
        Filters::new(&list).unwrap()
    }

    #[test]
    fn what_is_covered_is_left_out() {
        for (given, left) in [
            (&["b", "a", "b"][..], &["a", "b"][..]),
            (&["a.*", "a.>", "a.b"], &["a.>"]),
            (&["a.*", "a.b.c"], &["a.*", "a.b.c"]),
            (&[">", "a"], &[">"]),
            (&["*.b", "a.b"], &["*.b"]),
        ] {
            assert_eq!(filters(given).subjects(), left, "{given:?}");
            assert_eq!(filters(given).for_consumer(), left, "{given:?}");
        }
    }

    #[test]
    fn what_overlaps_is_decided_here() {
        for given in [&["a.*", "*.b"][..], &["a.>", "*.b.c"], &["a.*.c", "a.b.*"]] {
            let filters = filters(given);
            assert_eq!(filters.subjects().len(), 2, "{given:?}");
            assert!(filters.for_consumer().is_empty(), "{given:?}");
        }
        let both = filters(&["a.*", "*.b"]);
        for (subject, taken) in [("a.b", true), ("a.c", true), ("c.b", true), ("c.d", false)] {
            assert_eq!(both.takes(subject), taken, "{subject}");
        }
    }

    #[test]
    fn one_subscription_for_several_subjects() {
        for (given, joint) in [
            (&["a.x.*", "a.y.*", "a.z.*"][..], Some("a.*.*")),
            (&["a.x.>", "a.y.>"], Some("a.*.>")),
            (&["a.b.x.*.>", "a.b.y.*.>"], Some("a.b.*.*.>")),
            // One is enough, or they have nothing in common.
            (&["a.x.*"], None),
            (&["a.*", "b.*"], None),
            (&["a.x.*", "a.y.>"], None),
            (&["a.x.*", "a.y"], None),
            // Much else would come.
            (&["a.x", "a.y"], None),
            (&["a.x.b", "a.y.b"], None),
            (&["a.x.b", "a.y.c"], None),
            (&["a.x.*.b", "a.y.*.b"], None),
        ] {
            let filters = filters(given);
            assert_eq!(filters.joint().as_deref(), joint, "{given:?}");
            if let Some(joint) = joint {
                assert!(given.iter().all(|subject| covers(joint, subject)));
            }
        }
    }

    #[test]
    fn bad_subjects_are_refused() {
        for bad in [&[][..], &["a", "b."], &["a b"]] {
            let list: Vec<String> = bad.iter().map(|&subject| subject.to_owned()).collect();
            let kind = Filters::new(&list).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::InvalidSubject, "{bad:?}");
        }
    }
}
