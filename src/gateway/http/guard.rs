//! The guards in front of MCP, in their order: what a request must be before anything is done for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, ORIGIN, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use futures_util::StreamExt as _;
use tokio::sync::OwnedSemaphorePermit;

use super::auth::Rejected;
use super::limits::{InFlight, Key};
use super::refusal::Refusal;
use super::{Front, metadata};
use crate::gateway::access::Denied;
use crate::gateway::{Client, Principal};

/// The longest time that the body of a request may take.
const BODY: Duration = Duration::from_secs(30);

/// A request that was let in.
pub struct Admitted {
    /// The request, with its [`Client`] in the extensions.
    pub request: Request<Body>,
    /// The body of a POST, to tell afterwards what was wrong with it.
    pub body: Option<Bytes>,
    /// Its place among those that are worked on; streams that stay open have none.
    pub place: Option<OwnedSemaphorePermit>,
}

/// Whether the names that a request uses are those of this server.
///
/// # Errors
/// 403.
pub fn names(front: &Front, request: &Parts) -> Result<(), Refusal> {
    let forbidden = |text: String| Err(Refusal::new(StatusCode::FORBIDDEN, text));
    // Who stands between may go by another one of them than this server.
    for name in [HOST, ORIGIN] {
        if request.headers.get_all(&name).iter().nth(1).is_some() {
            return forbidden(format!("the request has more than one header `{name}`"));
        }
    }
    let text = |name: HeaderName| request.headers.get(name).map(|v| v.to_str().unwrap_or(""));
    let host = request.uri.authority().map(|a| a.as_str());
    let host = host.or_else(|| text(HOST)).unwrap_or_default();
    if !front.names.is_host(host) {
        return forbidden(format!(
            "this server is not called `{}`: an operator can allow the name in `http.hosts`",
            shown(host)
        ));
    }
    match text(ORIGIN) {
        Some(origin) if !front.names.is_origin(origin) => forbidden(format!(
            "pages of `{}` may not call this server: an operator can allow them in `http.origins`",
            shown(origin)
        )),
        _ => Ok(()),
    }
}

/// Lets a request in to MCP, or says why not.
///
/// # Errors
/// The refusal.
pub async fn admit(
    front: &Front,
    mut parts: Parts,
    body: Body,
    toolset: Option<&str>,
    peer: SocketAddr,
) -> Result<Admitted, Refusal> {
    form(front, &parts)?;
    let principal = login(front, &parts.headers, toolset).await?;
    let client = Client {
        principal,
        toolset: toolset.map(Arc::from),
    };
    enter(front, &client, &parts.headers)?;
    rate(front, &client, peer)?;
    parts.extensions.insert(client);
    if parts.method != Method::POST {
        let request = Request::from_parts(parts, Body::empty());
        return Ok(Admitted {
            request,
            body: None,
            place: None,
        });
    }
    // Before its place: clients that send slowly keep nobody else out.
    let body = collect(body, front.settings.max_body, &front.settings.bodies).await?;
    let place = front.settings.in_flight.enter().ok_or_else(busy)?;
    Ok(Admitted {
        request: Request::from_parts(parts, Body::from(body.clone())),
        body: Some(body),
        place: Some(place),
    })
}

/// Method, size and types.
fn form(front: &Front, request: &Parts) -> Result<(), Refusal> {
    let headers = &request.headers;
    let method = &request.method;
    if ![Method::GET, Method::POST, Method::DELETE].contains(method) {
        let text = format!("{method} is not for this path: MCP uses POST, GET and DELETE");
        return Err(
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text).header(ALLOW, "GET, POST, DELETE")
        );
    }
    if method == Method::POST {
        let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
        let length = length.and_then(|text| text.parse::<usize>().ok());
        if length.is_some_and(|length| length > front.settings.max_body) {
            return Err(too_large(front.settings.max_body));
        }
        let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let essence = kind.and_then(|kind| kind.split(';').next());
        if !essence.is_some_and(|e| e.trim().eq_ignore_ascii_case("application/json")) {
            let text = "the Content-Type of a request must be application/json";
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
    }
    let wanted: &[&str] = match *method {
        Method::POST => &["application/json", "text/event-stream"],
        Method::GET => &["text/event-stream"],
        _ => &[],
    };
    if wanted.iter().any(|kind| !accepts(headers, kind)) {
        let text = format!("the Accept of {method} must have {}", wanted.join(" and "));
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, text));
    }
    Ok(())
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    values.filter_map(|value| value.to_str().ok()).any(|value| {
        let kinds = value.split(',').filter_map(|entry| entry.split(';').next());
        kinds
            .into_iter()
            .any(|k| k.trim().eq_ignore_ascii_case(kind))
    })
}

