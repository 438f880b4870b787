//! MCP over standard input and output: one client, one session.
//!
//! Nothing but JSON-RPC ever goes to standard output; logs go to standard error.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rmcp::service::{Peer, RoleServer, RunningService, ServiceExt};
use rmcp::transport::stdio_pipes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::lines::Lines;
use super::sessions::notification;
use super::{Gateway, Handler};
use crate::engine::{Begin, Pushes};

/// How long calls in flight may go on after the client has gone.
const DRAIN: Duration = Duration::from_millis(900);
/// How long a call may take to let go after it was told to.
const LET_GO: Duration = Duration::from_millis(100);
/// How long a task may run on that cannot be given away.
const LEAVE: Duration = Duration::from_millis(400);
/// The longest time from the moment that ends a session to its end: calls in flight and closing steps together. What is
/// left of two seconds is for the connection.
const END: Duration = Duration::from_millis(1300);

/// Serves one client until it closes standard input, or `stop` fires.
///
/// # Errors
/// A client that speaks something else than MCP.
pub async fn serve(gateway: Arc<Gateway>, stop: CancellationToken) -> Result<(), String> {
    let (reader, writer) = stdio_pipes();
    Box::pin(serve_on(gateway, reader, writer, stop)).await
}

/// The same over any two pipes.
///
/// # Errors
/// As [`serve`].
pub async fn serve_on(
    gateway: Arc<Gateway>,
    reader: impl AsyncRead + Send + Unpin + 'static,
    writer: impl AsyncWrite + Send + Unpin + 'static,
    stop: CancellationToken,
) -> Result<(), String> {
    let ended = CancellationToken::new();
    let reader = EndSignal {
        inner: reader,
        ended: ended.clone(),
    };
    let session = Arc::new(gateway.session());
    let handler = Handler::new(Arc::clone(&gateway), Arc::clone(&session));
    let start = handler.serve(Lines::new(reader, writer));
    let service = tokio::select! {
        service = start => service,
        () = stop.cancelled() => return Ok(()),
    };
    let service = match service {
        Ok(service) => service,
        // A client that goes away before or after a mere discovery is a normal end.
        Err(_) if ended.is_cancelled() => return Ok(()),
        Err(error) => {
            // The error quotes the client's message.
            tracing::debug!(%error, "no MCP session");
            return Err("the client did not begin with a valid `initialize` request".to_owned());
        }
    };
    // A client of a later version opens streams for news.
    if service.peer().peer_info().is_some() {
        gateway.tell_from_now_on(&session);
    }
    // A reader first: whatever the session has to say has somebody to go to.
    let telling = tokio::spawn(tell(session.attach(None), service.peer().clone()));
    let background = gateway.begin(&session, Begin::LIVE);
    let ending = until_end(service, &stop, &ended).await;
    gateway.tasks.leave(LEAVE).await;
    background.end(END.saturating_sub(ending.elapsed())).await;
    telling.abort();
    Ok(())
}

/// Passes on what the session tells its client unasked. A client that does not read makes whoever tells it wait.
async fn tell(mut pushes: Pushes, peer: Peer<RoleServer>) {
    while let Some(push) = pushes.next().await {
        let sent = peer.send_notification(notification(push));
        if let Err(error) = sent.await {
            tracing::debug!(%error, "the client is gone");
            return;
        }
    }
}

/// Waits until the session is over and no call is in flight any more; answers with when it began to end.
async fn until_end(
    service: RunningService<RoleServer, Handler>,
    stop: &CancellationToken,
    ended: &CancellationToken,
) -> Instant {
    let cancel = service.cancellation_token();
    let finished = service.waiting();
    tokio::pin!(finished);
    let ending;
    tokio::select! {
        _ = &mut finished => return Instant::now(),
        () = stop.cancelled() => ending = Instant::now(),
        () = ended.cancelled() => {
            ending = Instant::now();
            // Answers to calls in flight still reach a client that only closed its writing end.
            tokio::select! {
                _ = &mut finished => return ending,
                () = stop.cancelled() => {}
                () = tokio::time::sleep(DRAIN) => {}
            }
        }
    }
    cancel.cancel();
    let _ = tokio::time::timeout(LET_GO, finished).await;
    ending
}

/// A reader that tells when its end is reached.
struct EndSignal<R> {
    inner: R,
    ended: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for EndSignal<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let at_end = match &polled {
            Poll::Ready(Ok(())) => buf.filled().len() == before && buf.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if at_end {
            self.ended.cancel();
        }
        polled
    }
}
