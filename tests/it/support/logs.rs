//! Captures everything that is logged in the test process, at every level.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

static SINK: OnceLock<Sink> = OnceLock::new();

/// Starts to capture; may be called by every test. Only NATS-related targets, to bound the memory.
pub fn capture() {
    SINK.get_or_init(|| {
        let sink = Sink::default();
        tracing_subscriber::fmt()
            .with_env_filter("off,jacquard=trace,async_nats=trace")
            .with_writer(sink.clone())
            .with_ansi(false)
            .try_init()
            .ok();
        sink
    });
}

/// Everything captured so far.
pub fn text() -> String {
    let bytes = SINK.get().map(|sink| sink.0.lock().unwrap().clone());
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}
