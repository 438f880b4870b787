//! Messages whose answers come some other way: their sender learns at once that nobody listens, and nothing else comes back.
//!
//! The server says so to the subject of the answer. Those of all messages are one subscription, the desk of a link. (The
//! library's own requests would be remembered for ever when no answer comes.)

use super::connection::Bus;
use super::error::{Error, ErrorKind};
use super::events::{Health, Vigil, lock, permission};
use super::link::{Link, REFUSAL_GRACE, timeout};
use super::message::{self, Bytes, Outgoing, check_subject};
use async_nats::{StatusCode, Subscriber};
use futures_util::StreamExt as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use uuid::Uuid;

/// Whether somebody listens, for each message that is waited for.
type Slips = Arc<Mutex<HashMap<String, oneshot::Sender<bool>>>>;

/// Where the server says that nobody listens.
#[derive(Debug)]
pub(super) struct Desk {
    /// What the subjects of answers begin with.
    prefix: String,
    slips: Slips,
    reading: AbortHandle,
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Desk {
    async fn open(link: &Link, what: &str) -> Result<Self, Error> {
        let prefix = format!("{}.", link.client.new_inbox());
        let answers = link.subscribe(what, &format!("{prefix}*")).await?;
        let slips = Slips::default();
        let reading = tokio::spawn(read(answers, prefix.len(), Arc::clone(&slips)));
        Ok(Self {
            prefix,
            slips,
            reading: reading.abort_handle(),
        })
    }

    /// Waits until the server has said what it will say of the messages before: it handles a connection's messages in order,
    /// so it has once one of ours is back.
    async fn settled(&self, link: &Link, what: &str, vigil: &mut Vigil) -> Result<(), Error> {
        let mut last = self.slip();
        let echo = Outgoing::new(&last.reply, Bytes::new());
        link.hand_over(what, echo, None).await?;
        tokio::select! {
            _ = &mut last.heard => Ok(()),
            error = vigil.trouble(what, &last.reply) => Err(error),
            () = tokio::time::sleep(link.limit) => Err(timeout(what, link.limit)),
        }
    }

    fn slip(&self) -> Slip {
        let (sender, heard) = oneshot::channel();
        let token = Uuid::new_v4().simple().to_string();
        let reply = format!("{}{token}", self.prefix);
        lock(&self.slips).insert(token.clone(), sender);
        Slip {
            slips: Arc::clone(&self.slips),
            token,
            reply,
            heard,
        }
    }
}

async fn read(mut answers: Subscriber, prefix: usize, slips: Slips) {
    while let Some(message) = answers.next().await {
        let token = message.subject.get(prefix..).unwrap_or_default();
        // A stream that stores the message answers too.
        let heard = message.status != Some(StatusCode::NO_RESPONDERS);
        if let Some(slip) = lock(&slips).remove(token) {
            let _ = slip.send(heard);
        }
    }
}

/// What is waited for at a desk; forgotten when dropped.
#[derive(Debug)]
struct Slip {
    slips: Slips,
    token: String,
    reply: String,
    heard: oneshot::Receiver<bool>,
}

impl Drop for Slip {
    fn drop(&mut self) {
        lock(&self.slips).remove(&self.token);
    }
}

/// A message that was sent, while its sender waits for what comes of it.
pub struct Posted {
    what: String,
    subject: String,
    slip: Slip,
    vigil: Vigil,
    /// Its desk must not close.
    _link: Arc<Link>,
}

impl std::fmt::Debug for Posted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Posted")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl Posted {
    /// Resolves when nothing can come of the message any more: [`ErrorKind::NoResponders`], [`ErrorKind::Permission`], or
    /// [`ErrorKind::Disconnected`] when the connection was lost meanwhile, if only for a moment. Otherwise never.
    /// Cancel-safe.
    pub async fn failed(&mut self) -> Error {
        let heard = &mut self.slip.heard;
        let unheard = async {
            if heard.is_terminated() || !matches!(heard.await, Ok(false)) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = unheard => nobody(&self.what, &self.subject),
            error = self.vigil.trouble(&self.what, &self.subject) => error,
        }
    }
}

