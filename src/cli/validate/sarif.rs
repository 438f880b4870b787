//! SARIF 2.1.0, the form in which code scanning takes findings.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Outcome, relative, word};
use crate::spec::diag::{Code, Diagnostic, Label};

/// What stays as it is in a path of a URI.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The page that explains each code.
const PAGE: &str = "docs/diagnostics.md";

/// One run of one tool, indented.
pub fn text(outcome: &Outcome) -> String {
    let results: Vec<Value> = outcome.report.sorted().into_iter().map(result).collect();
    let value = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "jacquard",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules(env!("CARGO_PKG_REPOSITORY")),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{value:#}")
}

/// Every code. SARIF takes only a full address of its page, which is known where the package names its repository.
fn rules(repository: &str) -> Vec<Value> {
    let rule = |(code, meaning): &(Code, &str)| {
        let meaning = meaning.trim();
        let page = format!("{PAGE}#{code}");
        let mut rule = json!({
            "id": code.as_str(),
            "shortDescription": {"text": meaning},
            "help": {
                "text": format!("{meaning} See {page}."),
                "markdown": format!("{meaning} See `{page}`."),
            },
        });
        if !repository.is_empty() {
            let repository = repository.trim_end_matches('/');
            rule["helpUri"] = format!("{repository}/blob/main/{page}").into();
        }
        rule
    };
    Code::ALL.iter().map(rule).collect()
}

fn result(diagnostic: &Diagnostic) -> Value {
    let mut message = diagnostic.message.clone();
    if let Some(help) = &diagnostic.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    let mut result = json!({
        "ruleId": diagnostic.code.as_str(),
        "level": word(diagnostic.severity),
        "message": {"text": message},
    });
    if let Some(label) = &diagnostic.label {
        result["locations"] = json!([location(label)]);
        if !diagnostic.fix.is_empty() {
            result["fixes"] = json!([fix(label, diagnostic)]);
        }
    }
    if !diagnostic.related.is_empty() {
        let related = diagnostic.related.iter().map(|label| {
            let mut place = location(label);
            place["message"] = json!({"text": label.text});
            place
        });
        result["relatedLocations"] = related.collect();
    }
    result
}

fn location(label: &Label) -> Value {
    json!({"physicalLocation": {"artifactLocation": artifact(label), "region": region(label)}})
}

fn artifact(label: &Label) -> Value {
    let name = relative(label.source.name());
    let uri = utf8_percent_encode(&name, PATH).to_string();
    if name.starts_with('/') {
        return json!({"uri": format!("file://{uri}")});
    }
    json!({"uri": uri, "uriBaseId": "%SRCROOT%"})
}

fn region(label: &Label) -> Value {
    let (start, end) = label.places();
    json!({
        "startLine": start.line,
        "startColumn": start.column,
        "endLine": end.line,
        "endColumn": end.column,
    })
}

fn fix(label: &Label, diagnostic: &Diagnostic) -> Value {
    let replacements = diagnostic.fix.iter().map(|edit| {
        let place = Label::new(&label.source, edit.range.clone());
        json!({"deletedRegion": region(&place), "insertedContent": {"text": edit.text}})
    });
    json!({"artifactChanges": [{
        "artifactLocation": artifact(label),
        "replacements": replacements.collect::<Vec<_>>(),
    }]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_rule_with_its_page() {
        let rules = rules("https://example.com/us/jacquard/");
        assert_eq!(rules.len(), Code::ALL.len());
        let rule = rules.iter().find(|rule| rule["id"] == "unknown-key");
        let uri = rule.and_then(|rule| rule["helpUri"].as_str());
        let page = "https://example.com/us/jacquard/blob/main/docs/diagnostics.md#unknown-key";
        assert_eq!(uri, Some(page));
        assert_eq!(super::rules("")[0].get("helpUri"), None);
    }
}
