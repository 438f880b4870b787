//! Access tokens: JSON Web Tokens, signed by the keys of one issuer.

use std::path::Path;
use std::sync::Arc;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::Rejected;
use super::jwks::{Jwks, Lookup};
use crate::gateway::Principal;
use crate::spec::config::http::{self as config, OauthConfig};

/// How far the clocks of issuer and gateway may differ, in seconds.
const LEEWAY: u64 = 60;

/// An issuer of access tokens.
#[derive(Debug)]
pub struct Oauth {
    config: OauthConfig,
    algorithms: Vec<Algorithm>,
    audience: Vec<String>,
    keys: Arc<Jwks>,
}

impl Oauth {
    /// As the config has it.
    ///
    /// # Errors
    /// A key file that cannot be read or holds no keys.
    pub fn new(config: &OauthConfig, base: &Path) -> Result<Self, String> {
        let mut algorithms: Vec<Algorithm> = config.algorithms.iter().map(algorithm).collect();
        if algorithms.is_empty() {
            algorithms = vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
        }
        let mut audience = config.audience.clone();
        if audience.is_empty() {
            audience.push(config.resource.clone());
        }
        Ok(Self {
            config: config.clone(),
            algorithms,
            audience,
            keys: Arc::new(Jwks::new(&config.jwks, base)?),
        })
    }

    /// The config.
    pub fn config(&self) -> &OauthConfig {
        &self.config
    }

    /// Fetches the keys, unless they are there.
    pub async fn warm_up(&self) {
        if self.keys.is_there() {
            return;
        }
        if let Err(error) = self.keys.refresh().await {
            tracing::warn!(
                "the keys of {} are not there yet: {error}",
                self.config.issuer
            );
        }
    }

    /// Whom a token speaks for.
    ///
    /// # Errors
    /// See [`Rejected`].
    pub async fn check(&self, token: &str) -> Result<Arc<Principal>, Rejected> {
        let header = decode_header(token)
            .map_err(|_| Rejected::Invalid("this is no token of this server"))?;
        if !self.algorithms.contains(&header.alg) {
            return Err(Rejected::Invalid("the token is not signed as it should be"));
        }
        let keys = match self.keys.find(header.kid.as_deref(), header.alg).await {
            Lookup::Found(keys) => keys,
            Lookup::Unknown => {
                return Err(Rejected::Invalid("the token is signed by an unknown key"));
            }
            Lookup::Unavailable(reason) => {
                tracing::warn!("the keys of {} are not there: {reason}", self.config.issuer);
                let text = "the keys that tokens are checked with cannot be had now";
                return Err(Rejected::Unavailable(text.to_owned()));
            }
        };
        let mut verdict = Rejected::Invalid("the signature of the token is wrong");
        for key in keys {
            match self.verify(token, &key, header.alg) {
                Ok(claims) => return self.principal(claims),
                Err(reason) => verdict = Rejected::Invalid(reason),
            }
        }
        Err(verdict)
    }

    fn verify(
        &self,
        token: &str,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<Map<String, Value>, &'static str> {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&self.audience);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = match decode::<Map<String, Value>>(token, key, &validation) {
            Ok(data) => data.claims,
            Err(error) => return Err(reason(error.kind())),
        };
        // The library passes over a time that is no number, and takes a list for an issuer.
        let is_time = |name: &str| claims.get(name).is_none_or(Value::is_number);
        if !is_time("nbf") || !is_time("exp") {
            return Err("the times of the token are not numbers");
        }
        let issuer = claims.get("iss").and_then(Value::as_str);
        if issuer != Some(&self.config.issuer) {
            return Err("the token is from another issuer");
        }
        Ok(claims)
    }

    fn principal(&self, claims: Map<String, Value>) -> Result<Arc<Principal>, Rejected> {
        let subject = claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if subject.is_empty() {
            return Err(Rejected::Invalid("the token names no subject"));
        }
        let id = format!("{}#{subject}", self.config.issuer);
        let scopes = scopes(&claims);
        let wanted = &self.config.required_scopes;
        if !wanted.iter().all(|scope| scopes.contains(scope)) {
            return Err(Rejected::Scopes(wanted.clone()));
        }
        Ok(Arc::new(Principal { id, scopes, claims }))
    }
}

/// What a token may do: the claim `scope` (a text), or `scp` (a text or a list) as some issuers have it.
fn scopes(claims: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for name in ["scope", "scp"] {
        match claims.get(name) {
            Some(Value::String(text)) => {
                found.extend(text.split_ascii_whitespace().map(str::to_owned));
            }
            Some(Value::Array(items)) => {
                found.extend(items.iter().filter_map(Value::as_str).map(str::to_owned));
            }
            _ => {}
        }
    }
    found
}

fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidAudience => "the token is for another server",
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::InvalidSignature => "the signature of the token is wrong",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks one of exp, iss, aud and sub",
        _ => "this is no token of this server",
    }
}

fn algorithm(name: &config::Algorithm) -> Algorithm {
    match name {
        config::Algorithm::RS256 => Algorithm::RS256,
        config::Algorithm::RS384 => Algorithm::RS384,
        config::Algorithm::RS512 => Algorithm::RS512,
        config::Algorithm::PS256 => Algorithm::PS256,
        config::Algorithm::PS384 => Algorithm::PS384,
        config::Algorithm::PS512 => Algorithm::PS512,
        config::Algorithm::ES256 => Algorithm::ES256,
        config::Algorithm::ES384 => Algorithm::ES384,
        config::Algorithm::EdDSA => Algorithm::EdDSA,
    }
}
