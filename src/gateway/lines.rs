//! Messages of MCP as lines of two pipes.
//!
//! MCP's library reads lines, too, but it ends the whole session when a client says something that is no request before it
//! begins, answers what it cannot read without the id that stands there, and mixes calls up that have the same id.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use rmcp::model::{
    ClientJsonRpcMessage, ClientNotification, ClientRequest, ErrorCode, ErrorData, GetMeta as _,
    JsonRpcMessage, ProtocolVersion, RequestId, ServerJsonRpcMessage, ServerResult,
};
use rmcp::service::RoleServer;
use rmcp::transport::Transport;
use rmcp::transport::async_rw::AsyncRwTransport;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, Empty};
use tokio::task::JoinHandle;
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{AnyDelimiterCodec, AnyDelimiterCodecError, Decoder, FramedRead};

use super::malformed;

/// The longest line that is read, in bytes.
const MAX_LINE: usize = 16 * 1024 * 1024;
/// How many requests may wait for their answers at the same time.
const MAX_RUNNING: usize = 4096;
/// Refused before anything was done.
const REFUSED: ErrorCode = ErrorCode(-32000);

/// One client on two pipes.
pub struct Lines<R, W: AsyncWrite> {
    lines: FramedRead<R, Cut>,
    /// Only writes.
    writer: AsyncRwTransport<RoleServer, Empty, W>,
    state: Arc<Mutex<State>>,
    /// A refusal that is being written. Nothing is read before it is: who does not read is not read.
    refusing: Option<JoinHandle<io::Result<()>>>,
}

/// What is known of the client.
#[derive(Default)]
struct State {
    begun: Begun,
    /// The requests that have no answer yet.
    running: HashSet<RequestId>,
}

/// How a client has begun, which holds for the whole session.
#[derive(Default, Clone, Copy, PartialEq)]
enum Begun {
    #[default]
    NotYet,
    /// With `initialize`, up to MCP 2025-11-25.
    Initialized,
    /// With a request that says all by itself, since MCP 2026-07-28.
    Inline,
}

/// What becomes of a line.
enum Read {
    Message(Box<ClientJsonRpcMessage>),
    Refused(ErrorData, Option<RequestId>),
    /// It wants no answer, and nothing is done.
    PassedOver,
}

impl<R, W> Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    /// Over these pipes.
    pub fn new(reader: R, writer: W) -> Self {
        Self {
            lines: FramedRead::new(reader, Cut::default()),
            writer: AsyncRwTransport::new_server(tokio::io::empty(), writer),
            state: Arc::default(),
            refusing: None,
        }
    }

    fn read(&self, line: &Line) -> Read {
        let Line::Whole(line) = line else {
            let text = format!("a line is longer than {MAX_LINE} bytes and was not read");
            return Read::Refused(ErrorData::invalid_request(text, None), None);
        };
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            return Read::PassedOver;
        }
        match serde_json::from_slice(line) {
            Ok(message) => self.state().admit(message),
            Err(_) => match unreadable(line) {
                Read::Message(message) => self.state().admit(*message),
                read => read,
            },
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R, W> Transport<RoleServer> for Lines<R, W>
where
    R: AsyncRead + Send + Unpin,
    W: AsyncWrite + Send + Unpin + 'static,
{
    type Error = io::Error;

    fn send(
        &mut self,
        message: ServerJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        self.state().answered(&message);
        self.writer.send(message)
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            if let Some(refusing) = &mut self.refusing {
                let written = refusing.await;
                self.refusing = None;
                written.ok()?.ok()?;
            }
            let line = match self.lines.next().await? {
                Ok(line) => line,
                Err(error) => {
                    tracing::error!(%error, "standard input cannot be read any more");
                    return None;
                }
            };
            match self.read(&line) {
                Read::Message(message) => return Some(*message),
                Read::PassedOver => {}
                Read::Refused(error, id) => {
                    tracing::debug!(message = %error.message, "a message is refused");
                    let refusal = self.writer.send(ServerJsonRpcMessage::error(error, id));
                    self.refusing = Some(tokio::spawn(refusal));
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.writer.close().await
    }
}

impl State {
    /// Whether a message may go on to the service.
    fn admit(&mut self, message: ClientJsonRpcMessage) -> Read {
        match &message {
            JsonRpcMessage::Request(request) => {
                let (request, id) = (&request.request, &request.id);
                if let Some(error) = self.refused(request) {
                    return Read::Refused(error, Some(id.clone()));
                }
                if !self.running.insert(id.clone()) {
                    // With its id, this would be taken for the answer to the other.
                    let text =
                        format!("the id {id} is that of a request which is not answered yet");
                    return Read::Refused(ErrorData::invalid_request(text, None), None);
                }
                if self.begun == Begun::NotYet && begins(request) {
                    self.begun = Begun::Inline;
                }
            }
            // There is nothing yet that they could speak of.
            _ if self.begun == Begun::NotYet => return Read::PassedOver,
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) =
                    &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    self.running.remove(id);
                }
            }
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => {}
        }
        Read::Message(Box::new(message))
    }

    /// Why a request is refused here.
    fn refused(&self, request: &ClientRequest) -> Option<ErrorData> {
        if self.running.len() >= MAX_RUNNING {
            let text =
                format!("{MAX_RUNNING} requests wait for their answers: wait for some first");
            return Some(ErrorData::new(REFUSED, text, None));
        }
        if request.method() != "initialize" {
            return None;
        }
        if !matches!(request, ClientRequest::InitializeRequest(_)) {
            return Some(ErrorData::invalid_params(malformed::INITIALIZE, None));
        }
        let text = match self.begun {
            Begun::NotYet => return None,
            Begun::Initialized => "this session is initialized already",
            Begun::Inline => {
                "this session has begun with a request of MCP 2026-07-28 or later, which has no initialize: start another \
                 server to use an earlier version"
            }
        };
        Some(ErrorData::invalid_request(text, None))
    }

    /// Takes note of what is sent.
    fn answered(&mut self, message: &ServerJsonRpcMessage) {
        let id = match message {
            JsonRpcMessage::Response(response) => {
                if matches!(response.result, ServerResult::InitializeResult(_)) {
                    self.begun = Begun::Initialized;
                }
                Some(&response.id)
            }
            JsonRpcMessage::Error(error) => error.id.as_ref(),
            JsonRpcMessage::Request(_) | JsonRpcMessage::Notification(_) => None,
        };
        if let Some(id) = id {
            self.running.remove(id);
        }
    }
}

