//! `jacquard test`: the examples of tools, each on a NATS of its own.
//!
//! ```text
//! plan    which examples          ground     folder, account and gateway of one
//! run     one at work             seat       its sessions      stand_in   programs that answer
//! ask     what its sessions ask
//! words   its texts               expect     what is wrong     diff, report   what is told of it
//! permitted   what its gateway may do on NATS
//! ```

mod answers;
mod ask;
mod diff;
mod expect;
mod ground;
pub mod permitted;
mod plan;
mod report;
mod run;
mod seat;
mod stand_in;
mod words;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{STACK, fail, refuse, say, signals};
use crate::bus::local::{Account, Ground, Notice, Options, Throwaway, find_binary};
use crate::gateway::full;
use crate::project::Environment;
use ground::{Ready, prepare};
use permitted::{Line, Permit};
pub use plan::{Case, Plan, Refusal, gather};
use report::Done;
pub use run::{Outcome, Verdict};

/// The most tools without an example that are named.
const MAX_BARE: usize = 10;
/// The exit code of a run that a signal ends, as shells have it: it says nothing of the examples.
const INTERRUPTED: u8 = 130;
/// How long what is left may take once all is told.
const LINGER: Duration = Duration::from_millis(500);

/// What to test.
#[derive(Debug, Args)]
pub struct Request {
    /// Folders and files of packs, configs, or names of built-in packs [default: what is in the working directory]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only examples with this text in `PACK / TOOL: TITLE`, in whatever case
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Write the results as JUnit XML too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How many examples run at once [default: two for each processor]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Let each gateway do on NATS what `jacquard permissions` prints for it, and nothing else
    #[arg(long)]
    as_permitted: bool,
    /// A config whose packs are tested, with its settings
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs what is asked for, and tells how it went.
pub fn run(request: &Request) -> ExitCode {
    let env = Environment::from_process();
    let mut plan = match gather(&request.paths, request.config.as_deref(), &env) {
        Ok(plan) => plan,
        Err(Refusal::Report(report)) => return refuse(&report),
        Err(Refusal::Words(text)) => {
            eprintln!("jacquard: {text}");
            return ExitCode::from(2);
        }
    };
    if plan.cases.is_empty() {
        eprintln!(
            "jacquard: there are no examples in what was named; tools have them under `examples`"
        );
        return ExitCode::from(2);
    }
    if let Some(text) = &request.filter {
        let text = text.to_lowercase();
        plan.cases
            .retain(|case| case.name().to_lowercase().contains(&text));
        if plan.cases.is_empty() {
            eprintln!("jacquard: no example has `{text}` in its name");
            return ExitCode::from(2);
        }
    }
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.clamp(2, 16))
        .thread_stack_size(STACK)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(format!("the runtime cannot start: {error}")),
    };
    let jobs = request.jobs.map_or(2 * processors, usize::from);
    let code = runtime.block_on(test(&plan, request, jobs));
    runtime.shutdown_timeout(LINGER);
    code
}

