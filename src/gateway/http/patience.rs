//! A connection whose client must take what is sent to it: one that takes nothing for too long is closed, and what waited
//! for it is dropped.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A stream of bytes with a limit for each write that waits.
#[derive(Debug)]
pub struct Patient<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// A stream whose writes wait for `limit` at most.
    pub fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            waiting: None,
        }
    }

    /// What a write gave; an error if it has waited for too long.
    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        gave: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if gave.is_ready() {
            self.waiting = None;
            return gave;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(waiting.as_mut().poll(cx));
        let text = format!("its client has taken nothing for {} s", limit.as_secs_f64());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gave = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.bounded(cx, gave)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gave = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.bounded(cx, gave)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gave = Pin::new(&mut self.stream).poll_flush(cx);
        self.bounded(cx, gave)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn who_takes_a_little_now_and_then_is_waited_for() {
        let (mut client, server) = duplex(10);
        let limit = Duration::from_secs(2);
        let mut server = Patient::new(server, limit);
        let sent = tokio::spawn(async move { server.write_all(&[1; 50]).await });
        for _ in 0..5 {
            tokio::time::sleep(limit / 4).await;
            client.read_exact(&mut [0; 10]).await.unwrap();
        }
        sent.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn who_takes_nothing_is_given_up() {
        let (_client, server) = duplex(10);
        let mut server = Patient::new(server, Duration::from_millis(50));
        let error = server.write_all(&[1; 50]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
