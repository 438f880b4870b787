//! Asking a port whether our server answers there, and whether JetStream does.
//!
//! A few lines of the client protocol over a blocking socket: the supervisor and the command line have no async client,
//! and one that reconnects by itself would hide what is asked here.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::folder::Token;

/// How long each step of a probe may take; on loopback a step takes well under a millisecond.
const STEP: Duration = Duration::from_secs(2);
/// The longest line that is read.
const MAX_LINE: u64 = 64 * 1024;
/// How many lines are read while the answer of JetStream is awaited.
const MAX_LINES: usize = 16;

/// What the server says of itself in its first line (`INFO`).
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub(super) version: String,
    pub(super) server_name: String,
}

/// Why a probe gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("nothing usable answers")]
    Io(#[from] io::Error),
    #[error("another server answers")]
    Stranger,
    #[error("the server refuses this folder's token")]
    Refused,
    #[error("JetStream does not answer yet")]
    NotReady,
}

/// Succeeds when the server called `instance` answers at the port, takes the token, and its JetStream is ready.
pub(super) fn probe(port: u16, instance: &str, token: &Token) -> Result<Info, ProbeError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, STEP)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    let mut lines = Lines {
        reader: BufReader::new(stream.try_clone()?),
        deadline: Instant::now() + STEP,
    };
    let first = lines.next()?;
    let info = first
        .strip_prefix("INFO ")
        .and_then(|json| serde_json::from_str::<Info>(json).ok())
        .filter(|info| info.server_name == instance)
        // Whoever it is does not get to see the token.
        .ok_or(ProbeError::Stranger)?;
    let connect = serde_json::json!({
        "verbose": false, "pedantic": false, "tls_required": false, "auth_token": token.as_str(),
        "name": "jacquard probe", "lang": "rust", "version": env!("CARGO_PKG_VERSION"),
        "protocol": 1, "headers": true, "no_responders": true,
    });
    let request = format!(
        "CONNECT {connect}\r\nSUB _INBOX.jacquard.probe 1\r\nPUB $JS.API.INFO _INBOX.jacquard.probe 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    for _ in 0..MAX_LINES {
        let line = lines.next()?;
        if line.starts_with("-ERR") {
            return Err(if line.contains("Authorization") {
                ProbeError::Refused
            } else {
                ProbeError::NotReady
            });
        }
        // HMSG would be the 503 of "no responders".
        if line.starts_with("HMSG ") {
            return Err(ProbeError::NotReady);
        }
        if line.starts_with("MSG ") {
            let answer: serde_json::Value =
                serde_json::from_str(&lines.next()?).map_err(|_| ProbeError::NotReady)?;
            return match answer.get("error") {
                None => Ok(info),
                Some(_) => Err(ProbeError::NotReady),
            };
        }
    }
    Err(ProbeError::NotReady)
}

struct Lines {
    reader: BufReader<TcpStream>,
    deadline: Instant,
}

impl Lines {
    /// The next line, bounded in length, and in time over all lines.
    fn next(&mut self) -> io::Result<String> {
        if Instant::now() >= self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut line = String::new();
        (&mut self.reader).take(MAX_LINE).read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::folder::Folder;
    use super::*;
    use std::net::TcpListener;

    fn token() -> Token {
        let temp = tempfile::tempdir().unwrap();
        Folder::create(temp.path()).unwrap().token(None).unwrap()
    }

    /// A port that says `greeting` to the first who calls; returns what was then heard.
    fn speaker(greeting: &'static str) -> (u16, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(greeting.as_bytes()).unwrap();
            let mut heard = String::new();
            stream.set_read_timeout(Some(STEP)).unwrap();
            let _ = stream.read_to_string(&mut heard);
            heard
        });
        (port, thread)
    }

    #[test]
    fn a_stranger_is_told_nothing() {
        for greeting in [
            "HTTP/1.1 400 Bad Request\r\n",
            "INFO {\"version\":\"2.15.1\",\"server_name\":\"other\"}\r\n",
            "INFO {}\r\n",
        ] {
            let (port, thread) = speaker(greeting);
            let error = probe(port, "mine", &token()).unwrap_err();
            assert!(matches!(error, ProbeError::Stranger), "{greeting}: {error}");
            assert_eq!(thread.join().unwrap(), "", "{greeting}");
        }
    }

    #[test]
    fn a_line_without_end_is_an_error() {
        let (port, _thread) = speaker("INFO {");
        let started = Instant::now();
        assert!(matches!(
            probe(port, "mine", &token()),
            Err(ProbeError::Io(_))
        ));
        assert!(started.elapsed() < STEP * 2);
    }

    #[test]
    fn nobody_there_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(matches!(
            probe(port, "mine", &token()),
            Err(ProbeError::Io(_))
        ));
    }
}
