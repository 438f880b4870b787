//! The conformance suite of MCP against the program, with a pack that is YAML alone (`tests/conformance/pack`).
//!
//! The suite is fetched once, at the version that `package.json` pins. What a revision of the protocol requires is a list that
//! the suite has frozen; all of it must pass, and the tasks beside it. What else the suite has for servers is run and reported.
//!
//! `docs/conformance.md` has the results: `UPDATE_GOLDEN=1 cargo test --test conformance` writes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod place;
mod report;
mod suite;

#[path = "../it/support/fetched.rs"]
#[expect(dead_code, reason = "it also fetches packages of Python")]
mod fetched;
#[path = "../it/support/listening.rs"]
mod listening;

use std::collections::BTreeSet;

use place::Place;
use report::Report;
use suite::{Revision, Suite};

/// The revisions, and how many scenarios each requires of a server.
const REVISIONS: [(&str, usize); 2] = [("2025-11-25", 30), ("2026-07-28", 37)];

/// What is no part of a revision, and must pass all the same.
const EXTENSION: &str = "tasks-";

#[test]
fn the_frozen_lists_and_tasks_pass() {
    let suite = Suite::fetch();
    let place = Place::new();
    let revisions = REVISIONS.map(|(name, count)| {
        let revision = suite.revision(name);
        assert_eq!(revision.required.len(), count, "what {name} requires");
        revision
    });
    // Each revision has a gateway of its own, both on one NATS.
    let reports = std::thread::scope(|scope| {
        let runs = revisions.map(|revision| {
            let (suite, place) = (&suite, &place);
            scope.spawn(move || run(suite, place, revision))
        });
        runs.map(|run| run.join().unwrap())
    });
    println!("{}", report::summary(&reports));
    let failures: Vec<String> = reports.iter().flat_map(Report::failures).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    report::page(&reports);
}

/// One revision against a gateway.
fn run(suite: &Suite, place: &Place, revision: Revision) -> Report {
    let gateway = place.serve();
    let mut results = suite.requirements(&gateway.url, &revision);
    let known: BTreeSet<String> = results.keys().cloned().collect();
    if revision.is_newest {
        for scenario in suite.extensions().difference(&known) {
            results.insert(scenario.clone(), suite.scenario(&gateway.url, scenario));
        }
    }
    // Some scenarios have time limits of their own that suit a machine that does nothing else.
    let failed = results.iter().filter(|(_, checks)| report::fails(checks));
    let again: Vec<String> = failed.map(|(name, _)| name.clone()).collect();
    for scenario in again {
        println!("{}: {scenario} failed, and is run again", revision.name);
        let checks = suite.at(&gateway.url, &scenario, &revision);
        results.insert(scenario, checks);
    }
    Report::of(revision, results, gateway.log())
}
