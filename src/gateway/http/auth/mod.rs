//! Who logs in: bearer tokens of the config, and access tokens of an OAuth 2 server.

mod jwks;
mod jwt;

use std::path::Path;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::gateway::Principal;
use crate::spec::config::AuthConfig;
use crate::spec::config::http::{OauthConfig, TokenConfig, check_token};
use jwt::Oauth;

/// The longest credential that is looked at, in bytes.
const MAX_CREDENTIAL: usize = 16 * 1024;

/// Why somebody is not let in.
#[derive(Debug)]
pub enum Rejected {
    /// There is no credential.
    Missing,
    /// The credential is not valid, for this reason.
    Invalid(&'static str),
    /// It lacks scopes; all that are wanted.
    Scopes(Vec<String>),
    /// It cannot be judged now, for this reason.
    Unavailable(String),
}

/// Who may log in.
#[derive(Debug)]
pub struct Auth {
    tokens: Vec<Token>,
    oauth: Option<Oauth>,
}

struct Token {
    /// SHA-256 of the token: equal lengths to compare, and no secret in memory.
    hash: [u8; 32],
    principal: Arc<Principal>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.principal.id)
    }
}

impl Auth {
    /// Reads the tokens and keys of a config; files in it are relative to `base`.
    ///
    /// # Errors
    /// A file that cannot be read or holds no token or keys.
    pub fn new(config: &AuthConfig, base: &Path) -> Result<Self, String> {
        let tokens = config.tokens.iter().map(|token| read(token, base));
        let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
        for (index, token) in tokens.iter().enumerate() {
            if let Some(twin) = tokens[..index].iter().find(|t| t.hash == token.hash) {
                let (one, other) = (&twin.principal.id, &token.principal.id);
                return Err(format!("auth: `{one}` and `{other}` have the same token"));
            }
        }
        let oauth = config.oauth.as_ref().map(|o| Oauth::new(o, base));
        Ok(Self {
            tokens,
            oauth: oauth.transpose()?,
        })
    }

    /// The OAuth server, if there is one.
    pub fn oauth(&self) -> Option<&OauthConfig> {
        self.oauth.as_ref().map(Oauth::config)
    }

    /// Gets what will be needed at the first login.
    pub async fn warm_up(&self) {
        if let Some(oauth) = &self.oauth {
            oauth.warm_up().await;
        }
    }

    /// Whom the headers of a request speak for.
    ///
    /// # Errors
    /// See [`Rejected`].
    pub async fn check(&self, headers: &HeaderMap) -> Result<Arc<Principal>, Rejected> {
        let credential = bearer(headers)?;
        let hash: [u8; 32] = Sha256::digest(credential.as_bytes()).into();
        let mut found = None;
        // All of them, always: the time tells nothing.
        for token in &self.tokens {
            if bool::from(token.hash.ct_eq(&hash)) {
                found = Some(&token.principal);
            }
        }
        match (found, &self.oauth) {
            (Some(principal), _) => Ok(Arc::clone(principal)),
            (None, Some(oauth)) => oauth.check(credential).await,
            (None, None) => Err(Rejected::Invalid("the token is not known")),
        }
    }
}

/// The credential of a request.
fn bearer(headers: &HeaderMap) -> Result<&str, Rejected> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Rejected::Missing)?;
    if values.next().is_some() {
        return Err(Rejected::Invalid("there are two Authorization headers"));
    }
    if value.len() > MAX_CREDENTIAL {
        return Err(Rejected::Invalid("the token is too long"));
    }
    let (scheme, credential) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or(Rejected::Missing)?;
    let credential = credential.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || credential.is_empty() {
        return Err(Rejected::Missing);
    }
    Ok(credential)
}

fn read(config: &TokenConfig, base: &Path) -> Result<Token, String> {
    let name = &config.name;
    let text = match (&config.token, &config.file) {
        (Some(token), _) => token.clone(),
        (None, Some(file)) => {
            let path = base.join(file);
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|error| {
                format!(
                    "auth: the token file {} of `{name}`: {error}",
                    path.display()
                )
            })?;
            text.trim().to_owned()
        }
        (None, None) => return Err(format!("auth: the token of `{name}` is not given")),
    };
    check_token(&text).map_err(|problem| format!("auth: the token of `{name}`: {problem}"))?;
    Ok(Token {
        hash: Sha256::digest(text.as_bytes()).into(),
        principal: Arc::new(Principal {
            id: name.clone(),
            scopes: config.scopes.clone(),
            ..Principal::default()
        }),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::http::HeaderValue;

    fn config(tokens: &[(&str, Option<&str>, Option<&str>)]) -> AuthConfig {
        let tokens = tokens.iter().map(|(name, token, file)| TokenConfig {
            name: (*name).to_owned(),
            token: token.map(str::to_owned),
            file: file.map(str::to_owned),
            scopes: vec![format!("{name}-scope")],
        });
        AuthConfig {
            tokens: tokens.collect(),
            oauth: None,
        }
    }

    #[tokio::test]
    async fn a_token_is_found_whoever_has_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("bob"), "bob-token-0123456789\n").unwrap();
        let given = [
            ("ann", Some("ann-token-0123456789"), None),
            ("bob", None, Some("bob")),
        ];
        let auth = Auth::new(&config(&given), dir.path()).unwrap();
        for (header, expected) in [
            ("Bearer ann-token-0123456789", Ok("ann")),
            ("bearer  bob-token-0123456789", Ok("bob")),
            ("Bearer ann-token-012345678", Err("Invalid")),
            ("Bearer", Err("Missing")),
            ("Bearer ", Err("Missing")),
            ("Basic YTpi", Err("Missing")),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
            match (auth.check(&headers).await, expected) {
                (Ok(principal), Ok(id)) => {
                    assert_eq!(principal.id, id);
                    assert_eq!(principal.scopes, [format!("{id}-scope")]);
                }
                (Err(error), Err(kind)) => assert!(format!("{error:?}").starts_with(kind)),
                (found, _) => panic!("{header}: {found:?}"),
            }
        }
        let none = auth.check(&HeaderMap::new()).await;
        assert!(matches!(none, Err(Rejected::Missing)));
        assert!(!format!("{auth:?}").contains("0123456789"));
    }

    #[test]
    fn what_is_no_token_stops_the_start() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("short"), "abc").unwrap();
        let same = Some("0123456789abcdef");
        for (given, part) in [
            (&[("a", None, Some("absent"))][..], "absent"),
            (&[("a", None, Some("short"))][..], "16 characters"),
            (&[("a", same, None), ("b", same, None)][..], "`a` and `b`"),
        ] {
            let error = Auth::new(&config(given), dir.path()).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
