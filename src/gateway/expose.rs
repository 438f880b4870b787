//! The tools as a NATS service: one endpoint each, so that a plain NATS request can call them.
//!
//! A request's body is the object of arguments; the answer is the structured result as JSON, or the text of a tool that has
//! none. A failure is an empty answer with the headers of the service API.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Client, Gateway, Principal};
use crate::bus::permits::Permits;
use crate::bus::{self, Asked, Bytes, Endpoint, Offer, Refusal, Service};
use crate::catalog::Catalog;
use crate::engine::{Begin, CallError, Reply, Session};
use crate::spec::config::MicroConfig;
use crate::spec::config::http::fits;
use crate::spec::model::MICRO;

/// Requests that are worked on or wait for their turn; further ones are refused with 503.
const MAX_WAITING: usize = 1024;
/// How long after a failure the service is offered again.
const RETRY: Duration = Duration::from_secs(5);
/// How long requests that had arrived at a service may take to come out of it when it is replaced.
const DRAIN: Duration = Duration::from_secs(2);
/// What of the largest message is left for the rest when the service describes itself, in bytes.
const SPARE: usize = 64 << 10;

impl Gateway {
    /// Offers the tools as a NATS service, if the config says so, and follows their changes. Ends with the gateway's
    /// connection.
    pub async fn keep_exposed(self: &Arc<Self>) {
        let mut states = self.nats.bus().watch();
        let mut engines = self.engines.subscribe();
        while states.wait_for(bus::State::is_connected).await.is_ok() {
            let config = self.exposing();
            let changed = async {
                while engines.changed().await.is_ok() {
                    if self.exposing() != config {
                        return;
                    }
                }
                std::future::pending().await
            };
            match &config {
                Some(config) => self.expose(config, changed).await,
                None => changed.await,
            }
        }
    }

    /// How the tools are to be offered now.
    fn exposing(&self) -> Option<MicroConfig> {
        self.serving.load().config.expose.micro.clone()
    }

    /// Offers the tools so, until that is other or the connection is closed.
    async fn expose(self: &Arc<Self>, config: &MicroConfig, changed: impl Future<Output = ()>) {
        let session = Arc::new(self.session());
        let background = self.begin(&session, Begin::LIVE);
        let mut exposed = Exposed {
            gateway: self,
            config,
            session,
            calls: JoinSet::new(),
        };
        tokio::select! {
            () = exposed.keep() => {}
            () = changed => {}
        }
        // They go on with what they began with.
        exposed.calls.detach_all();
        background.end(Duration::ZERO).await;
    }
}

/// The service, and the calls that it has brought.
struct Exposed<'a> {
    gateway: &'a Arc<Gateway>,
    config: &'a MicroConfig,
    /// All requests are calls in this session.
    session: Arc<Session>,
    calls: JoinSet<()>,
}

