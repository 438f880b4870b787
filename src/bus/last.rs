//! The newest message of a stream on some subjects, and when a message was stored.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::try_join_all;
use serde_json::json;

use super::api::{Failure, code};
use super::bucket_spec::Entry;
use super::error::Error;
use super::leader;
use super::read::Stored;
use super::stream::Stream;
use super::time::nanos_of;

impl Stream {
    /// The newest message on any of these subjects (wildcards allowed), as the leader has it: a round trip for each subject,
    /// all at the same time. `None`: nothing is stored on them.
    ///
    /// # Errors
    /// As [`Stream::ensure`], and those of the connection and of the JetStream API.
    pub async fn last(&self, subjects: &[String]) -> Result<Option<Stored>, Error> {
        let resource = &self.resource;
        let what = format!("asking for the newest message of the {}", resource.label);
        let link = resource.ready(&what).await?;
        let found = match self.newest(&link, &what, subjects).await {
            Err(failure) if failure.code() == code::STREAM_NOT_FOUND => {
                let link = resource.again(&what).await?;
                self.newest(&link, &what, subjects).await
            }
            found => found,
        };
        let found = found.map_err(|failure| failure.into_error(&what))?;
        Ok(found.into_iter().flatten().max_by_key(|found| found.seq))
    }

    async fn newest(
        &self,
        link: &super::link::Link,
        what: &str,
        subjects: &[String],
    ) -> Result<Vec<Option<Stored>>, Failure> {
        let bodies: Vec<_> = subjects
            .iter()
            .map(|subject| json!({ "last_by_subj": subject }))
            .collect();
        let name = &self.resource.name;
        try_join_all(
            bodies
                .iter()
                .map(|body| leader::get(link, what, name, body)),
        )
        .await
    }
}

impl Stored {
    /// When it was stored, by the clock of the server; `None` of a message that was not read from a stream.
    pub fn stored_at(&self) -> Option<SystemTime> {
        at(&self.time)
    }
}

impl Entry {
    /// When it was stored, by the clock of the server.
    pub fn stored_at(&self) -> Option<SystemTime> {
        at(&self.time)
    }
}

fn at(time: &str) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_nanos(nanos_of(time)?))
}
