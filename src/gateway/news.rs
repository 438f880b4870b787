//! News: that the tools, the prompts or the resources have changed, told to every client that wants to hear of it.
//!
//! Clients of versions with `initialize` are told through their sessions; a session that is in no gateway's memory hears nothing
//! meanwhile. Clients of later versions open streams (`subscriptions/listen`) and say what they want to hear.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rmcp::model::{
    ErrorData, PromptListChangedNotification, ResourceListChangedNotification,
    ResourceUpdatedNotification, ResourceUpdatedNotificationParam, ServerNotification,
    SubscriptionFilter, ToolListChangedNotification,
};
use rmcp::service::SubscriptionContext;
use serde_json::{Map, Value};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::sessions::{Live, notification};
use crate::engine::session::MAX_SUBSCRIBED;
use crate::engine::{Push, Pushes, Session};
use crate::spec::uri::UriTemplate;

/// Changes that wait for a stream whose client does not read. It hears of everything that it wants once more were missed.
const WAITING: usize = 256;

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of resources.
    Resources,
    /// The list of prompts.
    Prompts,
    /// What the resource with this address says.
    Updated(String),
    /// What any resource with an address of this template says.
    UpdatedAll(UriTemplate),
}

/// Who is to hear of changes.
#[derive(Debug)]
pub(super) struct News {
    streams: broadcast::Sender<Change>,
    sessions: Mutex<Vec<Weak<Session>>>,
}

impl News {
    pub(super) fn new() -> Self {
        Self {
            streams: broadcast::Sender::new(WAITING),
            sessions: Mutex::default(),
        }
    }

    /// From now on this session hears of changes, as long as it is there.
    pub(super) fn tell_from_now_on(&self, session: &Arc<Session>) {
        // A panic while the lock is held leaves the list whole.
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|other| other.strong_count() > 0);
        sessions.push(Arc::downgrade(session));
    }

    /// Changes from now on, for a stream.
    pub(super) fn listen(&self) -> Changes {
        Changes(self.streams.subscribe())
    }

    /// Tells everybody. `fingerprint` is of the tools as they are now.
    pub(super) fn announce(&self, change: Change, fingerprint: &Arc<str>) {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        for session in sessions.iter().filter_map(Weak::upgrade) {
            match &change {
                Change::Tools => session.relisted(fingerprint),
                Change::Resources => session.tell("notifications/resources/list_changed", None),
                Change::Prompts => session.tell("notifications/prompts/list_changed", None),
                Change::Updated(uri) if session.subscribes(uri) => updated(&session, uri),
                Change::Updated(_) => {}
                Change::UpdatedAll(template) => {
                    let fits = |uri: &str| template.values(uri).is_some();
                    let fitting = session.subscriptions_that(fits);
                    fitting.iter().for_each(|uri| updated(&session, uri));
                }
            }
        }
        drop(sessions);
        // Nobody has to listen.
        let _ = self.streams.send(change);
    }
}

fn updated(session: &Session, uri: &str) {
    let params = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
    session.tell("notifications/resources/updated", Some(params));
}

/// The changes that a stream has not told yet.
pub(super) struct Changes(broadcast::Receiver<Change>);

/// Changes that came together, each once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    changes: BTreeSet<Change>,
    /// More came than could wait: anything may have changed.
    missed: bool,
}

impl Changes {
    /// What has changed since it was last asked; `None` when the gateway is gone. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        match self.0.recv().await {
            Ok(change) => drop(batch.changes.insert(change)),
            Err(RecvError::Lagged(_)) => batch.missed = true,
            Err(RecvError::Closed) => return None,
        }
        loop {
            match self.0.try_recv() {
                Ok(change) => drop(batch.changes.insert(change)),
                Err(TryRecvError::Lagged(_)) => batch.missed = true,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(batch),
            }
        }
    }
}

impl Batch {
    /// The notifications for a stream that wants to hear of this.
    fn notifications(&self, wanted: &SubscriptionFilter) -> Vec<ServerNotification> {
        let has = |change: &Change| self.missed || self.changes.contains(change);
        let mut all = Vec::new();
        if wanted.tools_list_changed == Some(true) && has(&Change::Tools) {
            let changed = ToolListChangedNotification::default();
            all.push(ServerNotification::ToolListChangedNotification(changed));
        }
        if wanted.resources_list_changed == Some(true) && has(&Change::Resources) {
            let changed = ResourceListChangedNotification::default();
            all.push(ServerNotification::ResourceListChangedNotification(changed));
        }
        if wanted.prompts_list_changed == Some(true) && has(&Change::Prompts) {
            let changed = PromptListChangedNotification::default();
            all.push(ServerNotification::PromptListChangedNotification(changed));
        }
        let fits = |uri: &str| {
            let mut changes = self.changes.iter();
            changes.any(|c| matches!(c, Change::UpdatedAll(t) if t.values(uri).is_some()))
        };
        for uri in wanted.resource_subscriptions.iter().flatten() {
            if has(&Change::Updated(uri.clone())) || fits(uri) {
                let params = ResourceUpdatedNotificationParam::new(uri);
                let updated = ResourceUpdatedNotification::new(params);
                all.push(ServerNotification::ResourceUpdatedNotification(updated));
            }
        }
        all
    }
}

