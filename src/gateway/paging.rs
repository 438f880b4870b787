//! Lists in pages, and how long clients may keep them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rmcp::model::{CacheScope, ErrorData, PaginatedRequestParams};

use crate::spec::config::Config;
use crate::spec::config::cache::{Scope, Ttl};
use crate::spec::model::ResourceCache;

/// Items of a page when the config does not say.
pub(super) const PAGE: usize = 1000;

/// The part of a list that a client asks for, and where the next one begins. A cursor names the list and the last item before it:
/// it holds over reloads for as long as that item is there.
///
/// # Errors
/// A cursor that is none of this list, and one whose item is gone.
pub(super) fn page<T>(
    list: &str,
    mut items: Vec<T>,
    name: impl Fn(&T) -> &str,
    request: Option<PaginatedRequestParams>,
    most: usize,
) -> Result<(Vec<T>, Option<String>), ErrorData> {
    if let Some(cursor) = request.and_then(|request| request.cursor) {
        let after = read(list, &cursor).ok_or_else(|| {
            let text = "this is no cursor of this list; list again without one";
            ErrorData::invalid_params(text, None)
        })?;
        let last = items.iter().position(|item| name(item) == after);
        let last = last.ok_or_else(|| {
            let text = "the list has changed since this cursor was made; list again without one";
            ErrorData::invalid_params(text, None)
        })?;
        items.drain(..=last);
    }
    if items.len() <= most {
        return Ok((items, None));
    }
    items.truncate(most);
    let text = |item| format!("{list}\n{}", name(item));
    let next = items.last().map(|item| URL_SAFE_NO_PAD.encode(text(item)));
    Ok((items, next))
}

fn read(list: &str, cursor: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (of, name) = text.split_once('\n')?;
    (of == list).then(|| name.to_owned())
}

/// How long clients may keep what they are told, and for whom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hints {
    /// In milliseconds.
    pub ttl: u64,
    /// Whether others may be given it.
    pub scope: CacheScope,
}

impl Hints {
    /// As a resource says, if it is one, and otherwise the config. What one user is told who has logged in is not for others.
    pub(super) fn of(config: &Config, own: Option<&ResourceCache>) -> Self {
        let scope = own.and_then(|own| own.scope).unwrap_or(config.cache.scope);
        let public = scope == Scope::Public && config.auth.is_none();
        let ttl = own.and_then(|own| own.ttl.as_ref());
        let ttl = ttl.or(config.cache.ttl.as_ref()).and_then(Ttl::time);
        let ttl = ttl.unwrap_or_default();
        Self {
            ttl: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
            scope: match public {
                true => CacheScope::Public,
                false => CacheScope::Private,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn asked(cursor: &str) -> Option<PaginatedRequestParams> {
        Some(PaginatedRequestParams::default().with_cursor(Some(cursor.to_owned())))
    }

    #[test]
    fn pages_follow_each_other_to_the_end_and_hold_over_changes() {
        let all = || vec!["c", "a", "b", "e", "d"];
        let (first, next) = page("letters", all(), |it| it, None, 2).unwrap();
        assert_eq!(first, ["c", "a"]);
        let next = next.unwrap();
        let (second, more) = page("letters", all(), |it| it, asked(&next), 2).unwrap();
        assert_eq!(second, ["b", "e"]);
        assert_eq!(
            page("letters", all(), |it| it, asked(&more.unwrap()), 2).unwrap(),
            (vec!["d"], None)
        );
        // Something else has gone, and something new has come before.
        let now = vec!["new", "a", "b"];
        assert_eq!(
            page("letters", now, |it| it, asked(&next), 2).unwrap().0,
            ["b"]
        );
        let gone = page("letters", vec!["b"], |it| it, asked(&next), 2).unwrap_err();
        assert!(gone.message.contains("has changed"), "{gone:?}");
        assert!(page("words", all(), |it| it, asked(&next), 2).is_err());
        for bad in ["", "?", "_w", "YQ"] {
            assert!(
                page("letters", all(), |it| it, asked(bad), 2).is_err(),
                "{bad}"
            );
        }
    }
}
