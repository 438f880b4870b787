//! MCP over standard input and output: one client, one session.
//!
//! Nothing but JSON-RPC ever goes to standard output; logs go to standard error.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rmcp::service::ServiceExt;
use rmcp::transport::stdio_pipes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::{Gateway, Handler};

/// How long calls in flight may go on after the client has gone.
const DRAIN: Duration = Duration::from_millis(900);

/// Serves one client until it closes standard input, or `stop` fires.
///
/// # Errors
/// A client that speaks something else than MCP.
pub async fn serve(gateway: Arc<Gateway>, stop: CancellationToken) -> Result<(), String> {
    let (reader, writer) = stdio_pipes();
    let ended = CancellationToken::new();
    let reader = EndSignal {
        inner: reader,
        ended: ended.clone(),
    };
    let start = Handler::new(gateway).serve((reader, writer));
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
    let cancel = service.cancellation_token();
    let finished = service.waiting();
    tokio::pin!(finished);
    tokio::select! {
        _ = &mut finished => return Ok(()),
        () = stop.cancelled() => {}
        () = ended.cancelled() => {
            // Answers to calls in flight still reach a client that only closed its writing end.
            if tokio::time::timeout(DRAIN, &mut finished).await.is_ok() {
                return Ok(());
            }
        }
    }
    cancel.cancel();
    let _ = tokio::time::timeout(Duration::from_millis(100), finished).await;
    Ok(())
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