impl Exposed<'_> {
    /// Serves as long as there is a connection to come.
    async fn keep(&mut self) {
        let mut states = self.gateway.nats.bus().watch();
        let mut said = None;
        while states.wait_for(bus::State::is_connected).await.is_ok() {
            let Err(error) = self.serve().await else {
                continue;
            };
            let text = error.to_string();
            if said.as_ref() != Some(&text) {
                tracing::warn!("the tools are not offered as a NATS service: {text}");
                said = Some(text);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Serves until other servers are in use or the bus is closed.
    async fn serve(&mut self) -> Result<(), bus::Error> {
        let bus = self.gateway.nats.bus();
        let mut changes = self.gateway.news.listen();
        let mut offered = self.offer();
        let mut service = self.begin(&offered).await?;
        loop {
            tokio::select! {
                asked = service.next() => match asked {
                    Some(asked) => self.answer(asked, &offered.tools),
                    None => return Ok(()),
                },
                change = changes.next() => {
                    if change.is_none() {
                        return Ok(());
                    }
                    let wanted = self.offer();
                    if wanted.offer == offered.offer {
                        continue;
                    }
                    // The new one first: at each moment there is one to ask.
                    let successor = bus.offer(&wanted.offer).await?;
                    let mut old = std::mem::replace(&mut service, successor);
                    let tools = std::mem::replace(&mut offered, wanted).tools;
                    old.stop();
                    self.drain(old, &tools).await;
                }
            }
        }
    }

    async fn begin(&self, offered: &Offered) -> Result<Service, bus::Error> {
        for pattern in self.config.tools.iter().flatten() {
            if !offered.tools.iter().any(|tool| fits(pattern, tool)) {
                tracing::warn!(
                    "`expose.micro.tools`: no tool that can be offered has a name like `{pattern}`"
                );
            }
        }
        let service = self.gateway.nats.bus().offer(&offered.offer).await?;
        tracing::info!(
            service = offered.offer.name,
            id = service.id(),
            tools = offered.tools.len(),
            "the tools are offered as a NATS service"
        );
        Ok(service)
    }

    /// Answers what had arrived at a service that was stopped.
    async fn drain(&mut self, mut service: Service, tools: &[String]) {
        let rest = async {
            while let Some(asked) = service.next().await {
                self.answer(asked, tools);
            }
        };
        let _ = tokio::time::timeout(DRAIN, rest).await;
    }

    fn offer(&self) -> Offered {
        let most = self.gateway.nats.bus().server().map(|s| s.max_payload);
        let tools = self.gateway.tools_for(&asker(self.config));
        let catalog = self.gateway.catalog();
        Offered::of(self.config, tools, &catalog, most.unwrap_or(1 << 20))
    }

    /// Calls a tool on a task of its own.
    fn answer(&mut self, asked: Asked, tools: &[String]) {
        while self.calls.try_join_next().is_some() {}
        let tool = tools.get(asked.endpoint).cloned().unwrap_or_default();
        let gateway = Arc::clone(self.gateway);
        let session = Arc::clone(&self.session);
        let client = asker(self.config);
        let busy = self.calls.len() >= MAX_WAITING;
        self.calls.spawn(async move {
            let outcome = if busy {
                Err(refusal(
                    503,
                    format!("{MAX_WAITING} requests are being worked on; try again"),
                ))
            } else {
                call(&gateway, &session, &client, &tool, &asked.payload).await
            };
            if let Err(error) = asked.answer(outcome).await {
                tracing::debug!(%error, tool, "an answer is lost");
            }
        });
    }
}

/// What a request may do: nobody has logged in, so no tool that asks for scopes, unless the config says so.
pub(super) fn asker(config: &MicroConfig) -> Client {
    let nobody = || Arc::new(Principal::default());
    Client {
        principal: (!config.scoped).then(nobody),
        toolset: None,
    }
}

async fn call(
    gateway: &Gateway,
    session: &Session,
    client: &Client,
    tool: &str,
    body: &[u8],
) -> Result<Bytes, Refusal> {
    let given = arguments(body)?;
    let missing = |error: CallError| {
        let failed = matches!(error, CallError::Refused { .. });
        refusal(if failed { 500 } else { 404 }, error.to_string())
    };
    gateway.may(client, tool).map_err(missing)?;
    let never = CancellationToken::new();
    let reply = gateway.call(session, tool, given, &never).await;
    let Reply {
        text,
        structured,
        is_error,
        ..
    } = reply.map_err(missing)?;
    if is_error {
        let catalog = gateway.catalog();
        let fits = catalog
            .tool(tool)
            .is_none_or(|tool| arguments(body).is_ok_and(|given| tool.arguments(given).is_ok()));
        return Err(refusal(if fits { 500 } else { 400 }, text));
    }
    Ok(match structured {
        Some(value) => Bytes::from(value.to_string()),
        None => Bytes::from(text),
    })
}

/// The arguments in a request: a JSON object, or nothing.
fn arguments(body: &[u8]) -> Result<Option<Map<String, Value>>, Refusal> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(Some(map)),
        Ok(Value::Null) => Ok(None),
        Ok(_) => Err(refusal(400, "the body is not a JSON object of arguments")),
        Err(error) => Err(refusal(400, format!("the body is not JSON: {error}"))),
    }
}

fn refusal(code: u16, reason: impl Into<String>) -> Refusal {
    Refusal {
        code,
        reason: reason.into(),
    }
}

/// What a gateway needs on NATS to offer these tools.
pub(super) fn permits(
    config: &MicroConfig,
    tools: Vec<rmcp::model::Tool>,
    catalog: &Catalog,
    permits: &mut Permits,
) {
    let offered = Offered::of(config, tools, catalog, usize::MAX).offer;
    let subjects = offered.endpoints.iter().map(|e| e.subject.as_str());
    permits.offer("expose.micro", &offered.name, subjects);
}

/// A service and the tools behind its endpoints.
struct Offered {
    offer: Offer,
    /// In the order of the endpoints.
    tools: Vec<String>,
}

impl Offered {
    /// Of the tools that whoever asks may use.
    fn of(
        config: &MicroConfig,
        mut tools: Vec<rmcp::model::Tool>,
        catalog: &Catalog,
        most: usize,
    ) -> Self {
        // Two gateways that make tools of services and offer all their tools would do so without end.
        tools.retain(|tool| {
            let found = catalog.tool(&tool.name);
            found.is_some_and(|found| found.source.as_deref() != Some(MICRO))
        });
        Self::new(config, tools, most)
    }

    /// `most`: bytes of the largest message; what is said of the tools must fit into one.
    fn new(config: &MicroConfig, tools: Vec<rmcp::model::Tool>, most: usize) -> Self {
        let wanted = |tool: &rmcp::model::Tool| match &config.tools {
            Some(patterns) => patterns.iter().any(|pattern| fits(pattern, &tool.name)),
            None => true,
        };
        let prefix = config.prefix.as_deref().unwrap_or(config.service());
        let mut names = HashSet::new();
        let mut offered = Self {
            offer: Offer {
                name: config.service().to_owned(),
                version: match &config.version {
                    Some(version) => version.clone(),
                    None => env!("CARGO_PKG_VERSION").to_owned(),
                },
                description: "Tools of a Jacquard gateway".to_owned(),
                ..Offer::default()
            },
            tools: Vec::new(),
        };
        for tool in tools.into_iter().filter(wanted) {
            offered.offer.endpoints.push(Endpoint {
                name: unique(&tool.name, &mut names),
                subject: format!("{prefix}.{}", tool.name),
                metadata: described(&tool),
            });
            offered.tools.push(tool.name.into_owned());
        }
        offered.shorten(most.saturating_sub(SPARE));
        offered
    }

