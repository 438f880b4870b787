//! Requests to the JetStream API (`$JS.API.…`) and the meaning of its error codes.

use super::error::{Error, ErrorKind};
use super::link::Link;
use super::message::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Codes of nats-server's `errors.json` that this program acts on.
pub(super) mod code {
    pub(in crate::bus) const CONSUMER_NOT_FOUND: u32 = 10014;
    pub(in crate::bus) const CONSUMER_EXISTS: u32 = 10148;
    pub(in crate::bus) const NO_SEQUENCE: u32 = 10043;
    pub(in crate::bus) const NO_MESSAGE: u32 = 10037;
    pub(in crate::bus) const NOT_DELETED: u32 = 10057;
    pub(in crate::bus) const NAME_IN_USE: u32 = 10058;
    pub(in crate::bus) const STREAM_NOT_FOUND: u32 = 10059;
    pub(in crate::bus) const OVERLAP: u32 = 10065;
    pub(in crate::bus) const WRONG_LAST_SEQUENCE: u32 = 10071;
}

/// The error part of an answer.
#[derive(Debug, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    err_code: u32,
    #[serde(default)]
    description: String,
}

impl ApiError {
    fn kind(&self) -> ErrorKind {
        match self.err_code {
            code::STREAM_NOT_FOUND => ErrorKind::NoStream,
            code::WRONG_LAST_SEQUENCE => ErrorKind::Conflict,
            code::OVERLAP => ErrorKind::Overlap,
            // Message larger than the stream's max_msg_size.
            10054 => ErrorKind::TooLarge,
            // Store failed (the description names the limit), insufficient resources, memory and
            // storage of the account or server, number of streams.
            10077 | 10023 | 10028 | 10047 | 10027 | 10002 | 10026 => ErrorKind::LimitExceeded,
            // JetStream not enabled, not for the account, per-message TTL disabled.
            10076 | 10039 | 10166 => ErrorKind::Unsupported,
            10060 => ErrorKind::WrongStream,
            // Invalid stream configuration; some of them come with code 500.
            10052 => ErrorKind::InvalidConfig,
            // Temporarily unavailable, no leader; too many requests has a code of 429 (nats-server 2.11+).
            10008 | 10009 => ErrorKind::Busy,
            _ if matches!(self.code, 429 | 503) => ErrorKind::Busy,
            _ if self.code == 400 => ErrorKind::InvalidConfig,
            _ => ErrorKind::Protocol,
        }
    }

    pub(super) fn into_error(self, what: &str) -> Error {
        Error::new(
            self.kind(),
            format!(
                "{what}: {} (JetStream error {})",
                self.description, self.err_code
            ),
        )
    }
}

/// Why an API request gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// JetStream answered with an error.
    Refused(ApiError),
    /// There was no usable answer.
    Failed(Error),
}

impl Failure {
    /// The JetStream code; 0 when there was no answer.
    pub(super) fn code(&self) -> u32 {
        match self {
            Self::Refused(error) => error.err_code,
            Self::Failed(_) => 0,
        }
    }

    /// Whether a message that is to be removed is not there. The server has a code of its own only for some such messages.
    pub(super) fn is_no_message(&self) -> bool {
        match self {
            Self::Refused(error) => match error.err_code {
                code::NO_SEQUENCE => true,
                code::NOT_DELETED => {
                    ["stream store EOF", "no message found"].contains(&error.description.as_str())
                }
                _ => false,
            },
            Self::Failed(_) => false,
        }
    }

    pub(super) fn into_error(self, what: &str) -> Error {
        match self {
            Self::Refused(error) => error.into_error(what),
            Self::Failed(error) => error,
        }
    }
}

/// One request to `$JS.API.<verb>`. An empty `body` sends an empty message.
pub(super) async fn call<T: DeserializeOwned>(
    link: &Link,
    what: &str,
    verb: &str,
    body: Vec<u8>,
) -> Result<T, Failure> {
    let subject = format!("$JS.API.{verb}");
    let answer = link
        .request(what, &subject, None, Bytes::from(body), link.limit)
        .await
        .map_err(|error| Failure::Failed(explain(what, error)))?;
    parse(what, &answer.payload)
}

fn explain(what: &str, error: Error) -> Error {
    if error.kind() != ErrorKind::NoResponders {
        return error;
    }
    Error::new(
        ErrorKind::Unsupported,
        format!("{what}: JetStream does not answer: it is not enabled for this account, or still starting"),
    )
    .caused_by(error)
}

