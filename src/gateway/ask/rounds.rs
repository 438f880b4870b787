//! The rounds of a request: where its run stands goes to the client, sealed, and comes back with the answers.

use std::time::Duration;

use rmcp::model::{ErrorData, InputRequest, InputRequests, InputRequiredResult};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::catalog::definition::{fingerprint, sorted};
use crate::engine::contact::{Question, Stand};
use crate::gateway::seal::{Seal, SealError};
use crate::gateway::{Client, full};

/// For how long a client may take to call again.
const TTL: Duration = Duration::from_secs(3600);
/// The most bytes of what a client keeps for a call.
const MAX_STATE: usize = 64 * 1024;

/// A request that may need several rounds.
pub(in crate::gateway) struct Call {
    /// The tool, prompt or address.
    name: String,
    /// What a state is good for: this request, with these arguments, of this client, as long as what it asks for is declared as
    /// it is.
    bound: Vec<u8>,
}

/// What a client keeps for its call.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// Where the run stands.
    pub(super) stand: Stand,
    /// What the call has set, where it has no session: the id and the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<(String, Value)>,
}

impl Kept {
    /// Whether a run that begins comes to the same.
    fn is_begun_again(&self) -> bool {
        let stand = &self.stand;
        stand.next == 0
            && stand.names.is_empty()
            && stand.answers.is_empty()
            && self.session.is_none()
    }
}

impl Call {
    /// A request for something that is declared so ([`declared`]).
    pub(in crate::gateway) fn new(
        method: &str,
        name: &str,
        arguments: Option<&Map<String, Value>>,
        declared: &str,
        client: &Client,
    ) -> Self {
        let principal = client.principal.as_ref().map(|p| p.id.as_str());
        let toolset = client.toolset.as_deref();
        let arguments = sorted(json!(arguments.unwrap_or(&Map::new())));
        let whole = json!([method, name, arguments, declared, principal, toolset]);
        Self {
            name: name.to_owned(),
            bound: Sha256::digest(whole.to_string()).to_vec(),
        }
    }

    /// Seals what the client keeps; `None` where nothing is lost without it and there are no keys.
    ///
    /// # Errors
    /// It is too large, or the keys cannot be had.
    pub(super) async fn seal(&self, kept: &Kept, seal: &Seal) -> Result<Option<String>, ErrorData> {
        let payload = json!(kept).to_string();
        if payload.len() > MAX_STATE {
            let text = format!(
                "{} needs an answer of its client, and what it has found until there is {} bytes, more than the {MAX_STATE} that \
                 a client keeps for it; bind less before the step that asks",
                self.name,
                payload.len()
            );
            return Err(ErrorData::internal_error(text, None));
        }
        match seal.seal(&payload, &self.bound, TTL).await {
            Ok(sealed) => Ok(Some(sealed)),
            // Answers without a state are taken by the first step that asks.
            Err(SealError::Unavailable(_)) if kept.is_begun_again() => Ok(None),
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// Opens what the client has kept.
    ///
    /// # Errors
    /// It was changed, has expired, is of another call, or the keys cannot be had.
    pub(super) async fn open(&self, sealed: &str, seal: &Seal) -> Result<Kept, ErrorData> {
        let opened = seal.open(sealed, &self.bound).await;
        let opened = opened.map_err(|error| self.refused(&error))?;
        // Of another version of this program.
        serde_json::from_str(&opened).map_err(|_| self.refused(&SealError::Expired))
    }

    fn refused(&self, error: &SealError) -> ErrorData {
        let name = &self.name;
        match error {
            SealError::Tampered => ErrorData::invalid_params(
                format!(
                    "the `requestState` was not made for this call of {name}, or was changed; call again without it"
                ),
                None,
            ),
            SealError::Expired => ErrorData::invalid_params(
                format!(
                    "the `requestState` of this call of {name} has expired; call again without it"
                ),
                None,
            ),
            error => {
                let text = format!(
                    "{name} needs an answer of its client, and what it has found until there cannot be sealed or opened: {}",
                    full(error)
                );
                ErrorData::internal_error(text, None)
            }
        }
    }
}

/// The fingerprint of something declared.
pub(in crate::gateway) fn declared(what: &impl Serialize) -> String {
    fingerprint(&sorted(json!(what)))
}

/// What a request is answered with that needs answers.
///
/// # Errors
/// A question that the library has no form for.
pub(super) fn input_required(
    asked: &[Question],
    state: Option<String>,
) -> Result<InputRequiredResult, ErrorData> {
    let requests: InputRequests = asked
        .iter()
        .map(|question| Ok((question.name.clone(), request(question)?)))
        .collect::<Result<_, ErrorData>>()?;
    Ok(InputRequiredResult::new(Some(requests), state))
}

/// A question as a request of the protocol.
///
/// # Errors
/// The library has no form for it.
pub(in crate::gateway) fn request(question: &Question) -> Result<InputRequest, ErrorData> {
    let mut whole = json!({"method": question.method});
    if !question.params.is_empty() {
        whole["params"] = Value::Object(question.params.clone());
    }
    serde_json::from_value(whole).map_err(|error| {
        let text = format!(
            "the question `{}` cannot be put to this client: {error}",
            question.name
        );
        ErrorData::internal_error(text, None)
    })
}
