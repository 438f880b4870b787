//! How far a call is, told to a client that has asked for it.

use std::time::Duration;

use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RequestContext, RoleServer};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::engine::{Contact, Done, Progress};

/// How long what a call has told last may take to leave before its answer does.
const GRACE: Duration = Duration::from_millis(500);

/// Does the work of a request, and tells its client meanwhile how far it is, if the request asks for that. A client that
/// does not read is told less, and holds the work up for no longer than a moment at the end.
pub(super) async fn told<F: Future>(
    context: &RequestContext<RoleServer>,
    contact: Contact,
    work: impl FnOnce(Contact) -> F,
) -> F::Output {
    let Some(token) = context.meta.get_progress_token() else {
        return work(contact).await;
    };
    let (progress, waiting) = Progress::asked();
    let work = work(Contact {
        progress,
        ..contact
    });
    let telling = tell(&context.peer, token, waiting);
    tokio::pin!(work, telling);
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

/// Ends with the work, or when the client is gone.
async fn tell(peer: &Peer<RoleServer>, token: ProgressToken, mut waiting: mpsc::Receiver<Done>) {
    while let Some(done) = waiting.recv().await {
        let mut params = ProgressNotificationParam::new(token.clone(), f64::from(done.done));
        params.total = done.total.map(f64::from);
        params.message = done.message;
        if peer.notify_progress(params).await.is_err() {
            return;
        }
    }
}
