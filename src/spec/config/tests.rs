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
