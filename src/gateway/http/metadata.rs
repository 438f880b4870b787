//! Where clients find the authorization server: the protected resource metadata of RFC 9728.

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::json;

use super::Front;
use super::refusal::{Refusal, json_response};

/// The path of the metadata; the path of the resource follows.
pub const PATH: &str = "/.well-known/oauth-protected-resource";

/// The metadata's URL for clients of a toolset; `None` without an authorization server.
pub fn url(front: &Front, headers: &HeaderMap, toolset: Option<&str>) -> Option<String> {
    let oauth = front.settings.auth.as_ref()?.oauth()?;
    let (origin, path) = split(&oauth.resource);
    let path = path.trim_end_matches('/');
    // A resource on this machine is called by whatever port it has got.
    let host = headers.get(HOST).and_then(|v| v.to_str().ok());
    let origin = match host {
        Some(host) if origin.starts_with("http://") => format!("http://{host}"),
        _ => origin.to_owned(),
    };
    let set = toolset.map(|name| format!("/{name}")).unwrap_or_default();
    Some(format!("{origin}{PATH}{path}{set}"))
}

/// The metadata of the resource at a path (`/mcp`, `/mcp/name` or nothing).
///
/// # Errors
/// 404 without an authorization server, and for a path that is none of a resource.
pub fn answer(front: &Front, path: &str) -> Result<Response<Body>, Refusal> {
    let not_found = || Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path");
    let auth = front.settings.auth.as_ref().ok_or_else(not_found)?;
    let oauth = auth.oauth().ok_or_else(not_found)?;
    let (_, own) = split(&oauth.resource);
    let own = own.trim_end_matches('/');
    let set = match path.trim_end_matches('/') {
        "" => "",
        path if path == own => "",
        path => path
            .strip_prefix(own)
            .or_else(|| path.strip_prefix("/mcp"))
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .ok_or_else(not_found)?,
    };
    let mut scopes = front.gateway.scopes();
    scopes.extend(oauth.required_scopes.iter().cloned());
    scopes.sort();
    scopes.dedup();
    let body = json!({
        "resource": format!("{}{set}", oauth.resource.trim_end_matches('/')),
        "authorization_servers": [oauth.issuer],
        "scopes_supported": scopes,
        "bearer_methods_supported": ["header"],
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// The origin and the path of a URL.
fn split(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    url.split_at(end)
}
