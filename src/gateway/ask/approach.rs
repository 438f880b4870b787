//! How the run of a request reaches its client, and how a request is answered that asks.

use std::sync::Arc;

use rmcp::model::{ErrorData, InputRequiredResult, InputResponses};
use rmcp::service::{RequestContext, RoleServer};

use super::peer::Asking;
use super::rounds::{Call, Kept, input_required};
use super::{about, answers};
use crate::engine::contact::Asked;
use crate::engine::{Asker, Contact, Outcome};
use crate::gateway::handler::{Found, Handler, fleeting};
use crate::gateway::progress::stands_alone;

/// What comes with a request that goes on.
pub(in crate::gateway) struct Again {
    /// Where it stands, sealed.
    pub(in crate::gateway) state: Option<String>,
    /// The answers.
    pub(in crate::gateway) answers: Option<InputResponses>,
}

/// What a request has come to.
pub(in crate::gateway) enum Came<T> {
    /// What it is there for.
    Done(T),
    /// It needs answers.
    Asks(InputRequiredResult),
}

impl Handler {
    /// How the run of a request reaches its client, and where it goes on. `call` is there if the request can ask, or brings a state.
    ///
    /// # Errors
    /// Answers that are none, and a state that is not of this request.
    pub(in crate::gateway) async fn approach(
        &self,
        context: &RequestContext<RoleServer>,
        found: &mut Found,
        call: Option<&Call>,
        again: Again,
    ) -> Result<Contact, ErrorData> {
        let mut contact = Contact {
            client: Arc::new(about(context)),
            ..Contact::default()
        };
        // Those whose requests stand alone are asked in rounds.
        if !stands_alone(context) {
            let live = match found {
                Found::One(_) => None,
                Found::Live(_, live) => Some(Arc::clone(live)),
                // Nobody brings the answers of a client without a session.
                Found::Fleeting(_) => return Ok(contact),
            };
            let asking = Asking::new(context.peer.clone(), live);
            contact.asker = Asker::Waits(Arc::new(asking));
            return Ok(contact);
        }
        contact.asker = answers(again.answers)?;
        if let (Some(call), Some(state)) = (call, again.state) {
            let kept = call.open(&state, &self.gateway.seal).await?;
            contact.from = Some(kept.stand);
            if let (Found::Fleeting(session), Some((id, state))) = (found, kept.session) {
                let restored = self.gateway.restore(id, &state);
                let client = crate::gateway::handler::client(context);
                *session = Arc::new(fleeting(restored, &client));
            }
        }
        Ok(contact)
    }

    /// What the run of a request is answered with.
    ///
    /// # Errors
    /// What it has found cannot go to the client and come back.
    pub(in crate::gateway) async fn came<T>(
        &self,
        outcome: Outcome<T>,
        found: &Found,
        call: Option<&Call>,
    ) -> Result<Came<T>, ErrorData> {
        match (outcome, call) {
            (Outcome::Done(done), _) => Ok(Came::Done(done)),
            (Outcome::Asked(asked), Some(call)) => {
                let asks = self.asks(asked, found, call).await?;
                Ok(Came::Asks(asks))
            }
            (Outcome::Asked(_) | Outcome::Reached(_), _) => {
                let text = "the run has ended before its end: a fault in the gateway";
                Err(ErrorData::internal_error(text, None))
            }
        }
    }

    async fn asks(
        &self,
        asked: Asked,
        found: &Found,
        call: &Call,
    ) -> Result<InputRequiredResult, ErrorData> {
        let session = match found {
            Found::Fleeting(session) if session.is_bound() => {
                Some((session.id().to_owned(), session.snapshot()))
            }
            _ => None,
        };
        let kept = Kept {
            stand: asked.stand,
            session,
        };
        let state = call.seal(&kept, &self.gateway.seal).await?;
        input_required(&asked.questions, state)
    }
}
