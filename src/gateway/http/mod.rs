//! MCP over streamable HTTP: many clients, each with a session of its own. What stands in front of it is here: guards,
//! logins, limits, and what tells how the gateway fares.

mod answer;
mod auth;
mod connections;
mod guard;
mod limits;
mod metadata;
mod names;
mod patience;
mod probes;
mod refusal;
mod settings;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody as _};
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response, StatusCode};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use settings::Settings;

use super::{Gateway, observe, sessions};
use crate::bus;
use limits::InFlight;
use names::Names;
use refusal::Refusal;

/// How long requests in flight may go on after the gateway was told to stop.
const DRAIN: Duration = Duration::from_millis(900);
/// How long connections may take to close after that.
const CLOSE: Duration = Duration::from_millis(400);
/// The most streams of notifications that are open at once.
const MAX_STREAMS: usize = 10_000;
/// How often the recorder puts its samples together: they take memory until then.
const UPKEEP: Duration = Duration::from_secs(5);

/// What answers an admitted request.
type Mcp = dyn Fn(Request<Body>) -> Answering + Send + Sync;
type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// All that a request meets.
pub(crate) struct Front {
    gateway: Arc<Gateway>,
    settings: Settings,
    names: Names,
    mcp: Box<Mcp>,
    streams: InFlight,
    metrics: PrometheusHandle,
    started: Instant,
    stop: CancellationToken,
}

/// Takes the address.
///
/// # Errors
/// Why it cannot be had.
pub async fn bind(settings: &Settings) -> Result<TcpListener, String> {
    let address = settings.address;
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "cannot listen on {address}: another program does (another gateway?); stop it, or choose another port with --http"
        ),
        _ => format!("cannot listen on {address}: {error}"),
    })
}

/// Serves clients until `stop` fires: then requests in flight are answered, for about a second.
///
/// # Errors
/// Why it cannot begin.
pub async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    settings: Settings,
    stop: CancellationToken,
) -> Result<(), String> {
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let served = sessions::service(&gateway, settings.session_options());
    let all = Arc::clone(served.sessions());
    let front = Arc::new(Front {
        names: settings.names(address),
        mcp: Box::new(move |request| {
            let served = served.clone();
            Box::pin(async move { served.handle(request).await })
        }),
        streams: InFlight::new(MAX_STREAMS),
        metrics: probes::recorder()?,
        started: Instant::now(),
        stop: stop.clone(),
        gateway,
        settings,
    });
    if front.settings.auth.is_none() && !address.ip().is_loopback() {
        tracing::warn!("everybody who reaches {address} may call every tool: nobody has to log in");
    }
    tracing::info!("listening on http://{address}/mcp");
    let beside = tokio::spawn(watch(Arc::clone(&front)));
    let open = connections::accept(&front, listener).await;
    // Streams stay open while the last requests are answered.
    tokio::join!(
        front.settings.in_flight.drained(DRAIN),
        front.gateway.tasks.leave(DRAIN)
    );
    all.close(CLOSE).await;
    open.close(CLOSE).await;
    beside.abort();
    Ok(())
}

/// Answers a request.
async fn answer(front: &Front, request: Request<Body>, peer: SocketAddr) -> Response<Body> {
    let is_head = request.method() == Method::HEAD;
    let has_body = !request.body().is_end_stream();
    let response = match route(front, request, peer).await {
        Ok(response) => response,
        Err(refusal) => {
            let mut response = refusal.into_response();
            if has_body {
                // What was not read of it ends the connection: clients are told not to use it again.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            response
        }
    };
    observe::request(response.status().as_u16());
    if is_head {
        return response.map(|_| Body::empty());
    }
    response
}

async fn route(
    front: &Front,
    request: Request<Body>,
    peer: SocketAddr,
) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    // Probes come by address, under any name.
    if path == "/health" || path == "/ready" {
        return probes::answer(front, &parts, peer).await;
    }
    guard::names(front, &parts)?;
    if path == "/metrics" {
        return probes::answer(front, &parts, peer).await;
    }
    if let Some(resource) = path.strip_prefix(metadata::PATH) {
        return metadata::answer(front, resource);
    }
    match path.strip_prefix("/mcp").map(|rest| rest.strip_prefix('/')) {
        Some(None) if path == "/mcp" => mcp(front, (parts, body), None, peer).await,
        Some(Some("")) => mcp(front, (parts, body), None, peer).await,
        Some(Some(set)) if !set.contains('/') => mcp(front, (parts, body), Some(set), peer).await,
        _ => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            "there is nothing at this path: MCP is at /mcp",
        )),
    }
}

async fn mcp(
    front: &Front,
    (parts, body): (Parts, Body),
    toolset: Option<&str>,
    peer: SocketAddr,
) -> Result<Response<Body>, Refusal> {
    let admitted = guard::admit(front, parts, body, toolset, peer).await?;
    let mut place = admitted.place;
    let stays_open = stays_open(&admitted.request);
    if stays_open {
        place = front.streams.enter();
        if place.is_none() {
            let text = "the gateway has as many open streams as it may";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
                .header(axum::http::header::RETRY_AFTER, "5"));
        }
    }
    let response = (front.mcp)(admitted.request).await;
    let mut response = answer::finished(response, admitted.body.as_ref()).await;
    if !stays_open {
        response = answer::whole(response).await;
    }
    Ok(answer::holding(response, place))
}

/// Whether a request asks for a stream of notifications. Of versions without sessions the header with the method is trusted,
/// because rmcp refuses a body that says something else.
fn stays_open(request: &Request<Body>) -> bool {
    let text = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
    let listens = text("mcp-method") == Some("subscriptions/listen")
        && text("mcp-protocol-version").is_some_and(|v| v >= sessions::WITHOUT_SESSIONS);
    request.method() == Method::GET || listens
}

/// What goes on beside the requests, for ever.
async fn watch(front: Arc<Front>) {
    let upkeep = async {
        loop {
            tokio::time::sleep(UPKEEP).await;
            front.metrics.run_upkeep();
        }
    };
    let reconnects = async {
        let mut states = front.gateway.nats().bus().watch();
        let mut first = true;
        while states.wait_for(bus::State::is_connected).await.is_ok() {
            if !first {
                observe::reconnected();
            }
            first = false;
            if states.wait_for(|s| !s.is_connected()).await.is_err() {
                break;
            }
        }
    };
    let keys = async {
        if let Some(auth) = &front.settings.auth {
            auth.warm_up().await;
        }
    };
    tokio::join!(upkeep, reconnects, keys);
}
