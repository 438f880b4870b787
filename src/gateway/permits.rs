//! What the NATS user of a gateway must be allowed for its config: no more than that.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{Offer, Setup, ask, expose, nats, seal, sessions, tasks};
use crate::bus::permits::{Line, Permits};
use crate::catalog::Catalog;
use crate::engine;
use crate::project::Environment;
use crate::spec::diag::Report;

/// The most reasons of a line that its comment names.
const REASONS: usize = 3;
/// For how long an answer to a request may be given: a call takes no longer.
const ANSWER_WITHIN: &str = "24h";

/// What this gateway needs, over HTTP or on stdio. With it come warnings about the specs.
///
/// # Errors
/// All that is wrong with the packs and their settings.
pub fn permits(setup: &Setup, env: &Environment, http: bool) -> Result<(Permits, Report), Report> {
    let facts = setup.facts.to_json();
    let (catalog, report) = Catalog::build(&setup.config, &setup.base, &facts)?;
    let mut permits = Permits::new(&nats::inbox_prefix(setup, env));
    // The session of a service listens as one on stdio does.
    let live = !http || setup.config.expose.micro.is_some();
    engine::permits::permits(&catalog, live, &mut permits);
    if let Some(subject) = engine::announced::subject(&catalog) {
        let why = "announcements of steps";
        permits.send(why, &subject);
        permits.listen(why, &subject);
    }
    if http {
        sessions::permits(&mut permits);
    }
    if catalog.tools().iter().any(|tool| tool.spec.runs_as_task()) {
        tasks::permits(&mut permits);
    }
    if ask::any(&catalog) {
        seal::permits(&mut permits);
    }
    if let Some(micro) = &setup.config.expose.micro {
        let (offer, _) = Offer::new(&setup.config, &catalog);
        let tools = offer.tools_for(&expose::asker(micro));
        expose::permits(micro, tools, &catalog, &mut permits);
    }
    Ok((permits, report))
}

/// The block `permissions` of a user in the configuration of a NATS server. Each line says what it is for.
pub fn conf(permits: &Permits) -> String {
    let mut text = String::from("permissions: {\n");
    for (what, lines) in [
        ("publish", permits.publish()),
        ("subscribe", permits.subscribe()),
    ] {
        // An empty list would allow everything.
        if lines.is_empty() {
            let _ = writeln!(text, "  {what}: {{ deny: \">\" }}");
            continue;
        }
        let _ = write!(text, "  {what}: {{\n    allow: [\n");
        for line in lines {
            let _ = write!(
                text,
                "      # {}\n      {}\n",
                reasons(&line.why),
                json!(line.subject)
            );
        }
        text.push_str("    ]\n  }\n");
    }
    let answers = permits.answers();
    if !answers.is_empty() {
        let _ = write!(
            text,
            "  # {}\n  allow_responses: {{ max: 1, expires: \"{ANSWER_WITHIN}\" }}\n",
            reasons(&answers)
        );
    }
    text.push_str("}\n");
    text
}

/// The same as JSON, with all reasons.
pub fn to_json(permits: &Permits) -> Value {
    let side = |lines: &[Line]| -> Value {
        let subjects: Vec<&str> = lines.iter().map(|line| line.subject.as_str()).collect();
        match subjects.is_empty() {
            true => json!({"deny": [">"]}),
            false => json!({"allow": subjects}),
        }
    };
    let why = |lines: &[Line]| -> Map<String, Value> {
        let pairs = lines.iter().map(|l| (l.subject.clone(), json!(l.why)));
        pairs.collect()
    };
    let (publish, subscribe) = (permits.publish(), permits.subscribe());
    let mut told = json!({
        "publish": side(&publish),
        "subscribe": side(&subscribe),
        "why": {"publish": why(&publish), "subscribe": why(&subscribe)},
    });
    let answers = permits.answers();
    if !answers.is_empty() {
        told["allow_responses"] = json!({"max": 1, "expires": ANSWER_WITHIN});
        told["why"]["allow_responses"] = json!(answers);
    }
    told
}

fn reasons(why: &[String]) -> String {
    let (named, rest) = why.split_at(why.len().min(REASONS));
    match rest.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_says_what_it_is_for() {
        let mut permits = Permits::new("_INBOX");
        assert_eq!(
            conf(&permits),
            "permissions: {\n  publish: { deny: \">\" }\n  subscribe: { deny: \">\" }\n}\n"
        );
        for tool in ["a", "b", "c", "d", "e"] {
            permits.ask(tool, "x.*");
        }
        permits.answer("listener l");
        let text = conf(&permits);
        let line = "      # a, b, c and 2 more\n      \"x.*\"\n";
        assert!(text.contains(line), "{text}");
        assert!(
            text.contains("# listener l\n  allow_responses: {"),
            "{text}"
        );
        let told = to_json(&permits);
        assert_eq!(told["publish"], json!({"allow": ["x.*"]}));
        assert_eq!(told["why"]["publish"]["x.*"][4], "e");
    }
}
