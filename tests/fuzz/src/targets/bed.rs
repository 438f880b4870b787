//! A gateway in this process, on one thread: all inputs of a run meet the same one. It has NATS where `FUZZ_NATS` names one.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use jacquard::gateway::{Gateway, Setup};
use jacquard::project::{Environment, discover};
use jacquard::spec::config;
use jacquard::spec::source::Source;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// The config. Sessions are few, so that a run meets the limit and does not grow.
const CONFIG: &str = "
packs: [./served]
nats: {required: false, local: false}
http:
  max_body: 64KiB
  sessions: {unbound: 1s, idle: 2s, expire: 5s, sweep: 1s, max: 32}
";
/// Nothing listens there.
const NOWHERE: &str = "nats://127.0.0.1:1";
/// The pack.
const TOOLS: &str = include_str!("../../served/tools.yaml");

/// The gateway and what drives it.
pub struct Bed {
    /// The runtime.
    pub runtime: Runtime,
    /// The gateway.
    pub gateway: Arc<Gateway>,
    /// What it was started from.
    pub setup: Setup,
    /// The folder of its config.
    _folder: TempDir,
}

impl Bed {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("a runtime: {error}"));
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("a folder: {error}"));
        write(folder.path()).unwrap_or_else(|error| panic!("the pack: {error}"));
        let home = folder.path().join("home");
        let env = Environment::from_iter([("HOME", home)]);
        let (config, report) = config::load(Source::new("config.yaml", CONFIG), None);
        let facts = discover(Some(folder.path()), Some("fuzz"), &env);
        let mut facts = facts.unwrap_or_else(|report| panic!("{report}"));
        let config = config.unwrap_or_else(|| panic!("{report}"));
        let nats = std::env::var("FUZZ_NATS");
        facts.prefer_url(Some(nats.as_deref().unwrap_or(NOWHERE)));
        let setup = Setup {
            config,
            base: folder.path().into(),
            facts,
            allow_local: false,
        };
        let gateway = runtime.block_on(Gateway::start(setup.clone(), &env));
        let gateway = gateway.unwrap_or_else(|error| panic!("{error}"));
        let watching = Arc::clone(&gateway);
        runtime.spawn(async move { watching.keep_watched().await });
        Self {
            runtime,
            gateway,
            setup,
            _folder: folder,
        }
    }
}

fn write(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder.join("served"))?;
    std::fs::write(folder.join("served/tools.yaml"), TOOLS)
}

/// Does something with the bed of this thread.
pub fn with<T>(work: impl FnOnce(&Bed) -> T) -> T {
    thread_local!(static BED: RefCell<Option<Bed>> = const { RefCell::new(None) });
    BED.with_borrow_mut(|bed| work(bed.get_or_insert_with(Bed::new)))
}
