//! What a config may say of HTTP, and what is refused.

use super::*;
use crate::spec::config::load;
use crate::spec::source::Source;

fn problems(text: &str) -> String {
    let text = format!("packs: [warp]\n{text}");
    let (_, report) = load(Source::new("c.yaml", text), Some(&|_| None));
    report.render(false)
}

#[test]
fn stars_stand_for_any_text() {
    for (pattern, name, expected) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("*", "", true),
        ("a*", "a", true),
        ("a*", "ba", false),
        ("*_get", "warp_get", true),
        ("*_get", "warp_get_all", false),
        ("a*b*c", "a-b-b-c", true),
        ("a*b*c", "a-c-b", false),
        ("a*a", "a", false),
    ] {
        assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn what_cannot_work_is_said_at_its_place() {
    for (text, part) in [
        ("http: {address: 'here:80'}", "not an IP address"),
        ("http: {max_body: 300MiB}", "256MiB"),
        ("http: {max_body: 4GiB}", "does not fit"),
        ("http: {keep_alive: 0s}", "10ms"),
        ("http: {sessions: {idle: soon}}", "does not fit"),
        ("http: {origins: ['https://a/b']}", "without a path"),
        ("http: {hosts: ['https://a']}", "a host is a name"),
        ("http: {rate: {per_second: 0, burst: 1}}", "smallest"),
        ("transport: tcp", "stdio, http"),
        ("auth: {}", "nobody could log in"),
        ("auth: {tokens: [{name: a, token: short}]}", "16 characters"),
        ("auth: {tokens: [{name: a}]}", "either `token` or `file`"),
        (
            "auth: {oauth: {issuer: i, jwks: 'http://k.example/', resource: 'https://r/mcp'}}",
            "`https:` URLs",
        ),
        (
            "auth: {oauth: {issuer: i, jwks: keys.json, resource: 'http://r/mcp'}}",
            "`https:` URL is",
        ),
        (
            "auth: {oauth: {issuer: i, jwks: k.json, resource: 'https://r', algorithms: [HS256]}}",
            "not one of: RS256",
        ),
        ("auth: {oauth: {issuer: i, jwks: k.json}}", "`resource` is"),
        ("auth: {tokens: [{token: 0123456789abcdef}]}", "`name` is"),
        ("toolsets: {A/b: {tools: ['*']}}", "part of a URL"),
        ("toolsets: {a: {tools: []}}", ""),
    ] {
        let shown = problems(text);
        assert!(!shown.is_empty() && shown.contains(part), "{text}: {shown}");
    }
}

#[test]
fn a_full_config_is_read() {
    let shown = problems(
        "transport: http\nhttp: {address: '[::1]:0', hosts: [g.example:1, '*'], origins: ['https://a:1'], max_body: 1MiB,\n  max_in_flight: 5, rate: {per_second: 0.5, burst: 3}, keep_alive: 5s, push_timeout: 100ms,\n  sessions: {unbound: 1s, idle: 2m, expire: 3h, sweep: 10ms, max: 5}}\nauth:\n  tokens: [{name: ann, token: 0123456789abcdef, scopes: [a]}, {name: bob, file: t}]\n  oauth: {issuer: 'https://i', jwks: 'http://127.0.0.1:1/k', resource: 'https://g/mcp', algorithms: [EdDSA]}\ntoolsets: {read-only: {tools: ['*_get'], scopes: [r]}}\nscopes: {'*_send': [w]}\n",
    );
    assert_eq!(shown, "");
}

#[test]
fn what_the_environment_gives_need_not_be_known() {
    let text = "packs: [warp]\nhttp: {address: '{{ env.A }}', hosts: ['{{ env.A }}'], origins: ['{{ env.A }}']}\nauth:\n  tokens: [{name: a, token: '{{ env.A }}'}, {name: '{{ env.B }}', file: x}]\n  oauth: {issuer: '{{ env.A }}', jwks: '{{ env.A }}', resource: '{{ env.A }}'}\n";
    let (config, report) = load(Source::new("c.yaml", text), None);
    assert!(config.is_some() && report.is_empty(), "{report}");
}

#[test]
fn tokens_are_not_shown() {
    let text = "packs: [warp]\nauth: {tokens: [{name: ann, token: hunter2hunter2hunter2}]}\n";
    let (config, _) = load(Source::new("c.yaml", text), Some(&|_| None));
    assert!(!format!("{config:?}").contains("hunter2"));
    let shown = problems(
        "auth: {tokens: [{name: ann, token: hunter2}, {name: ann, tokn: hunter2hunter2}]}",
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}
