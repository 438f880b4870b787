//! The ids of sessions. What a client sends is a secret; what is stored, logged and seen by tools is made from it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

/// Random bytes in a secret.
const SECRET: usize = 24;
/// Longest name that a client may give its session.
pub(super) const MAX_NAME: usize = 128;

/// A new secret: what the header `Mcp-Session-Id` says.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; SECRET];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The id of the session with this secret.
pub(super) fn of_secret(secret: &str) -> Uuid {
    uuid_of(&[secret])
}

/// The id of the session of a client that has none of its own: by the name it gives, if any, who it is, and the toolset
/// that it uses. `None` when it says neither name nor who it is, so that its request stands alone.
pub(super) fn of_client(
    name: Option<&str>,
    principal: Option<&str>,
    toolset: Option<&str>,
) -> Option<Uuid> {
    // The kinds of names are told apart by their first part.
    let mut parts = match (name, principal) {
        (None, None) => return None,
        (Some(name), None) => vec!["name", name],
        (None, Some(principal)) => vec!["principal", principal],
        (Some(name), Some(principal)) => vec!["both", principal, name],
    };
    parts.extend(toolset);
    Some(uuid_of(&parts))
}

/// A UUID that looks like a random one (version 4), from the hash of these parts.
fn uuid_of(parts: &[&str]) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        // The length in front: no two lists of parts give the same text.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ids_differ_by_every_part() {
        let ids = [
            Some(of_secret("a")),
            of_client(Some("a"), None, None),
            of_client(None, Some("a"), None),
            of_client(Some("a"), Some("b"), None),
            of_client(Some("b"), Some("a"), None),
            of_client(Some("ab"), Some(""), None),
            of_client(Some("ab"), Some(""), Some("c")),
            of_client(Some("a"), None, Some("b")),
        ];
        let different: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(different.len(), ids.len());
        assert!(ids.iter().all(Option::is_some));
        assert_eq!(of_client(None, None, None), None);
    }

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, other) = (secret().unwrap(), secret().unwrap());
        assert!(one.len() >= 22 && one != other);
        assert!(one.bytes().all(|b| b.is_ascii_graphic()));
    }
}
