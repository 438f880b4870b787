//! `/health`, `/ready` and `/metrics`: for whoever watches the gateway.

use std::net::SocketAddr;

use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};

use super::refusal::{Refusal, json_response};
use super::{Front, guard};
use crate::bus::State;
use crate::gateway::observe;

/// Begins to count. Once in a process.
///
/// # Errors
/// Another recorder is there, or the buckets are wrong.
pub fn recorder() -> Result<PrometheusHandle, String> {
    let builder = PrometheusBuilder::new().set_buckets(observe::BUCKETS);
    let handle = builder.and_then(PrometheusBuilder::install_recorder);
    let handle = handle.map_err(|error| format!("metrics: {error}"))?;
    observe::describe();
    Ok(handle)
}

/// Answers one of the three.
///
/// # Errors
/// A wrong method, and metrics for somebody who may not have them.
pub async fn answer(
    front: &Front,
    request: &Parts,
    peer: SocketAddr,
) -> Result<Response<Body>, Refusal> {
    if ![Method::GET, Method::HEAD].contains(&request.method) {
        let text = "this path is for GET";
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text).header(ALLOW, "GET, HEAD"));
    }
    let mut response = match request.uri.path() {
        "/health" => json_response(StatusCode::OK, &health(front)),
        "/ready" => ready(front),
        _ => metrics(front, request, peer).await?,
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn health(front: &Front) -> Value {
    let sessions = front.gateway.sessions();
    json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "sessions": sessions.memory,
        "bound_sessions": sessions.bound,
        "uptime_s": front.started.elapsed().as_secs(),
        "nats": state(&front.gateway.nats().bus().state()),
        "tools": front.gateway.catalog().tools().len(),
        "requests": front.settings.in_flight.count(),
        "streams": front.streams.count(),
    })
}

/// The state in one word: reasons may name hosts, and this is open to everybody.
fn state(state: &State) -> &'static str {
    match state {
        State::Connecting => "connecting",
        State::Connected => "connected",
        State::Disconnected { refused: true, .. } => "refused",
        State::Disconnected { .. } => "disconnected",
    }
}

fn ready(front: &Front) -> Response<Body> {
    let mut reasons = Vec::new();
    let nats = front.gateway.nats().bus().state();
    if !front.gateway.nats().is_required() {
        // What there is without NATS is there.
    } else if nats.is_connected() {
        let streams = front.gateway.unready();
        let streams = streams
            .iter()
            .map(|s| format!("the stream {s} is not there"));
        reasons.extend(streams);
    } else {
        reasons.push(format!("NATS is {}", state(&nats)));
    }
    if front.stop.is_cancelled() {
        reasons.push("the gateway is stopping".to_owned());
    }
    let ready = reasons.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = json!({"ready": ready, "reasons": reasons});
    if let Some(state) = front.gateway.reload_state() {
        body["reload"] = json!(state);
    }
    json_response(status, &body)
}

/// The numbers for Prometheus: for those who may log in, and on this machine for everybody where nobody has to.
async fn metrics(
    front: &Front,
    request: &Parts,
    peer: SocketAddr,
) -> Result<Response<Body>, Refusal> {
    if front.settings.auth.is_some() {
        guard::login(front, &request.headers, None).await?;
    } else if !peer.ip().to_canonical().is_loopback() {
        let text = "metrics are for this machine, or for those who log in";
        return Err(Refusal::new(StatusCode::FORBIDDEN, text));
    }
    let bus = front.gateway.nats().bus();
    observe::now(
        front.settings.in_flight.count(),
        front.streams.count(),
        front.gateway.sessions(),
        bus.state().is_connected(),
        front.started.elapsed(),
    );
    let mut response = Response::new(Body::from(front.metrics.render()));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}
