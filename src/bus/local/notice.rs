//! What the caller is told while a server is found, fetched and started.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::binary::{MIN_VERSION, Version};

/// Something worth telling the person who waits. The display text is one line, for stderr or the log, never stdout.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Notice {
    /// A `nats-server` on the path is not used because it is too old.
    TooOldOnPath {
        /// The file that was passed over.
        path: PathBuf,
        /// What it says it is.
        version: Version,
    },
    /// A `nats-server` on the path or in the cache is not used because it does not run.
    Unusable {
        /// The file that was passed over.
        path: PathBuf,
        /// Why, in one line.
        reason: String,
    },
    /// Another process is fetching the binary; this one waits for it.
    WaitingForFetch,
    /// A fetch begins.
    Fetching {
        /// What is fetched.
        version: Version,
        /// The package client, as it would be typed.
        client: String,
    },
    /// A fetch goes on; comes every few seconds.
    FetchProgress {
        /// Time since the fetch began.
        elapsed: Duration,
        /// Bytes on disk so far, of the download and what was unpacked from it.
        bytes: u64,
    },
    /// One package client did not manage the fetch; the next one is tried.
    FetchAttemptFailed {
        /// The package client, as it would be typed.
        client: String,
        /// Why, in one line.
        reason: String,
    },
    /// The binary is in the cache.
    Fetched {
        /// Time the whole fetch took.
        elapsed: Duration,
        /// Where the binary lies now.
        path: PathBuf,
    },
    /// The local server is being started.
    Starting {
        /// The binary that is run.
        binary: PathBuf,
        /// Its version.
        version: Version,
        /// Where it keeps its data.
        data_dir: PathBuf,
    },
    /// The local server was running already and is used.
    Joined {
        /// Where it answers; holds no credential.
        url: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOldOnPath { path, version } => write!(
                f,
                "not using {}: it is nats-server {version}, and {MIN_VERSION} or newer is needed",
                path.display()
            ),
            Self::Unusable { path, reason } => {
                write!(f, "not using {}: {reason}", path.display())
            }
            Self::WaitingForFetch => {
                f.write_str("another process is fetching nats-server; waiting for it")
            }
            Self::Fetching { version, client } => write!(
                f,
                "no nats-server found: fetching nats-server {version} (about 7 MB) with {client}"
            ),
            Self::FetchProgress { elapsed, bytes } => write!(
                f,
                "fetching nats-server: {} s, {:.1} MB so far",
                elapsed.as_secs(),
                megabytes(*bytes)
            ),
            Self::FetchAttemptFailed { client, reason } => {
                write!(f, "{client} could not fetch nats-server: {reason}")
            }
            Self::Fetched { elapsed, path } => {
                write!(
                    f,
                    "done in {:.1} s: {}",
                    elapsed.as_secs_f64(),
                    path.display()
                )
            }
            Self::Starting {
                binary,
                version,
                data_dir,
            } => write!(
                f,
                "starting a local nats-server {version} ({}), data in {}",
                binary.display(),
                data_dir.display()
            ),
            Self::Joined { url } => write!(f, "using the local nats-server at {url}"),
        }
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
