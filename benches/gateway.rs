//! How fast the gateway is, beside what NATS itself costs on the same machine in the same run.
//!
//! `cargo bench` measures the release program over standard input and output and over HTTP, as MCP clients use it, on a
//! private nats-server. `JACQUARD_BENCH_QUICK=1` takes far fewer samples. What the numbers mean: `docs/performance.md`.

mod support;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use support::bed::Bed;
use support::table::Table;
use support::{
    Fallible, Scale, agents, calls, client, history, http, inside, latest, listing, push, start,
    work, workers,
};

/// After this long something hangs, and the run is given up.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// One part of the measurements.
type Part = fn(&Bed, Scale, &mut Table) -> Fallible<()>;

/// All parts, in order. `cargo bench -- agents work` measures only these two.
const PARTS: [(&str, Part); 13] = [
    ("start", start::measure),
    ("calls", calls::measure),
    ("throughput", calls::throughput),
    ("http", http::throughput),
    ("push", push::measure),
    ("sessions", http::sessions),
    ("history", history::measure),
    ("latest", latest::measure),
    ("listing", listing::measure),
    ("agents", agents::measure),
    ("work", work::measure),
    ("workers", workers::measure),
    ("inside", inside::measure),
];

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == client::ECHO) {
        return client::echo();
    }
    std::thread::spawn(|| {
        std::thread::sleep(LIMIT);
        eprintln!("gateway bench: given up after {LIMIT:?}");
        std::process::exit(1);
    });
    match run() {
        Ok(table) => match writeln!(std::io::stdout(), "{table}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("gateway bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Fallible<Table> {
    let scale = Scale::from_env();
    let bed = Bed::start()?;
    let mut table = Table::new(bed.machine());
    let only: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    for (name, measure) in PARTS {
        if only.is_empty() || only.iter().any(|part| part == name) {
            measure(&bed, scale, &mut table)?;
        }
    }
    bed.stop()?;
    Ok(table)
}
