//! Every example holds with the permissions that `jacquard permissions` prints, and every line of them is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jacquard::catalog::builtin::PACKS;
use jacquard::cli::test::permitted::{Line, Permit, least, lines, without};
use jacquard::cli::test::{Case, Outcome, Programs, Verdict, gather, trial};
use jacquard::project::Environment;

use super::packs;
use crate::support::server::binary;

/// Examples that run at once.
const JOBS: usize = 8;
/// As the program itself has it.
const STACK: usize = 8 << 20;

/// Needed only by a listener that has fallen behind what its gateway keeps in memory: it asks the leader whether all has come.
const RARE: &[&str] = &["$JS.API.STREAM.MSG.GET.agents-history"];

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

    let trials = trials(&plan.cases, &outcomes);
    let (cases, bounds): (Vec<Case>, Vec<_>) = trials
        .iter()
        .map(|(line, index)| {
            let told = outcomes[*index].told.as_ref().unwrap();
            (plan.cases[*index].clone(), without(told, line))
        })
        .unzip();
    let less = run(&cases, &move |index, _, _| Ok(Some(bounds[index].clone()))).await;
    let fine: Vec<String> = trials
        .iter()
        .zip(&cases)
        .zip(&less)
        .filter(|(_, outcome)| outcome.verdict == Verdict::Passed)
        .map(|(((line, _), case), _)| format!("{} without {line}", case.name()))
        .collect();
    assert!(fine.is_empty(), "nothing fails: {fine:#?}");
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

/// Each line of each pack that is needed, and the first example that needs it.
fn trials(cases: &[Case], outcomes: &[Outcome]) -> Vec<(Line, usize)> {
    let mut first: BTreeMap<(&str, &Line), usize> = BTreeMap::new();
    for (index, (case, outcome)) in cases.iter().zip(outcomes).enumerate() {
        for line in &outcome.needed {
            first.entry((&case.pack, line)).or_insert(index);
        }
    }
    first
        .into_iter()
        .map(|((_, line), index)| (line.clone(), index))
        .collect()
}