    /// Leaves out what is longest until the service can describe itself in one message.
    fn shorten(&mut self, most: usize) {
        for key in [OUTPUT, INPUT, DESCRIPTION] {
            if size(&self.offer) <= most {
                return;
            }
            tracing::warn!(
                "the NATS service does not tell `{key}` of its tools: that is more than a message takes"
            );
            for endpoint in &mut self.offer.endpoints {
                endpoint.metadata.remove(key);
            }
        }
    }
}

const INPUT: &str = "input_schema";
const OUTPUT: &str = "output_schema";
const DESCRIPTION: &str = "description";

/// Bytes of what a service tells of itself, about.
fn size(offer: &Offer) -> usize {
    let texts = |e: &Endpoint| {
        let metadata = e.metadata.iter().map(|(k, v)| {
            // Quotes are escaped.
            k.len() + v.len() + v.matches(['"', '\\', '\n']).count() + 6
        });
        e.name.len() + e.subject.len() + 80 + metadata.sum::<usize>()
    };
    offer.endpoints.iter().map(texts).sum()
}

/// What is said of a tool.
fn described(tool: &rmcp::model::Tool) -> BTreeMap<String, String> {
    let json = |schema: &Map<String, Value>| serde_json::to_string(schema).unwrap_or_default();
    let mut told = BTreeMap::from([(INPUT.to_owned(), json(&tool.input_schema))]);
    if let Some(output) = &tool.output_schema {
        told.insert(OUTPUT.to_owned(), json(output));
    }
    if let Some(text) = &tool.description {
        told.insert(DESCRIPTION.to_owned(), text.to_string());
    }
    told
}

/// A tool's name as the service API takes it, and no other's.
fn unique(tool: &str, names: &mut HashSet<String>) -> String {
    let plain = tool.replace('.', "-");
    let mut name = plain.clone();
    let mut number = 1;
    while !names.insert(name.clone()) {
        number += 1;
        name = format!("{plain}-{number}");
    }
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn tool(name: &str) -> rmcp::model::Tool {
        let schema = json!({"type": "object", "properties": {"x": {"type": "string"}}});
        let schema = Arc::new(schema.as_object().unwrap().clone());
        rmcp::model::Tool::new(name.to_owned(), "What it does", schema)
    }

    #[test]
    fn each_tool_is_an_endpoint_with_a_name_of_its_own() {
        let config = MicroConfig {
            prefix: Some("acme.tools".to_owned()),
            tools: Some(vec!["a*".to_owned()]),
            ..MicroConfig::default()
        };
        let tools = ["a.b", "a-b", "z"].map(tool).to_vec();
        let offered = Offered::new(&config, tools, 1 << 20);
        let endpoints = &offered.offer.endpoints;
        let shown: Vec<_> = endpoints
            .iter()
            .map(|e| (e.name.as_str(), e.subject.as_str()))
            .collect();
        let expected = [("a-b", "acme.tools.a.b"), ("a-b-2", "acme.tools.a-b")];
        assert_eq!(shown, expected);
        assert_eq!(offered.tools, ["a.b", "a-b"]);
        assert_eq!(endpoints[0].metadata["description"], "What it does");
        let input: Value = serde_json::from_str(&endpoints[0].metadata["input_schema"]).unwrap();
        assert_eq!(input["properties"]["x"]["type"], "string");
    }

    #[test]
    fn a_service_that_says_too_much_says_less() {
        let tools: Vec<_> = (0..100).map(|n| tool(&format!("t{n}"))).collect();
        let config = MicroConfig::default();
        let offered = Offered::new(&config, tools.clone(), SPARE + 20_000);
        let first = &offered.offer.endpoints[0].metadata;
        assert_eq!(first.keys().collect::<Vec<_>>(), ["description"]);
        let offered = Offered::new(&config, tools, 1 << 20);
        assert_eq!(offered.offer.endpoints[0].metadata.len(), 2);
    }

    #[test]
    fn a_body_is_an_object_of_arguments_or_nothing() {
        for empty in [&b""[..], b" \n", b"null"] {
            assert_eq!(arguments(empty), Ok(None));
        }
        assert_eq!(arguments(b"{\"a\": 1}").unwrap().unwrap()["a"], 1);
        for bad in [&b"[]"[..], b"7", b"{", b"\xff"] {
            assert_eq!(arguments(bad).unwrap_err().code, 400);
        }
    }
}
