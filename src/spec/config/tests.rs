//! Reading configs.

#![allow(clippy::unwrap_used)]

use super::*;

fn read(text: &str) -> (Option<Config>, Report) {
    let lookup = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
    load(Source::new("c.yaml", text), Some(&lookup))
}

fn codes(text: &str) -> Vec<Code> {
    read(text).1.sorted().iter().map(|d| d.code).collect()
}

#[test]
fn the_environment_fills_in() {
    let (config, report) = read(
        "packs: [warp]\nnats:\n  token: \"{{ env.TOKEN }}\"\n  url: \"nats://{{ env.HOST | default('h') }}:1\"\n",
    );
    assert!(report.is_empty(), "{report}");
    let nats = config.unwrap().nats;
    assert_eq!(nats.token.as_deref(), Some("s3cret"));
    assert_eq!(nats.url.as_deref(), Some("nats://h:1"));
}

#[test]
fn variables_and_files_are_put_in_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "a${TOKEN}\nb: c\n").unwrap();
    let lookup = |name: &str| match name {
        "TOKEN" => Some("s3cret".to_owned()),
        "ODD" => Some("x\", ${TOKEN}, {{ env.TOKEN }}".to_owned()),
        "MAX" => Some("7".to_owned()),
        "YES" => Some("true".to_owned()),
        _ => None,
    };
    let around = Around {
        lookup: Some(&lookup),
        folder: &folder.path().to_string_lossy(),
        ..Around::default()
    };
    let text = "packs: [warp]\nname: ${ODD}\ninstructions: $${TOKEN}\nnats:\n  token: ${file:token}\n  url: nats://${HOST:-h}:1\n  user: ${MAX}\n  local: ${YES}\nhttp: {max_in_flight: \"${MAX}\"}\n";
    let (config, report) = load_with(Source::new("c.yaml", text), &around);
    assert!(report.is_empty(), "{report}");
    let config = config.unwrap();
    assert_eq!(
        config.name.as_deref(),
        Some("x\", ${TOKEN}, {{ env.TOKEN }}")
    );
    assert_eq!(config.instructions.as_deref(), Some("${TOKEN}"));
    assert_eq!(config.nats.token.as_deref(), Some("a${TOKEN}\nb: c"));
    assert_eq!(config.nats.url.as_deref(), Some("nats://h:1"));
    // What is asked for decides: the same variable is a text here and a number there.
    assert_eq!(config.nats.user.as_deref(), Some("7"));
    assert_eq!(config.nats.local, Some(true));
    let shown = format!("{:?}", config.filled);
    assert!(
        !shown.contains("x\\\"") && shown.contains("${ODD}"),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_put_in_is_told_with_key_and_line() {
    let told = |text: &str| read(text).1.render(false);
    let unset = told("packs: [warp]\nnats:\n  password: ${NOPE}\n  creds: ${file:none}\n");
    assert!(
        unset.contains("`nats.password` has no value: the environment variable `NOPE` is not set"),
        "{unset}"
    );
    assert!(unset.contains("c.yaml:3:13"), "{unset}");
    let file = told("packs: [warp]\nname: \"${file:none}\"\n");
    assert!(
        file.contains("the file `none` cannot be read") && file.contains("c.yaml:2:7"),
        "{file}"
    );
    for (text, place) in [("${", "2:8"), ("${1}", "2:8"), ("${A} {{ 1 }}", "2:8")] {
        let told = told(&format!("packs: [warp]\nname: \"{text}\"\n"));
        assert!(
            told.contains("error[template]") && told.contains(place),
            "{text}: {told}"
        );
    }
    // Of what does not fit, the file's words are shown and not what came.
    let wrong = told("packs: [warp]\nnats: {local: \"${TOKEN}\"}\n");
    assert!(
        wrong.contains("${TOKEN}") && !wrong.contains("s3cret"),
        "{wrong}"
    );
    // Checked without an environment, any value fits.
    let text = "packs: [warp]\nnats: {local: \"${NOPE}\", token: \"${file:none}\"}\nenv: [NOPE]\n";
    let (config, report) = load(Source::new("c.yaml", text), None);
    assert!(config.is_some() && report.is_empty(), "{report}");
}

#[test]
fn what_is_omitted_counts_as_not_given() {
    let (config, report) =
        read("packs: [warp]\nnats: {url: \"{{ env.HOST | default(omit) }}\", user: u}\n");
    assert!(report.is_empty(), "{report}");
    let nats = config.unwrap().nats;
    assert_eq!((nats.url, nats.user.as_deref()), (None, Some("u")));
    assert_eq!(codes("packs: [\"{{ omit }}\"]\n"), [Code::Schema]);
}

#[test]
fn what_is_wrong_is_said_by_kind() {
    assert_eq!(
        codes("packs: [warp]\nnats: {token: \"{{ env.NOPE }}\"}\n"),
        [Code::Environment]
    );
    assert_eq!(
        codes("packs: [warp]\npack: 1\nnats: {uri: x, local: 3}\n"),
        [Code::UnknownKey, Code::UnknownKey, Code::Schema]
    );
    assert_eq!(codes("packs: []\n"), [Code::Schema]);
    assert_eq!(
        codes("packs: [\"{{ env.TOKEN | uper }}\"]\n"),
        [Code::UnknownFunction]
    );
}

#[test]
fn without_an_environment_only_the_form_is_checked() {
    let text = "packs: [warp]\nnats: {token: \"{{ env.NOPE }}\"}\n";
    let (config, report) = load(Source::new("c.yaml", text), None);
    assert!(config.is_some() && report.is_empty());
    let text = "packs: [warp]\nnats: {local: \"{{ env.X == 'yes' }}\", request_timeout: \"{{ env.T | default('1s') }}\"}\n";
    let (config, report) = load(Source::new("c.yaml", text), None);
    assert!(config.is_some() && report.is_empty(), "{report}");
}

#[test]
fn credentials_stay_out_of_diagnostics() {
    for text in [
        "packs: [warp]\nnats: {password: 12345678}\n",
        "packs: [warp]\nnats: {pasword: hunter2}\n",
        "packs: [warp]\nnats: {url: [nats://u:hunter2@h]}\n",
        "packs: [warp\nnats: {token: hunter2}\n",
    ] {
        let report = read(text).1.render(false);
        assert!(!report.is_empty(), "{text}");
        assert!(
            !report.contains("hunter2") && !report.contains("12345678"),
            "{report}"
        );
    }
}

#[test]
fn credentials_stay_out_of_debug_output() {
    let (config, _) = read("packs: [warp]\nnats: {token: \"{{ env.TOKEN }}\", password: s3cret}\n");
    assert!(!format!("{:?}", config.unwrap()).contains("s3cret"));
}