/// Who makes a request; `None` where nobody has to log in.
///
/// # Errors
/// 401, and 403 for a login that lacks the scopes that everybody needs.
pub async fn login(
    front: &Front,
    headers: &HeaderMap,
    toolset: Option<&str>,
) -> Result<Option<Arc<Principal>>, Refusal> {
    let Some(auth) = &front.settings.auth else {
        return Ok(None);
    };
    match auth.check(headers).await {
        Ok(principal) => Ok(Some(principal)),
        Err(Rejected::Unavailable(reason)) => {
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason);
            Err(refusal.header(RETRY_AFTER, "5"))
        }
        Err(Rejected::Scopes(wanted)) => Err(lacks(front, headers, toolset, &wanted)),
        Err(Rejected::Missing) => {
            let scopes = auth.oauth().map(|oauth| oauth.required_scopes.join(" "));
            let scope = scopes.filter(|s| !s.is_empty()).map(|s| ("scope", s));
            let challenge = challenge(front, headers, toolset, scope.as_slice());
            let text = "this server wants a login: send `Authorization: Bearer <token>`";
            Err(Refusal::new(StatusCode::UNAUTHORIZED, text).header(WWW_AUTHENTICATE, &challenge))
        }
        Err(Rejected::Invalid(reason)) => {
            let error = [
                ("error", "invalid_token".to_owned()),
                ("error_description", reason.to_owned()),
            ];
            let challenge = challenge(front, headers, toolset, &error);
            let refusal = Refusal::new(StatusCode::UNAUTHORIZED, reason);
            Err(refusal.header(WWW_AUTHENTICATE, &challenge))
        }
    }
}

fn enter(front: &Front, client: &Client, headers: &HeaderMap) -> Result<(), Refusal> {
    match front.gateway.enter(client) {
        Ok(()) => Ok(()),
        Err(Denied::UnknownToolset) => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "there is no such toolset on this server",
        )),
        Err(Denied::Scopes(wanted)) => {
            Err(lacks(front, headers, client.toolset.as_deref(), &wanted))
        }
    }
}

fn lacks(front: &Front, headers: &HeaderMap, toolset: Option<&str>, wanted: &[String]) -> Refusal {
    let wanted = wanted.join(" ");
    let text = format!("this login lacks scopes; all of these are wanted: {wanted}");
    let error = [
        ("error", "insufficient_scope".to_owned()),
        ("scope", wanted),
    ];
    let challenge = challenge(front, headers, toolset, &error);
    Refusal::new(StatusCode::FORBIDDEN, text).header(WWW_AUTHENTICATE, &challenge)
}

/// How a client is told to log in (RFC 6750, RFC 9728).
fn challenge(
    front: &Front,
    headers: &HeaderMap,
    toolset: Option<&str>,
    parameters: &[(&str, String)],
) -> String {
    let mut text = "Bearer realm=\"jacquard\"".to_owned();
    let metadata = metadata::url(front, headers, toolset);
    let metadata = metadata.map(|url| ("resource_metadata", url));
    for (name, value) in metadata.iter().chain(parameters) {
        let value = value.replace(['"', '\\'], "'");
        text.push_str(&format!(", {name}=\"{value}\""));
    }
    text
}

fn rate(front: &Front, client: &Client, peer: SocketAddr) -> Result<(), Refusal> {
    let Some(rate) = &front.settings.rate else {
        return Ok(());
    };
    let key = match &client.principal {
        Some(principal) => Key::User(principal.id.clone()),
        None => Key::Address(peer.ip()),
    };
    rate.take(key, Instant::now()).map_err(|wait| {
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        let text = format!("too many requests; try again in {seconds} s");
        Refusal::new(StatusCode::TOO_MANY_REQUESTS, text).header(RETRY_AFTER, &format!("{seconds}"))
    })
}

fn busy() -> Refusal {
    let text = "the gateway works on as many requests as it may; try again in a second";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text).header(RETRY_AFTER, "1")
}

fn too_large(max: usize) -> Refusal {
    let text = format!("the request is larger than {max} bytes, which `http.max_body` allows");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
}

/// The whole body, in bounded size and time. Meanwhile its bytes are taken from `room`.
async fn collect(body: Body, max: usize, room: &InFlight) -> Result<Bytes, Refusal> {
    let work = async {
        let mut held = Vec::new();
        let mut stream = body.into_data_stream();
        let mut whole: Vec<u8> = Vec::new();
        while let Some(part) = stream.next().await {
            let part = part.map_err(|_| {
                let text = "the body of the request ended too early or is broken";
                Refusal::new(StatusCode::BAD_REQUEST, text)
            })?;
            if part.len() > max.saturating_sub(whole.len()) {
                return Err(too_large(max));
            }
            held.push(room.take(part.len()).ok_or_else(busy)?);
            whole.extend_from_slice(&part);
        }
        Ok(Bytes::from(whole))
    };
    let late = |_| {
        let text = format!(
            "the body of the request took longer than {} s",
            BODY.as_secs()
        );
        Refusal::new(StatusCode::REQUEST_TIMEOUT, text)
    };
    tokio::time::timeout(BODY, work).await.map_err(late)?
}

/// A text of the client as it is named in an answer to it.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}
