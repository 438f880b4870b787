//! What MCP's library answers, put into the form that clients understand: its refusals are plain text.

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use futures_util::{FutureExt as _, StreamExt as _, future, stream};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::refusal::{
    INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, NO_SESSION, PARSE_ERROR, Refusal,
};
use crate::gateway::malformed;

/// The longest refusal that is read, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// The answer as it is sent. `body` is the request's, for the case that something was wrong with it.
pub async fn finished(response: Response<Body>, body: Option<&Bytes>) -> Response<Body> {
    let status = response.status();
    let kind = response.headers().get(CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if status.is_success() || is_json {
        return response;
    }
    let (parts, text) = response.into_parts();
    let text = to_bytes(text, MAX_TEXT).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut answer = refusal(status, &text, body).into_response();
    for (name, value) in &parts.headers {
        if *name != CONTENT_TYPE && *name != axum::http::header::CONTENT_LENGTH {
            answer.headers_mut().insert(name.clone(), value.clone());
        }
    }
    answer
}

/// An answer that ends with its first part, put into one piece: it is sent at once and with its length, not as a head, a
/// chunk and an end. Waits for that first part, which is a sign of life if the answer takes long.
pub async fn whole(response: Response<Body>) -> Response<Body> {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let mut stream = body.into_data_stream();
    let body = match stream.next().await {
        None => Body::empty(),
        Some(first) => match (first, stream.next().now_or_never()) {
            (Ok(first), Some(None)) => Body::from(first),
            (first, next) => {
                let begun = stream::iter([Some(first), next.flatten()]);
                Body::from_stream(begun.filter_map(future::ready).chain(stream))
            }
        },
    };
    Response::from_parts(parts, body)
}

/// Keeps a place among the requests in flight until the whole answer has been sent, or is on its way in one piece.
pub fn holding(response: Response<Body>, place: Option<OwnedSemaphorePermit>) -> Response<Body> {
    let in_pieces = response.body().size_hint().exact().is_none();
    let Some(place) = place.filter(|_| in_pieces) else {
        return response;
    };
    response.map(|body| {
        let stream = body.into_data_stream().map(move |part| {
            let _held = &place;
            part
        });
        Body::from_stream(stream)
    })
}

fn refusal(status: StatusCode, text: &str, body: Option<&Bytes>) -> Refusal {
    match (status, body) {
        // The types were right: the body could not be read.
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, Some(body)) => unreadable(body),
        (StatusCode::NOT_FOUND, _) => {
            let text = "there is no such session (any more): initialize a new one";
            Refusal::new(status, text).code(NO_SESSION)
        }
        (StatusCode::BAD_REQUEST, _) if text.contains("Session ID is required") => {
            let message: Value = body
                .and_then(|body| serde_json::from_slice(body).ok())
                .unwrap_or_default();
            let refusal = if message["method"] == "initialize" {
                Refusal::new(status, malformed::INITIALIZE).code(INVALID_PARAMS)
            } else {
                Refusal::new(
                    status,
                    "there is no Mcp-Session-Id header: initialize first",
                )
            };
            refusal.id(malformed::id_in(&message))
        }
        (StatusCode::BAD_REQUEST, _) => Refusal::new(status, text).code(INVALID_REQUEST),
        (StatusCode::INTERNAL_SERVER_ERROR, _) => {
            tracing::error!("a request failed: {text}");
            let text = "the gateway could not do this; its log says why";
            Refusal::new(status, text).code(INTERNAL_ERROR)
        }
        (StatusCode::SERVICE_UNAVAILABLE, _) => Refusal::new(status, text).header(RETRY_AFTER, "1"),
        _ => Refusal::new(status, text),
    }
}

/// What is wrong with a body that is no message of MCP.
fn unreadable(body: &Bytes) -> Refusal {
    let bad = |text: &str| Refusal::new(StatusCode::BAD_REQUEST, text);
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => return bad(&format!("the body is no JSON: {error}")).code(PARSE_ERROR),
    };
    bad(malformed::reason(&value))
        .code(INVALID_REQUEST)
        .id(malformed::id_in(&value))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn only_what_is_all_there_becomes_one_piece() {
        type Part = Result<&'static str, std::io::Error>;
        let parts = |some: Vec<Part>| Body::from_stream(stream::iter(some));
        let waits = stream::iter([Part::Ok("a")]).chain(stream::pending());
        let broken = || Err(std::io::Error::other("broken"));
        for (body, length) in [
            (parts(vec![]), Some(0)),
            (parts(vec![Ok("answer")]), Some(6)),
            (parts(vec![Ok("one"), Ok("two"), Ok("three")]), None),
            (parts(vec![broken()]), None),
            (Body::from_stream(waits), None),
        ] {
            let body = whole(Response::new(body)).await.into_body();
            assert_eq!(body.size_hint().exact(), length);
        }
        let body = parts(vec![Ok("one"), Ok("two"), Ok("three")]);
        let body = whole(Response::new(body)).await.into_body();
        assert_eq!(to_bytes(body, MAX_TEXT).await.unwrap(), "onetwothree");
        let body = parts(vec![Ok("one"), broken()]);
        let body = whole(Response::new(body)).await.into_body();
        assert!(to_bytes(body, MAX_TEXT).await.is_err());
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told() {
        for (body, part) in [("{", "no JSON"), ("5", "an object")] {
            let refusal = unreadable(&Bytes::from(body));
            assert!(format!("{refusal:?}").contains(part), "{body}: {refusal:?}");
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
        }
    }
}
