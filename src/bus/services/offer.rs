//! A service of our own: its endpoints, and what is asked of them.

use std::collections::{BTreeMap, HashMap};

use async_nats::service::error::Error as ServiceError;
use async_nats::service::{self, ServiceExt as _};
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;

use crate::bus::connection::Bus;
use crate::bus::error::{Error, ErrorKind};
use crate::bus::link::{REFUSAL_GRACE, permission};
use crate::bus::message::{Bytes, Outgoing, check_subject};

/// The longest reason of a refusal, in characters: it travels in a header.
const MAX_REASON: usize = 2_000;

/// What a service offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Its name: see [`super::is_service_name`].
    pub name: String,
    /// Its version, as semver has it.
    pub version: String,
    /// What it is for.
    pub description: String,
    /// Whatever else is said of it.
    pub metadata: BTreeMap<String, String>,
    /// What can be asked of it.
    pub endpoints: Vec<Endpoint>,
}

/// An endpoint of an [`Offer`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name; unique within the service.
    pub name: String,
    /// Where it is asked: a subject without wildcards.
    pub subject: String,
    /// Whatever else is said of it.
    pub metadata: BTreeMap<String, String>,
}

/// Why a service does not do what it was asked: the headers `Nats-Service-Error-Code` and `Nats-Service-Error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// As in HTTP: 400, 404, 500 and so on.
    pub code: u16,
    /// What happened. Line breaks become blanks; at most 2,000 characters.
    pub reason: String,
}

/// A service of our own. It answers who asks which services there are, and ends when it is dropped.
pub struct Service {
    id: String,
    service: Option<service::Service>,
    requests: SelectAll<BoxStream<'static, Asked>>,
    /// Changes when the client it runs on is replaced, and when the bus is closed.
    links: watch::Receiver<u64>,
}

/// What is asked of an endpoint. Nobody gets an answer when it is dropped.
#[derive(Debug)]
pub struct Asked {
    /// Which endpoint, by its index in the offer.
    pub endpoint: usize,
    /// The body of the request.
    pub payload: Bytes,
    request: service::Request,
    most: usize,
}

impl Bus {
    /// Puts a service on NATS. `Ok` means that it can be asked.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a name or a version that the service API does not take,
    /// [`ErrorKind::InvalidSubject`], [`ErrorKind::Permission`], [`ErrorKind::Disconnected`], [`ErrorKind::Closed`].
    pub async fn offer(&self, offer: &Offer) -> Result<Service, Error> {
        let what = format!("offering the NATS service `{}`", offer.name);
        for endpoint in &offer.endpoints {
            check_subject(&endpoint.subject)?;
        }
        let links = self.links();
        let link = self.link(&what).await?;
        let vigil = link.health.exact_vigil();
        let config = service::Config {
            name: offer.name.clone(),
            version: offer.version.clone(),
            description: Some(offer.description.clone()),
            stats_handler: None,
            metadata: Some(hashed(&offer.metadata)),
            queue_group: None,
        };
        let refused = |error: async_nats::Error| {
            Error::new(ErrorKind::InvalidConfig, what.clone()).caused_by(error)
        };
        let started = link.client.add_service(config).await.map_err(refused)?;
        // From here on, dropping it stops the service.
        let mut service = Service {
            id: started.info().await.id,
            requests: SelectAll::new(),
            service: None,
            links,
        };
        let most = link.max_payload();
        for (index, endpoint) in offer.endpoints.iter().enumerate() {
            let builder = started
                .endpoint_builder()
                .name(&endpoint.name)
                .metadata(hashed(&endpoint.metadata));
            let requests = match builder.add(&endpoint.subject).await {
                Ok(requests) => requests,
                Err(error) => {
                    service.service = Some(started);
                    return Err(link.broken(&what).caused_by(error));
                }
            };
            let asked = move |request: service::Request| Asked {
                endpoint: index,
                payload: request.message.payload.clone(),
                request,
                most,
            };
            service.requests.push(requests.map(asked).boxed());
        }
        service.service = Some(started);
        // The server handles a connection's messages in order: once this is through, the subscriptions are.
        let proof = Outgoing::new(link.client.new_inbox(), Bytes::new());
        match link.publish(&what, proof).await {
            Err(error) if error.kind() == ErrorKind::Permission => {
                tokio::time::sleep(REFUSAL_GRACE).await;
            }
            other => other?,
        }
        tokio::task::yield_now().await;
        let mut subjects = offer.endpoints.iter().map(|e| e.subject.as_str());
        match subjects.find(|subject| vigil.refused(subject)) {
            Some(subject) => Err(permission(&what, subject)),
            None => Ok(service),
        }
    }
}

impl Service {
    /// Which instance this is.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What is asked next. `None`: the service has come to its end, because it was stopped, other servers are in use, or the
    /// bus is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<Asked> {
        let runs = self.service.is_some();
        tokio::select! {
            biased;
            // A service may offer nothing for now: it is there all the same.
            Some(asked) = self.requests.next() => Some(asked),
            _ = self.links.changed(), if runs => None,
            else => None,
        }
    }

    /// Takes no more requests. Those that have arrived still come out of [`Service::next`].
    pub fn stop(&mut self) {
        if let Some(service) = self.service.take() {
            // It waits for nothing.
            let _ = service.stop().now_or_never();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Asked {
    /// Answers. An answer that is larger than NATS takes becomes a refusal.
    ///
    /// # Errors
    /// [`ErrorKind::Disconnected`]; nothing else can be done then.
    pub async fn answer(self, answer: Result<Bytes, Refusal>) -> Result<(), Error> {
        if self.request.message.reply.is_none() {
            return Ok(());
        }
        let most = self.most;
        let fitting = answer.and_then(|body| match body.len() {
            size if size > most => Err(Refusal {
                code: 500,
                reason: format!("the answer has {size} bytes, and NATS takes {most}"),
            }),
            _ => Ok(body),
        });
        let answer = fitting.map_err(|refusal| ServiceError {
            status: one_line(&refusal.reason),
            code: refusal.code.into(),
        });
        let sent = self.request.respond(answer).await;
        sent.map_err(|error| {
            let what = format!("answering on {}", self.request.message.subject);
            Error::new(ErrorKind::Disconnected, what).caused_by(error)
        })
    }
}

fn hashed(map: &BTreeMap<String, String>) -> HashMap<String, String> {
    map.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// A text as a header carries it.
fn one_line(text: &str) -> String {
    let flat = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(MAX_REASON).map(flat).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_a_header() {
        assert_eq!(one_line(" a\r\nb\tc\n"), "a  b c");
        assert_eq!(one_line(&"é".repeat(3_000)).chars().count(), MAX_REASON);
    }
}
