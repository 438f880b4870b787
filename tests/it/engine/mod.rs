//! The verbs against a real server, without a gateway around the engine.

mod conditional;
mod failure;
mod inbox;
mod lease;
mod machine;
mod macros;
mod modify;
mod push;
mod reads;
mod small;
mod tables;
mod take;

use std::path::Path;
use std::sync::Arc;

use jacquard::bus::Bus;
use jacquard::catalog::Catalog;
use jacquard::engine::{Contact, Done, Engine, Progress, Reply, Session};
use jacquard::spec::config;
use jacquard::spec::source::Source;
use serde_json::{Value, json};

use crate::support::server::NatsServer;

/// The tools of one pack on a connection of their own: a gateway as others see it. Clones share the connection.
#[derive(Clone)]
pub struct Tools {
    engine: Arc<Engine>,
    session: Arc<Session>,
}

impl Tools {
    /// A pack of one file.
    pub async fn new(server: &NatsServer, pack: &str) -> Self {
        Self::on(crate::bus::bus(server).await, pack)
    }

    /// The same on this connection.
    pub fn on(bus: Bus, pack: &str) -> Self {
        let engine = engine(bus, pack);
        engine.keep_tables();
        Self {
            engine,
            session: Arc::default(),
        }
    }

    pub async fn call(&self, tool: &str, args: Value) -> Reply {
        let args = args.as_object().cloned();
        let contact = Contact::default();
        let answer = self.engine.call(&self.session, tool, args, contact);
        answer.await.unwrap().done().unwrap()
    }

    /// Calls a tool, and gives all that it has told meanwhile.
    pub async fn telling(&self, tool: &str, args: Value) -> (Reply, Vec<Done>) {
        let args = args.as_object().cloned();
        let (progress, mut told) = Progress::asked();
        let contact = Contact::telling(progress);
        let answer = self.engine.call(&self.session, tool, args, contact);
        let reply = answer.await.unwrap().done().unwrap();
        let told = std::iter::from_fn(|| told.try_recv().ok());
        (reply, told.collect())
    }

    /// The structured result of a call that succeeds.
    pub async fn ok(&self, tool: &str, args: Value) -> Value {
        let reply = self.call(tool, args).await;
        assert!(!reply.is_error, "{tool}: {}", reply.text);
        reply.structured.unwrap_or_default()
    }

    /// The text of a call that fails: the kind, where the pack's `else` says it.
    pub async fn fails(&self, tool: &str, args: Value) -> String {
        let reply = self.call(tool, args).await;
        assert!(reply.is_error, "{tool}: {}", reply.text);
        reply.text
    }
}

/// The engine of a pack of one file.
fn engine(bus: Bus, pack: &str) -> Arc<Engine> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("p")).unwrap();
    std::fs::write(dir.path().join("p/p.yaml"), pack).unwrap();
    let catalog = catalog(dir.path());
    Arc::new(Engine::new(Arc::new(catalog), bus).unwrap())
}

fn catalog(base: &Path) -> Catalog {
    let source = Source::new("c.yaml", "packs: [./p]");
    let config = config::load(source, None).0.unwrap();
    let project = json!({"path": "/p", "id": "0", "namespace": "ns", "hostname": "h", "user": "u", "channels": []});
    let (catalog, report) = Catalog::build(&config, base, &project).unwrap();
    assert!(report.is_empty(), "{report}");
    catalog
}
