//! From starting the program to its first answers, and what it weighs then.

use std::time::Instant;

use serde_json::json;

use super::bed::Bed;
use super::table::{Samples, Table};
use super::{Fallible, Scale};

/// Times of one state of NATS.
#[derive(Default)]
struct Starts {
    initialized: Samples,
    listed: Samples,
}

impl Starts {
    fn once(&mut self, bed: &Bed, url: &str) -> Fallible<()> {
        let begin = Instant::now();
        let mut client = bed.client(url)?;
        client.initialize()?;
        self.initialized.push(begin.elapsed());
        let request = client.request("tools/list", &json!({}));
        client.ask(&request)?;
        self.listed.push(begin.elapsed());
        client.checked()?;
        client.close()
    }
}

/// Starts with NATS up and down, in turns; then memory and threads.
pub fn measure(bed: &Bed, scale: Scale, table: &mut Table) -> Fallible<()> {
    let (mut up, mut down) = (Starts::default(), Starts::default());
    let (there, gone) = (bed.url(), Bed::dead_url()?);
    // The first start reads the program from disk.
    Starts::default().once(bed, &there)?;
    for _ in 0..scale.starts {
        up.once(bed, &there)?;
        down.once(bed, &gone)?;
    }
    table.times("start to `initialize` answered", &up.initialized);
    table.times("start to `tools/list` answered", &up.listed);
    table.times(
        "start to `initialize` answered, NATS down",
        &down.initialized,
    );
    table.times("start to `tools/list` answered, NATS down", &down.listed);
    weigh(bed, table)
}

fn weigh(bed: &Bed, table: &mut Table) -> Fallible<()> {
    let mut client = bed.client(&bed.url())?;
    client.initialize()?;
    client.run("warp_handle_set", &json!({"handle": "bench"}))?;
    client.run(
        "warp_channels_send",
        &json!({"channel": "stdio", "message": "x"}),
    )?;
    for (name, field, unit) in [
        ("resident memory after a send", "VmRSS", "MiB"),
        (
            "of it private; the rest is the program's file",
            "RssAnon",
            "MiB",
        ),
        ("threads", "Threads", ""),
    ] {
        if let Some(value) = client.status(field) {
            let value = if unit.is_empty() {
                value
            } else {
                value / 1024.0
            };
            table.value(name, 1, value, unit, None);
        }
    }
    client.close()
}
