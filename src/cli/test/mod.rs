//! `jacquard test`: the examples of tools, each on a NATS of its own.
//!
//! ```text
//! plan    which examples          ground     folder, account and gateway of one
//! run     one at work             seat       its sessions      stand_in   programs that answer
//! ask     what its sessions ask
//! words   its texts               expect     what is wrong     diff, report   what is told of it
//! ```

mod ask;
mod diff;
mod expect;
mod ground;
mod plan;
mod report;
mod run;
mod seat;
mod stand_in;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{STACK, fail, refuse, say, signals};
use crate::bus::local::{Account, Ground, Notice, Options, Throwaway, find_binary};
use crate::gateway::full;
use crate::project::Environment;
pub use ground::Permit;
use ground::{Ready, prepare};
use plan::{Case, Plan, Refusal};
use report::Done;
use run::Verdict;

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
    /// A config whose packs are tested, with its settings
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(request: &Request) -> ExitCode {
    run_as(request, None)
}

/// The same; `permit` says what the gateway of each example may do on NATS.
pub fn run_as(request: &Request, permit: Option<&Permit>) -> ExitCode {
    let env = Environment::from_process();
    let mut plan = match plan::gather(&request.paths, request.config.as_deref(), &env) {
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
    let code = runtime.block_on(test(&plan, request, jobs, permit));
    runtime.shutdown_timeout(LINGER);
    code
}

async fn test(plan: &Plan, request: &Request, jobs: usize, permit: Option<&Permit>) -> ExitCode {
    let begun = Instant::now();
    let stop = CancellationToken::new();
    signals::guard(stop.clone());
    let (server, ready) = match open(&plan.cases, permit).await {
        Ok(opened) => opened,
        Err(message) => {
            eprintln!("jacquard: {message}");
            return ExitCode::from(2);
        }
    };
    let done = tokio::select! {
        done = all(&plan.cases, ready, jobs) => Some(done),
        () = stop.cancelled() => None,
    };
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

/// Prepares the examples and starts their server.
async fn open(cases: &[Case], permit: Option<&Permit>) -> Result<(Throwaway, Vec<Ready>), String> {
    let options = Options::from_env().map_err(|e| full(&e))?;
    let tell = |notice: Notice| eprintln!("jacquard: {notice}");
    let binary = find_binary(options, &tell).await.map_err(|e| full(&e))?;
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let ground = Ground::new().map_err(|e| full(&e))?;
    let mut all = Vec::with_capacity(cases.len());
    let mut accounts: Vec<Account> = Vec::with_capacity(cases.len());
    for (index, case) in cases.iter().enumerate() {
        let prepared = prepare(case, index, &ground, permit);
        let (ready, account) = prepared.map_err(|why| format!("{}:\n{why}", case.name()))?;
        all.push(ready);
        accounts.push(account);
    }
    let started = tokio::task::spawn_blocking(move || ground.start(&program, &binary, &accounts));
    let server = started
        .await
        .map_err(|e| e.to_string())?
        .map_err(|e| full(&e))?;
    for ready in &mut all {
        ready.at(&server.url());
    }
    Ok((server, all))
}

/// Runs the examples, so many at once, and tells of each as it ends. In the order of the plan.
async fn all(cases: &[Case], ready: Vec<Ready>, jobs: usize) -> Vec<Done<'_>> {
    let permits = Arc::new(Semaphore::new(jobs));
    let mut running = JoinSet::new();
    for (index, (case, ready)) in cases.iter().zip(ready).enumerate() {
        let (case, permits) = (case.clone(), Arc::clone(&permits));
        running.spawn(async move {
            // Never closed.
            let _permit = permits.acquire_owned().await;
            let begun = Instant::now();
            let run = tokio::spawn(async move { run::run(&case, ready).await });
            let verdict = run.await.unwrap_or_else(|error| {
                let fault = expect::Wrong::plain("a fault in the program", error.to_string());
                Verdict::Failed(vec![fault])
            });
            (index, verdict, begun.elapsed())
        });
    }
    let bar = ProgressBar::new(cases.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}") {
        bar.set_style(style);
    }
    let mut done: Vec<(usize, Done<'_>)> = Vec::with_capacity(cases.len());
    let color = super::color();
    while let Some(ended) = running.join_next().await {
        let Ok((index, verdict, took)) = ended else {
            continue;
        };
        let Some(case) = cases.get(index) else {
            continue;
        };
        let one = Done {
            case,
            verdict,
            took,
        };
        bar.suspend(|| say(&report::line(&one, color)));
        bar.inc(1);
        done.push((index, one));
    }
    bar.finish_and_clear();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, done)| done).collect()
}

/// Tells how it went.
fn conclude(plan: &Plan, request: &Request, done: Vec<Done<'_>>, took: Duration) -> ExitCode {
    let color = super::color();
    for done in &done {
        match &done.verdict {
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