async fn test(plan: &Plan, request: &Request, jobs: usize) -> ExitCode {
    let begun = Instant::now();
    let stop = CancellationToken::new();
    signals::guard(stop.clone());
    let least = permitted::least(&plan.cases);
    let permit = request.as_permitted.then_some(&least as &Permit<'_>);
    let opened = async { open(&plan.cases, permit, Programs::find().await?).await };
    let (server, ready) = match opened.await {
        Ok(opened) => opened,
        Err(message) => {
            eprintln!("jacquard: {message}");
            return ExitCode::from(2);
        }
    };
    let bar = ProgressBar::new(plan.cases.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    let color = super::color();
    let tell = |one: &Done<'_>| {
        bar.suspend(|| say(&report::line(one, color)));
        bar.inc(1);
    };
    let done = tokio::select! {
        done = all(&plan.cases, ready, jobs, tell) => Some(done),
        () = stop.cancelled() => None,
    };
    bar.finish_and_clear();
    // Stopping waits for a process.
    let _ = tokio::task::spawn_blocking(move || drop(server)).await;
    match done {
        Some(done) => conclude(plan, request, done, begun.elapsed()),
        None => {
            eprintln!("jacquard: interrupted");
            ExitCode::from(INTERRUPTED)
        }
    }
}

/// The programs that the server of examples is made of.
#[derive(Debug, Clone)]
pub struct Programs {
    /// This program, which guards the server.
    pub own: PathBuf,
    /// A nats-server.
    pub nats: PathBuf,
}

impl Programs {
    async fn find() -> Result<Self, String> {
        let options = Options::from_env().map_err(|e| full(&e))?;
        let tell = |notice: Notice| eprintln!("jacquard: {notice}");
        let nats = find_binary(options, &tell).await.map_err(|e| full(&e))?;
        let own = std::env::current_exe();
        let own = own.map_err(|e| format!("the own program is not found: {e}"))?;
        Ok(Self { own, nats })
    }
}

/// Runs examples, so many at once, and says how each went, in their order. `permit` says what their gateways may do on NATS.
///
/// # Errors
/// Why they cannot be run: nothing that an example should have known.
pub async fn trial(
    cases: &[Case],
    permit: Option<&Permit<'_>>,
    jobs: usize,
    programs: Programs,
) -> Result<Vec<Outcome>, String> {
    let (server, ready) = open(cases, permit, programs).await?;
    let done = all(cases, ready, jobs, |_| ()).await;
    let _ = tokio::task::spawn_blocking(move || drop(server)).await;
    Ok(done.into_iter().map(|done| done.outcome).collect())
}

/// Prepares the examples and starts their server.
async fn open(
    cases: &[Case],
    permit: Option<&Permit<'_>>,
    programs: Programs,
) -> Result<(Throwaway, Vec<Ready>), String> {
    let mut ground = Ground::new().map_err(|e| full(&e))?;
    if permit.is_some() {
        ground.traced();
    }
    let mut all = Vec::with_capacity(cases.len());
    let mut accounts: Vec<Account> = Vec::with_capacity(cases.len());
    for (index, case) in cases.iter().enumerate() {
        let prepared = prepare(case, index, &ground, permit);
        let (ready, account) = prepared.map_err(|why| format!("{}:\n{why}", case.name()))?;
        all.push(ready);
        accounts.push(account);
    }
    let start = move || ground.start(&programs.own, &programs.nats, &accounts);
    let started = tokio::task::spawn_blocking(start);
    let server = started
        .await
        .map_err(|e| e.to_string())?
        .map_err(|e| full(&e))?;
    for ready in &mut all {
        ready.at(&server);
    }
    Ok((server, all))
}

/// Runs the examples, so many at once, and tells of each as it ends. In the order of the plan.
async fn all<'a>(
    cases: &'a [Case],
    ready: Vec<Ready>,
    jobs: usize,
    tell: impl Fn(&Done<'a>),
) -> Vec<Done<'a>> {
    let permits = Arc::new(Semaphore::new(jobs));
    let mut running = JoinSet::new();
    for (index, (case, ready)) in cases.iter().zip(ready).enumerate() {
        let (case, permits) = (case.clone(), Arc::clone(&permits));
        running.spawn(async move {
            // Never closed.
            let _permit = permits.acquire_owned().await;
            let begun = Instant::now();
            let run = tokio::spawn(async move { Box::pin(run::run(&case, ready)).await });
            let outcome = run.await.unwrap_or_else(|error| {
                let fault = expect::Wrong::plain("a fault in the program", error.to_string());
                Verdict::Failed(vec![fault]).into()
            });
            (index, outcome, begun.elapsed())
        });
    }
    let mut done: Vec<(usize, Done<'a>)> = Vec::with_capacity(cases.len());
    while let Some(ended) = running.join_next().await {
        let Ok((index, outcome, took)) = ended else {
            continue;
        };
        let Some(case) = cases.get(index) else {
            continue;
        };
        let one = Done {
            case,
            outcome,
            took,
        };
        tell(&one);
        done.push((index, one));
    }
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, done)| done).collect()
}

/// Tells how it went.
fn conclude(plan: &Plan, request: &Request, done: Vec<Done<'_>>, took: Duration) -> ExitCode {
    let color = super::color();
    for done in &done {
        match &done.outcome.verdict {
            Verdict::Failed(wrong) => say(&format!(
                "\n{}",
                report::failure(done.case, wrong, color).trim_end()
            )),
            Verdict::Skipped(why) => say(&format!("\n{}: {why}", done.case.name())),
            Verdict::Passed => {}
        }
    }
    let (passed, failed, skipped) = report::counts(&done);
    let skipped = match skipped {
        0 => String::new(),
        count => format!(", {count} skipped"),
    };
    say(&format!(
        "\n{} example{}: {passed} passed, {failed} failed{skipped} ({:.1} s)",
        done.len(),
        if done.len() == 1 { "" } else { "s" },
        took.as_secs_f64()
    ));
    if let Some(note) = bare(&plan.bare) {
        say(&note);
    }
    if request.filter.is_none()
        && let Some(note) = permitted::idle(done.iter().filter_map(permitted_run))
    {
        say(&note);
    }
    if let Some(path) = &request.junit
        && let Err(error) = report::junit(&done, took, path)
    {
        return fail(format!("{} cannot be written: {error}", path.display()));
    }
    if failed > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// What the gateway of an example was allowed, and what it needed of that.
fn permitted_run<'a>(done: &'a Done<'_>) -> Option<(&'a Value, &'a BTreeSet<Line>)> {
    let told = done.outcome.told.as_ref()?;
    Some((told, &done.outcome.needed))
}

/// Which tools have no example.
fn bare(tools: &[String]) -> Option<String> {
    let named = tools.iter().take(MAX_BARE).map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    let more = match tools.len().saturating_sub(MAX_BARE) {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    match tools.len() {
        0 => None,
        1 => Some(format!("1 tool has no example: {named}")),
        count => Some(format!("{count} tools have no example: {named}{more}")),
    }
}
