//! The rules, one by one: what they find, and what they leave alone.

#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::size::MOST_CATALOG_TOKENS;
use super::*;
use crate::spec::load::load;
use crate::spec::source::Source;

fn files(texts: &[&str]) -> PackFiles {
    let specs = texts.iter().enumerate();
    PackFiles {
        name: "p".into(),
        specs: specs
            .map(|(index, text)| Source::new(format!("{index}.yaml"), *text))
            .collect(),
        ..PackFiles::default()
    }
}

/// The codes that are told, with the line of each.
fn told(texts: &[&str]) -> Vec<(Code, usize)> {
    let files = files(texts);
    let report = pack(&files, load(&files).1);
    let found = report.sorted();
    found
        .iter()
        .map(|d| (d.code, d.place().unwrap().line))
        .collect()
}

fn tool(rest: &str) -> String {
    format!(
        "tools:\n  t:\n    description: x\n    annotations: {{read_only: true}}\n    output: {{type: object}}\n{rest}    reply: {{structured: {{}}}}\n"
    )
}

#[test]
fn a_tool_that_says_all_is_clean() {
    assert_eq!(told(&[&tool("")]), []);
}

#[test]
fn words_that_are_no_schemas_are_left_alone() {
    let input = json!({
        "type": "object",
        "properties": {"$ref": {"type": "string"}, "a": {"anyOf": [{"type": "string"}, {"$ref": "#/x"}], "default": {"$ref": "#"}}}
    });
    let found = input::schema(&input);
    let pointers: Vec<&str> = found.iter().map(|f| f.pointer.as_str()).collect();
    assert_eq!(pointers, ["/input/properties/a/anyOf/1/$ref"]);
}

#[test]
fn only_what_is_written_out_counts_as_text() {
    let long = "x".repeat(1_025);
    let hidden = format!("{{{{ '{long}' }}}} and {{# {long} #}} {{%- if x %}}y{{% endif %}}");
    assert_eq!(listed(&json!({"description": hidden})), []);
    let braces = format!("{{ {} }}", "ä".repeat(1_020));
    assert_eq!(listed(&json!({"description": braces})), []);
    let found = listed(&json!({"description": long}));
    assert_eq!(found[0].code, Code::ClientDescription);
}

#[test]
fn a_tool_that_tells_progress_or_is_a_task_may_wait() {
    let wait = "    steps: [{request: {subject: a, timeout: 2m}}]\n";
    assert_eq!(told(&[&tool(wait)]), [(Code::LongWait, 6)]);
    let task = format!("    task: true\n{wait}");
    assert_eq!(told(&[&tool(&task)]), []);
    let telling = "    steps: [{progress: {done: 1}}, {request: {subject: a, timeout: 2m}}]\n";
    assert_eq!(told(&[&tool(telling)]), []);
    let slept = "    steps: [{sleep: 60}, {sleep: 61}]\n";
    assert_eq!(told(&[&tool(slept)]), [(Code::LongWait, 6)]);
    let short = "    steps: [{request: {subject: a, timeout: 60s}}]\n";
    assert_eq!(told(&[&tool(short)]), []);
}

#[test]
fn the_wait_of_a_macro_is_told_of_the_tool_that_uses_it() {
    let macros = "macros:\n  ask: {steps: [{request: {subject: a, timeout: 2m}}]}\n";
    let uses = tool("    steps: [{use: {macro: ask}}]\n");
    assert_eq!(told(&[macros, &uses]), [(Code::LongWait, 6)]);
}

#[test]
fn an_allowance_holds_for_its_file_alone_and_must_be_needed() {
    let named = |name: &str| tool("").replace("  t:", &format!("  {name}:"));
    let allowed = format!("lint: {{allow: [client-name]}}\n{}", named("a.b"));
    assert_eq!(told(&[&allowed]), []);
    assert_eq!(told(&[&allowed, &named("c.d")]), [(Code::ClientName, 2)]);
    let unused = format!(
        "lint: {{allow: [client-name, client-name]}}\n{}",
        named("a.b")
    );
    assert_eq!(told(&[&unused]), [(Code::UnusedAllow, 1)]);
    // Where something is wrong, not all was looked at.
    let broken = format!("lint: {{allow: [long-wait]}}\n{}", tool("    step: []\n"));
    assert_eq!(told(&[&broken]), [(Code::UnknownKey, 7)]);
}

#[test]
fn loaders_warnings_can_be_allowed() {
    let maybe = "    input: {type: object, properties: {a: {type: string}}}\n    steps: [{publish: {subject: x, payload: \"{{ args.a }}\"}}]\n";
    assert_eq!(told(&[&tool(maybe)]), [(Code::MaybeUndefined, 7)]);
    let allowed = format!("lint: {{allow: [maybe-undefined]}}\n{}", tool(maybe));
    assert_eq!(told(&[&allowed]), []);
}

#[test]
fn catalogs_and_names_have_a_budget() {
    assert_eq!(catalog(MOST_CATALOG_TOKENS, 9), None);
    assert!(catalog(MOST_CATALOG_TOKENS + 1, 9).is_some());
    assert_eq!(name_budget("jacquard", &[]), None);
    let name = "n".repeat(64 - "mcp__jacquard__".len());
    assert_eq!(name_length("jacquard", &name), LONGEST_NAME);
    let longer = format!("{name}xx");
    let found = name_budget("jacquard", &[&longer]).unwrap();
    assert!(found.help.contains("2 shorter"), "{}", found.help);
}
