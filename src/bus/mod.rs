//! NATS: one connection, streams, buckets, and the reading of history.
//!
//! Everything above uses only what is exported here; no type of `async_nats` leaves this module.
//!
//! - [`Bus`] connects in the background and for ever. While it is down every call fails at once.
//! - [`Stream`] and [`Bucket`] are handles that are made once. They create what is declared and
//!   absent, never change what exists, and report how it differs ([`Drift`]).
//! - A [`Subscription`] hears what is sent on core NATS, over reconnections and replaced servers.
//! - NATS services: [`Bus::services`] asks which there are, [`Bus::offer`] adds one.
//! - An acknowledgement is one round trip; a page of history at least two (what is there, and it).
//! - Every wait is bounded by [`BusConfig::request_timeout`].

mod api;
mod bucket;
mod bucket_spec;
mod config;
mod connection;
mod direct;
mod ensure;
mod error;
mod events;
mod feed;
mod last;
mod leader;
mod link;
pub mod local;
mod message;
mod mirror;
pub mod permits;
mod place;
mod post;
mod publish;
mod pull;
mod queue;
mod read;
mod recall;
mod services;
mod strand;
mod stream;
mod subjects;
mod subscribe;
mod survey;
mod time;
mod url;
mod walk;

pub use bucket::Bucket;
pub use bucket_spec::{BucketSpec, Entry, Listing, Memo, Operation};
pub use config::{BusConfig, INBOX, MAX_REQUEST_TIMEOUT, Tls};
pub use connection::Bus;
pub use ensure::{Drift, Standing};
pub use error::{Error, ErrorKind};
pub use events::State;
pub use feed::{Feed, FeedReader, FeedStart, Heard, Pace, Stand, Told};
pub use link::ServerInfo;
pub use message::{Bytes, Message, Outgoing};
pub use post::Posted;
pub use publish::Ack;
pub use queue::{
    Claim, Completed, Dead, DeadLetter, DeadPage, DeadQuery, Extended, Found, Item, ItemState,
    Lane, LaneDepth, Look, MAX_LANES, MAX_LEVELS, MAX_TOKEN, MAX_WAIT, Peeked, Queue, QueueSpec,
    Release, Released, Rules, Swept,
};
pub use read::{From, MAX_PAGE, Page, ReadRequest, Stored};
pub use services::{
    Asked, Endpoint, Instance, Offer, Point, Refusal, Roll, Service, is_service_name,
};
pub use stream::{Discard, Dropped, Retention, Storage, Stream, StreamSpec, StreamState};
pub use subscribe::Subscription;
pub use survey::{Account, AccountLimits, Allowed, Lacking, Login};
pub use url::{address_problem, redact};
