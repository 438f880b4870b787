//! How a request is refused: a status of HTTP with a JSON-RPC error as its body, so that every client can show why.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::{Value, json};

/// JSON-RPC: the body is no JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON-RPC: the body is no request.
pub const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC: the parameters do not fit the method.
pub const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC: the gateway has a fault.
pub const INTERNAL_ERROR: i64 = -32603;
/// Refused before anything was done.
pub const REFUSED: i64 = -32000;
/// There is no such session.
pub const NO_SESSION: i64 = -32001;

/// A refusal.
#[derive(Debug)]
pub struct Refusal {
    /// The status of HTTP.
    pub status: StatusCode,
    code: i64,
    message: String,
    /// The request's id, where it could be read.
    id: Box<Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// With this status, for this reason.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code: REFUSED,
            message: message.into(),
            id: Box::default(),
            headers: Vec::new(),
        }
    }

    /// With another code of JSON-RPC than [`REFUSED`].
    pub fn code(mut self, code: i64) -> Self {
        self.code = code;
        self
    }

    /// With the id of the request.
    pub fn id(mut self, id: Value) -> Self {
        self.id = Box::new(id);
        self
    }

    /// With a header. One that cannot be written is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// As it is sent.
    pub fn into_response(self) -> Response<Body> {
        let error = json!({
            "jsonrpc": "2.0",
            "error": {"code": self.code, "message": self.message},
            "id": self.id,
        });
        let mut response = json_response(self.status, &error);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A response with a JSON body.
pub fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
