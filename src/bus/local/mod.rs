//! The managed local `nats-server`: one for each user of the machine, shared by all gateways that have no other NATS.
//!
//! It is a real server with JetStream on disk, on loopback, on a random port and behind a random token. The first
//! process that needs it starts it, the others join, and it ends after the last one has left. All of that is decided by
//! file locks in the server's folder, so nothing has to be cleaned up after a process that was killed.
//!
//! ```text
//! paths    settings and folders         binary, fetch   a nats-server that is new enough
//! folder   the files of the server      config, probe   what it is told, whether it answers
//! process  start, look, stop            supervise       users, and who stops it
//! server   a process's share in it      status          up, down, status
//! throwaway   a server of one process alone, for tests    deeds   what its users do
//! ```

mod binary;
mod config;
mod deeds;
mod error;
mod exec;
mod fetch;
mod folder;
mod lock;
mod notice;
mod paths;
mod probe;
mod process;
mod server;
mod status;
mod supervise;
#[cfg(all(test, unix))]
mod testing;
mod throwaway;

pub use binary::{FETCHED_VERSION, MIN_VERSION, Version};
pub use deeds::{Deeds, Lookout};
pub use error::{Error, ErrorKind};
pub use notice::Notice;
pub use paths::Options;
pub use server::{LocalServer, find_binary};
pub use status::{Status, address, down, status, up};
pub use supervise::{Supervised, supervise};
pub use throwaway::{Account, Ground, Throwaway, User, guard};
