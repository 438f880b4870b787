//! Who makes a request, and what it may use.

use std::sync::Arc;

use axum::http::request::Parts;
use rmcp::service::{RequestContext, RoleServer};
use serde_json::{Map, Value};

/// Who makes a request over HTTP. The guard in front puts it into the request's extensions; sessions are bound to its
/// principal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// Who it is; `None` where no authentication is asked for.
    pub principal: Option<Arc<Principal>>,
    /// The toolset it connects to: `name` of `/mcp/name`; `None` at `/mcp`.
    pub toolset: Option<Arc<str>>,
}

impl Client {
    /// Who made a request; `None` on stdio, where there is one client, which may do all.
    pub fn of(context: &RequestContext<RoleServer>) -> Option<&Self> {
        context.extensions.get::<Parts>()?.extensions.get()
    }
}

/// Whom a token speaks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Principal {
    /// A name that is unique among all issuers: of a bearer token its name in the config, of a JWT `issuer#subject`.
    pub id: String,
    /// What it may do, by the scopes of the token.
    pub scopes: Vec<String>,
    /// The claims of a JWT; of a bearer token empty.
    pub claims: Map<String, Value>,
}