/// What of a filter is taken: all but resources beyond [`MAX_SUBSCRIBED`]. rmcp leaves out what is not offered.
pub(super) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let mut accepted = requested.clone();
    if let Some(uris) = &mut accepted.resource_subscriptions {
        uris.truncate(MAX_SUBSCRIBED);
    }
    accepted
}

/// Tells a stream what it wants to hear of, and what its session has to say if it has one, until either end goes away.
///
/// # Errors
/// None: the stream ends.
pub(super) async fn tell(
    context: &SubscriptionContext,
    live: Option<&Live>,
    mut changes: Changes,
) -> Result<(), ErrorData> {
    let _busy = live.map(Live::streaming);
    let mut pushes = live.map(|live| live.session().attach(None));
    loop {
        let sent = tokio::select! {
            () = context.cancelled() => return Ok(()),
            () = left(live) => return Ok(()),
            push = next(&mut pushes) => {
                let Some(push) = push else { return Ok(()) };
                let peer = &context.request_context().peer;
                peer.send_notification(notification(push)).await.is_ok()
            }
            batch = changes.next() => {
                let Some(batch) = batch else { return Ok(()) };
                send(context, batch).await
            }
        };
        if !sent {
            return Ok(());
        }
    }
}

/// Whether the client is still there.
async fn send(context: &SubscriptionContext, batch: Batch) -> bool {
    for notification in batch.notifications(context.accepted()) {
        if context.sink().send(notification).await.is_err() {
            return false;
        }
    }
    true
}

/// Waits until this gateway no longer has the session, if there is one.
async fn left(live: Option<&Live>) {
    match live {
        Some(live) => live.left().await,
        None => std::future::pending().await,
    }
}

/// The next push of the session, if there is one.
async fn next(pushes: &mut Option<Pushes>) -> Option<Push> {
    match pushes {
        Some(pushes) => pushes.next().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn methods(batch: Batch, wanted: &SubscriptionFilter) -> Vec<String> {
        let all = batch.notifications(wanted);
        let json = all.iter().map(|n| serde_json::to_value(n).unwrap());
        json.map(|n| match n["params"]["uri"].as_str() {
            Some(uri) => format!("{} {uri}", n["method"].as_str().unwrap()),
            None => n["method"].as_str().unwrap().to_owned(),
        })
        .collect()
    }

    #[tokio::test]
    async fn a_stream_hears_each_change_once_and_only_what_it_wants() {
        let news = News::new();
        let mut changes = news.listen();
        let wanted = SubscriptionFilter::builder()
            .tools_list_changed()
            .resource_subscriptions(["a:/1", "a:/2"])
            .build();
        let fingerprint: Arc<str> = "f".into();
        let updated = |uri: &str| Change::Updated(uri.to_owned());
        for change in [
            Change::Tools,
            updated("a:/1"),
            Change::Resources,
            Change::Tools,
            updated("a:/3"),
            updated("a:/1"),
        ] {
            news.announce(change, &fingerprint);
        }
        let batch = changes.next().await.unwrap();
        assert_eq!(
            methods(batch, &wanted),
            [
                "notifications/tools/list_changed",
                "notifications/resources/updated a:/1"
            ]
        );
        for index in 0..2 * WAITING {
            news.announce(updated(&format!("a:/{index}")), &fingerprint);
        }
        let batch = changes.next().await.unwrap();
        assert!(batch.missed);
        let all = methods(batch, &wanted);
        assert_eq!(all.len(), 3, "anything may have changed: {all:?}");
        drop(news);
        assert_eq!(changes.next().await, None);
    }

    #[tokio::test]
    async fn sessions_hear_of_lists_and_of_what_they_subscribe_to() {
        let news = News::new();
        let session = Arc::new(Session::new());
        news.announce(Change::Resources, &"f".into());
        news.tell_from_now_on(&session);
        session.subscribe("a:/1");
        for change in [
            Change::Tools,
            Change::Updated("a:/2".into()),
            Change::Updated("a:/1".into()),
            Change::Tools,
        ] {
            news.announce(change, &"f".into());
        }
        let mut pushes = session.attach(None);
        let first = pushes.next().await.unwrap();
        assert_eq!(first.method, "notifications/tools/list_changed");
        assert_eq!(first.seen.fingerprint.as_ref(), "f");
        let second = pushes.next().await.unwrap();
        assert_eq!(second.method, "notifications/resources/updated");
        assert_eq!(second.params.unwrap()["uri"], "a:/1");
        let third = tokio::time::timeout(std::time::Duration::from_millis(20), pushes.next());
        assert!(third.await.is_err(), "equal news are one");
    }
}