/// Whether the library begins a session with this request, if none has begun.
fn begins(request: &ClientRequest) -> bool {
    let probes = matches!(
        request,
        ClientRequest::PingRequest(_) | ClientRequest::DiscoverRequest(_)
    );
    let meta = request.get_meta();
    let version = meta.protocol_version();
    !probes
        && version.is_some_and(|version| ProtocolVersion::KNOWN_VERSIONS.contains(&version))
        && meta
            .missing_required_keys(&ProtocolVersion::V_2026_07_28)
            .is_empty()
}

/// A line that is no message of MCP.
fn unreadable(line: &[u8]) -> Read {
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => {
            // No id can be known, and an answer to noise can be the cause of more noise.
            tracing::debug!(%error, "a line is no JSON");
            return Read::PassedOver;
        }
    };
    if malformed::is_notification(&value) {
        tracing::debug!("a notification does not fit its method");
        return Read::PassedOver;
    }
    if malformed::is_answer(&value) {
        tracing::debug!("an answer cannot be read");
        // Whoever asked need not wait for another.
        let error = ErrorData::invalid_request("its answer cannot be read", None);
        return match serde_json::from_value(value["id"].clone()) {
            Ok(id) => Read::Message(Box::new(JsonRpcMessage::error(error, id))),
            Err(_) => Read::PassedOver,
        };
    }
    let error = ErrorData::invalid_request(malformed::reason(&value), None);
    let id = serde_json::from_value(malformed::id_in(&value)).ok();
    Read::Refused(error, id)
}

/// What is between two ends of lines.
enum Line {
    Whole(Bytes),
    TooLong,
}

/// Cuts bytes into lines. One that is too long is dropped as it comes, and the next is read.
struct Cut(AnyDelimiterCodec);

impl Default for Cut {
    fn default() -> Self {
        let ends = b"\n".to_vec();
        Self(AnyDelimiterCodec::new_with_max_length(
            ends,
            Vec::new(),
            MAX_LINE,
        ))
    }
}

impl Decoder for Cut {
    type Item = Line;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Line>> {
        line(self.0.decode(bytes))
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Line>> {
        line(self.0.decode_eof(bytes))
    }
}

fn line(read: Result<Option<Bytes>, AnyDelimiterCodecError>) -> io::Result<Option<Line>> {
    match read {
        Ok(line) => Ok(line.map(Line::Whole)),
        Err(AnyDelimiterCodecError::MaxChunkLengthExceeded) => Ok(Some(Line::TooLong)),
        Err(AnyDelimiterCodecError::Io(error)) => Err(error),
    }
}