/// Reads an answer: either an `error` member or the expected members.
pub(super) fn parse<T: DeserializeOwned>(what: &str, payload: &[u8]) -> Result<T, Failure> {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<ApiError>,
    }
    let unreadable = |source| {
        Failure::Failed(
            Error::new(
                ErrorKind::Protocol,
                format!("{what}: JetStream's answer is not understood"),
            )
            .caused_by(source),
        )
    };
    serde_json::from_slice::<T>(payload).or_else(|first: serde_json::Error| {
        let answer: Answer = serde_json::from_slice(payload).map_err(unreadable)?;
        Err(answer
            .error
            .map_or_else(|| unreadable(first), Failure::Refused))
    })
}

/// The parts of a stream's info that are used.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub(super) config: serde_json::Map<String, serde_json::Value>,
    pub(super) state: WireState,
    #[serde(default)]
    pub(super) created: Option<String>,
    /// The server's clock when it answered.
    #[serde(default)]
    pub(super) ts: Option<String>,
    /// The stream belongs to a cluster.
    #[serde(default, rename = "cluster", deserialize_with = "is_of_several")]
    pub(super) clustered: bool,
}

/// A server that is alone names itself as the leader (nats-server 2.15.1) or says nothing (2.11); in a cluster it says more.
fn is_of_several<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    type Told = std::collections::HashMap<String, serde::de::IgnoredAny>;
    let told = Option::<Told>::deserialize(deserializer)?;
    Ok(told.is_some_and(|told| told.keys().any(|key| key != "leader")))
}

impl Info {
    /// Whether messages stay until a limit is reached, so that a consumer more changes nothing.
    pub(super) fn keeps(&self) -> bool {
        let retention = self.config.get("retention");
        retention.is_none_or(|retention| retention == "limits")
    }

    pub(super) fn allows_direct(&self) -> bool {
        self.config.get("allow_direct") == Some(&serde_json::Value::Bool(true))
    }
}

/// An answer that says no more than that it was done.
#[derive(Debug, Deserialize)]
pub(super) struct Done {
    #[serde(rename = "success")]
    _success: bool,
}

/// `StreamState` of the JetStream API.
#[derive(Debug, Default, Deserialize)]
pub(super) struct WireState {
    #[serde(default)]
    pub(super) messages: u64,
    #[serde(default)]
    pub(super) bytes: u64,
    #[serde(default)]
    pub(super) first_seq: u64,
    #[serde(default)]
    pub(super) last_seq: u64,
    #[serde(default)]
    pub(super) num_deleted: u64,
    #[serde(default)]
    pub(super) num_subjects: u64,
    #[serde(default)]
    pub(super) consumer_count: u64,
}

/// `$JS.API.STREAM.INFO`.
pub(super) async fn info(link: &Link, what: &str, stream: &str) -> Result<Info, Failure> {
    call(link, what, &format!("STREAM.INFO.{stream}"), Vec::new()).await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::bus::publish::WireAck;

    #[test]
    fn a_server_that_is_alone_is_told_from_a_cluster() {
        for (cluster, expected) in [
            ("", false),
            (r#","cluster":null"#, false),
            (r#","cluster":{"leader":"N"}"#, false),
            (r#","cluster":{"name":"C","leader":"N"}"#, true),
            (r#","cluster":{"raft_group":"S-R3F","replicas":[]}"#, true),
        ] {
            let info = format!(r#"{{"config":{{}},"state":{{}}{cluster}}}"#);
            let info: Info = parse("t", info.as_bytes()).unwrap();
            assert_eq!(info.clustered, expected, "{cluster}");
        }
    }

    #[test]
    fn answers_are_told_from_errors() {
        let ack: WireAck = parse("t", br#"{"stream":"A","seq":1}"#).unwrap();
        assert_eq!(
            (ack.stream.as_str(), ack.seq, ack.duplicate),
            ("A", 1, false)
        );
        let full = br#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"C","seq":0}"#;
        let refused: WireAck = parse("t", full).unwrap();
        let error = refused.error.unwrap().into_error("t");
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        let kind = |code, err_code| {
            let description = String::new();
            let error = ApiError {
                code,
                err_code,
                description,
            };
            error.kind()
        };
        for (code, err_code) in [(429, 10167), (503, 10008), (500, 10009), (503, 0)] {
            assert_eq!(kind(code, err_code), ErrorKind::Busy, "{err_code}");
        }
        assert_eq!(kind(503, 10023), ErrorKind::LimitExceeded);
        assert_eq!(kind(503, 10076), ErrorKind::Unsupported);
        let info = br#"{"error":{"code":404,"err_code":10059,"description":"stream not found"},"total":0}"#;
        assert_eq!(
            parse::<Info>("t", info).unwrap_err().code(),
            code::STREAM_NOT_FOUND
        );
        for odd in [&b""[..], b"x", b"{}", b"[]", b"{\"error\":null}"] {
            let error = parse::<Info>("t", odd).unwrap_err().into_error("t");
            assert_eq!(error.kind(), ErrorKind::Protocol);
        }
    }
}
