//! Every example holds with the permissions that `jacquard permissions` prints, and every line of them is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jacquard::catalog::builtin::PACKS;
use jacquard::cli::test::permitted::{Line, Permit, least, lines, of_project, without};
use jacquard::cli::test::{Case, Outcome, Programs, Verdict, gather, trial};
use jacquard::gateway::Setup;
use jacquard::project::Environment;
use serde_json::Value;

use super::packs;
use crate::support::server::binary;

/// Acknowledgements: nobody waits for the server's word, and the lease record keeps what is done from coming back.
const UNSEEN: &str = "$JS.ACK.";
/// How many examples are tried without a line until one fails.
const ROUNDS: usize = 6;
/// Examples that run at once.
const JOBS: usize = 8;
/// As the program itself has it.
const STACK: usize = 8 << 20;

/// Lines that no example comes to, and no scenario.
const RARE: &[&str] = &[
    // A listener that has fallen behind what its gateway keeps in memory asks the leader whether all has come.
    "$JS.API.STREAM.MSG.GET.agents-history",
    // A table that has missed more than its gateway keeps in memory.
    "$JS.API.DIRECT.GET.jacquard-agents-presence",
    // The examples use one channel of three, and one kind of subagent.
    "publish NAMESPACE.parallel-work",
    "subagent/reviewer",
    // Calls as tasks: of clients that know them, which examples are not.
    "jacquard-tasks",
    "jacquard.gateways.*.tasks",
    // Where a task is answered on the subject that tasks come in on.
    "subscribe loom.tasks.incoming",
];

#[test]
fn every_example_holds_as_permitted_and_needs_each_line() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::spawn(prove()).await.unwrap() });
}

async fn prove() {
    let names: Vec<PathBuf> = PACKS.iter().map(|p| p.name.as_ref().into()).collect();
    let plan = gather(&names, None, &Environment::from_process()).unwrap();
    let outcomes = run(&plan.cases, &least(&plan.cases)).await;
    let wrong: Vec<_> = failed(&plan.cases, &outcomes).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let needless = needless(&plan.cases, &outcomes);
    assert!(needless.is_empty(), "no example needs {needless:#?}");

    // Taken away, a line makes one of those that use it fail: not each, where the answer of NATS is not waited for.
    let mut open = users(&plan.cases, &outcomes);
    open.retain(|(_, line), _| !line.subject.starts_with(UNSEEN));
    for round in 0..ROUNDS {
        let (cases, bounds): (Vec<Case>, Vec<Value>) = open
            .iter()
            .map(|((_, line), users)| {
                let index = users[round % users.len()];
                let told = outcomes[index].told.as_ref().unwrap();
                (plan.cases[index].clone(), without(told, line))
            })
            .unzip();
        let own = move |index: usize, setup: &Setup, _: &Environment| {
            Ok(Some(of_project(&bounds[index], &setup.facts)))
        };
        let less = run(&cases, &own).await;
        let mut passed = less.iter().map(|o| o.verdict == Verdict::Passed);
        open.retain(|_, _| passed.next().unwrap());
    }
    assert!(open.is_empty(), "nothing fails without {open:#?}");
}

async fn run(cases: &[Case], permit: &Permit<'_>) -> Vec<Outcome> {
    let programs = Programs {
        own: env!("CARGO_BIN_EXE_jacquard").into(),
        nats: binary(),
    };
    trial(cases, Some(permit), JOBS, programs).await.unwrap()
}

fn failed<'a>(
    cases: &'a [Case],
    outcomes: &'a [Outcome],
) -> impl Iterator<Item = (String, &'a Verdict)> {
    let pairs = cases.iter().zip(outcomes);
    pairs
        .filter(|(_, outcome)| outcome.verdict != Verdict::Passed)
        .map(|(case, outcome)| (case.name(), &outcome.verdict))
}

/// The lines of each pack that no example needs, and no scenario either.
fn needless(cases: &[Case], outcomes: &[Outcome]) -> BTreeSet<(String, String, String)> {
    let mut all = BTreeMap::new();
    let mut needed = BTreeSet::new();
    for (case, outcome) in cases.iter().zip(outcomes) {
        let told = outcome.told.as_ref().unwrap();
        let of_pack = |line: Line| (case.pack.clone(), line);
        all.extend(lines(told).into_iter().map(|(l, why)| (of_pack(l), why)));
        needed.extend(outcome.needed.iter().cloned().map(of_pack));
    }
    let elsewhere = [RARE, packs::WARP, packs::AGENTS].concat();
    all.into_iter()
        .filter(|(key, _)| !needed.contains(key))
        .map(|((pack, line), why)| (pack, line.to_string(), why))
        .filter(|(_, line, _)| !elsewhere.iter().any(|part| line.contains(part)))
        .collect()
}

/// Each line of each pack that is needed, and the examples that need it.
fn users(cases: &[Case], outcomes: &[Outcome]) -> BTreeMap<(String, Line), Vec<usize>> {
    let mut users: BTreeMap<(String, Line), Vec<usize>> = BTreeMap::new();
    for (index, (case, outcome)) in cases.iter().zip(outcomes).enumerate() {
        for line in &outcome.needed {
            let key = (case.pack.clone(), line.clone());
            users.entry(key).or_default().push(index);
        }
    }
    users
}