fn nobody(what: &str, subject: &str) -> Error {
    Error::new(
        ErrorKind::NoResponders,
        format!("{what}: nobody listens on {subject}"),
    )
}

impl Link {
    async fn desk(&self, what: &str) -> Result<&Desk, Error> {
        if self.health.inbox_refused() {
            return Err(permission(what, "the subject of an answer"));
        }
        self.desk.get_or_try_init(|| Desk::open(self, what)).await
    }

    fn strict_vigil(&self) -> Vigil {
        Health::vigil(&self.health).of_one_connection()
    }

    /// Hands a message to the connection, within the limit of a request.
    async fn hand_over(&self, what: &str, msg: Outgoing, reply: Option<&str>) -> Result<(), Error> {
        let headers = message::headers(&msg.headers, &[])?;
        let (subject, size) = (msg.subject.clone(), msg.payload.len());
        let sent = self.send(msg.subject, reply.map(str::to_owned), headers, msg.payload);
        match tokio::time::timeout(self.limit, sent).await {
            Ok(sent) => sent.map_err(|error| self.publish_error(what, &subject, size, error)),
            Err(_) => Err(timeout(what, self.limit)),
        }
    }
}

impl Bus {
    /// Sends a message on core NATS whose answers come some other way: to a subscription that was made before. Does not wait
    /// for the server; [`Posted::failed`] tells what it says.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`], [`ErrorKind::Permission`], [`ErrorKind::TooLarge`], [`ErrorKind::InvalidSubject`],
    /// [`ErrorKind::InvalidHeader`].
    pub async fn post(&self, msg: Outgoing) -> Result<Posted, Error> {
        check_subject(&msg.subject)?;
        let what = format!("asking {}", msg.subject);
        let link = self.link(&what).await?;
        let vigil = link.strict_vigil();
        let slip = link.desk(&what).await?.slip();
        let subject = msg.subject.clone();
        link.hand_over(&what, msg, Some(&slip.reply)).await?;
        Ok(Posted {
            what,
            subject,
            slip,
            vigil,
            _link: link,
        })
    }

    /// Sends a message on core NATS, and makes sure that somebody listens. One round trip.
    ///
    /// # Errors
    /// [`ErrorKind::NoResponders`], [`ErrorKind::Timeout`], and those of [`Bus::post`].
    pub async fn deliver(&self, msg: Outgoing) -> Result<(), Error> {
        check_subject(&msg.subject)?;
        let what = format!("publishing to {}", msg.subject);
        let link = self.link(&what).await?;
        let mut vigil = link.strict_vigil();
        let desk = link.desk(&what).await?;
        let mut slip = desk.slip();
        let subject = msg.subject.clone();
        link.hand_over(&what, msg, Some(&slip.reply)).await?;
        desk.settled(&link, &what, &mut vigil).await?;
        match slip.heard.try_recv() {
            Ok(false) => Err(nobody(&what, &subject)),
            _ => Ok(()),
        }
    }

    /// Whether somebody listens on each of these subjects, asked with an empty message to each. One round trip. A subject
    /// that this user may not use counts as one on which somebody listens: it is not known.
    ///
    /// # Errors
    /// Those of [`Bus::post`], and [`ErrorKind::Timeout`].
    pub async fn listened(&self, subjects: &[String]) -> Result<Vec<bool>, Error> {
        let what = format!("asking who listens on {}", subjects.join(", "));
        for subject in subjects {
            check_subject(subject)?;
        }
        let link = self.link(&what).await?;
        let mut vigil = link.strict_vigil();
        let desk = link.desk(&what).await?;
        let mut slips = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let slip = desk.slip();
            let empty = Outgoing::new(subject, Bytes::new());
            link.hand_over(&what, empty, Some(&slip.reply)).await?;
            slips.push(slip);
        }
        match desk.settled(&link, &what, &mut vigil).await {
            Err(error) if error.kind() == ErrorKind::Permission => {
                tokio::time::sleep(REFUSAL_GRACE).await;
            }
            outcome => outcome?,
        }
        let heard = slips.iter_mut().map(|slip| slip.heard.try_recv());
        Ok(heard.map(|heard| heard != Ok(false)).collect())
    }
}
