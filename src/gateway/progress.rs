//! What a call tells its client before the answer: how far it is, if the request asks for that, and lines for the client's log.

use std::time::Duration;

use rmcp::model::{
    CustomNotification, ProgressNotificationParam, ProgressToken, RequestId, ServerNotification,
};
use rmcp::service::{OriginatingRequestId, Peer, RequestContext, RoleServer};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::sessions::WITHOUT_SESSIONS;
use crate::engine::{Contact, Done, Level, Line, Log, Progress, Session};

/// How long what a call has told last may take to leave before its answer does.
const GRACE: Duration = Duration::from_millis(500);

/// Whether a request is of a version of MCP in which each stands alone.
pub(super) fn stands_alone(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version.as_str() >= WITHOUT_SESSIONS)
}

/// The least level of the lines that the client of a request wants in its log; `None`: none at all.
pub(super) fn wanted(context: &RequestContext<RoleServer>, session: &Session) -> Option<Level> {
    if stands_alone(context) {
        let level = serde_json::to_value(context.meta.log_level()?).ok()?;
        return Level::of(level.as_str()?);
    }
    Some(session.log_level().unwrap_or_default())
}

/// Does the work of a request, and tells its client meanwhile what that tells: how far it is, if the request asks for that, and the
/// lines of the log from this level on. A client that does not read is told less, and holds the work up for no longer than a
/// moment at the end.
pub(super) async fn told<F: Future>(
    context: &RequestContext<RoleServer>,
    least: Option<Level>,
    mut contact: Contact,
    work: impl FnOnce(Contact) -> F,
) -> F::Output {
    let token = context.meta.get_progress_token();
    if token.is_none() && least.is_none() {
        return Box::pin(work(contact)).await;
    }
    let mut told = Told {
        peer: &context.peer,
        id: &context.id,
        stands: None,
        lines: None,
    };
    if let Some(token) = token {
        let (progress, stands) = Progress::asked();
        contact.progress = progress;
        told.stands = Some((token, stands));
    }
    if let Some(least) = least {
        let (log, lines) = Log::from(least);
        contact.log = log;
        told.lines = Some(lines);
    }
    // Boxed: the futures of all requests are part of one another otherwise.
    let mut work = Box::pin(work(contact));
    let telling = told.tell();
    tokio::pin!(telling);
    let outcome = tokio::select! {
        biased;
        outcome = &mut work => outcome,
        // The client is gone.
        () = &mut telling => return work.await,
    };
    // Never after the answer.
    let _ = timeout(GRACE, telling).await;
    outcome
}

/// What a call tells while it runs.
struct Told<'a> {
    peer: &'a Peer<RoleServer>,
    id: &'a RequestId,
    stands: Option<(ProgressToken, mpsc::Receiver<Done>)>,
    lines: Option<mpsc::Receiver<Line>>,
}

impl Told<'_> {
    /// Ends with the work, or when the client is gone.
    async fn tell(mut self) {
        loop {
            let sent = tokio::select! {
                biased;
                Some(line) = next(self.lines.as_mut()) => {
                    self.peer.send_notification(self.line(line)).await
                }
                Some(done) = next(self.stands.as_mut().map(|(_, stands)| stands)) => {
                    let Some((token, _)) = &self.stands else { return };
                    let mut params = ProgressNotificationParam::new(token.clone(), f64::from(done.done));
                    params.total = done.total.map(f64::from);
                    params.message = done.message;
                    self.peer.notify_progress(params).await
                }
                else => return,
            };
            if sent.is_err() {
                return;
            }
        }
    }

    /// A line as the protocol has it. It goes the way of its request's answer.
    fn line(&self, line: Line) -> ServerNotification {
        let params: Value = json!({
            "level": line.level.as_str(), "logger": line.logger, "data": line.data,
        });
        let mut line = CustomNotification::new("notifications/message", Some(params));
        line.extensions
            .insert(OriginatingRequestId(self.id.clone()));
        ServerNotification::CustomNotification(line)
    }
}

/// The next of what is told; `None` when there is no more.
async fn next<T>(told: Option<&mut mpsc::Receiver<T>>) -> Option<T> {
    told?.recv().await
}
