#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;

fn one(url: &str) -> Server {
    let mut all = parse_all(&[url.to_owned()]).unwrap();
    assert_eq!(all.len(), 1, "{url}");
    all.remove(0)
}

fn refused(url: &str) -> Error {
    parse_all(&[url.to_owned()]).expect_err(url)
}

#[test]
fn plain_forms_are_completed() {
    for (url, address) in [
        ("localhost", "nats://localhost:4222"),
        ("localhost:4333", "nats://localhost:4333"),
        ("nats://h", "nats://h:4222"),
        ("NATS://h:1", "nats://h:1"),
        ("TLS://h", "tls://h:4222"),
        ("nats://h:80", "nats://h:80"),
        ("tls://h:443", "tls://h:443"),
        ("ws://h:80", "ws://h:80"),
        ("ws://h:443", "ws://h:443"),
        ("wss://h:443", "wss://h:443"),
        ("wss://h:80", "wss://h:80"),
        ("ws://h", "ws://h:80"),
        ("WSS://h", "wss://h:443"),
        ("wss://h/nats?x=1", "wss://h:443/nats?x=1"),
        ("ws://h?x=1", "ws://h:80/?x=1"),
        ("nats://h/", "nats://h:4222"),
        ("nats://[::1]:5", "nats://[::1]:5"),
        ("[::1]", "nats://[::1]:4222"),
        ("  nats://h ", "nats://h:4222"),
    ] {
        assert_eq!(one(url).address(), address, "{url}");
        let parsed: async_nats::ServerAddr = address.parse().unwrap();
        assert_eq!(parsed.port(), one(url).port, "{url}");
    }
}

#[test]
fn credentials_are_decoded_and_taken_out() {
    let server = one("nats://us%3Aer:p%40ss%2Fw%20%C3%A9@h:1");
    assert_eq!(server.address(), "nats://h:1");
    assert_eq!(
        server.auth,
        Some(UrlAuth::UserPassword("us:er".into(), "p@ss/w é".into()))
    );
    assert_eq!(
        one("nats://t%2Bk@h").auth,
        Some(UrlAuth::Token("t+k".into()))
    );
    assert_eq!(
        one("nats://u:a:b@c@h").auth,
        Some(UrlAuth::UserPassword("u".into(), "a:b@c".into()))
    );
    assert_eq!(
        one("u:@h").auth,
        Some(UrlAuth::UserPassword("u".into(), String::new()))
    );
    assert_eq!(one("nats://@h").auth, None);
}

#[test]
fn lists_are_split() {
    let all = parse_all(&["nats://a:1, tls://u:p@b:2".into(), "c".into(), ",".into()]).unwrap();
    let shown: Vec<String> = all.iter().map(Server::shown).collect();
    assert_eq!(shown, ["nats://a:1", "tls://b:2", "nats://c:4222"]);
}

#[test]
fn what_cannot_work_is_refused() {
    for url in [
        "",
        " ",
        ",",
        "http://h",
        "nats://",
        "nats://:4222",
        "nats://h:0",
        "nats://h:65536",
        "nats://h:x",
        "nats://h:+1",
        "nats://h:",
        "nats://h/path",
        "nats://[::1",
        "nats://[zz]:1",
        "nats://[::1]x",
        "nats://:p@h",
        "nats://u:%ff@h",
        "nats://h a",
        "nats://u:p@",
        "nats://u:a/b@h",
        "nats://u:a#b@h",
        "nats://u:1234,b@h",
        "ws://h/a b",
        "nats://hé",
    ] {
        assert_eq!(refused(url).kind(), ErrorKind::InvalidConfig, "{url}");
    }
}

#[test]
fn redaction_hides_what_it_cannot_read() {
    assert_eq!(redact("nats://u:p@h:1"), "nats://***@h:1");
    assert_eq!(redact("tok@h"), "nats://***@h:4222");
    assert_eq!(redact("tls://h"), "tls://h:4222");
    assert_eq!(redact("nats://u:a/b@h"), "nats://***");
    assert_eq!(redact("nats://u:s3cret"), "nats://***");
    assert_eq!(redact("nats://u:1234,b@h"), "nats://***@h:4222");
    assert_eq!(
        redact("nats://u:p@a,nats://b"),
        "nats://***@a:4222,nats://b:4222"
    );
    assert_eq!(redact("wss://h/p?token=abc"), "wss://h:443");
    assert!(!format!("{:?}", one("nats://user:hunter2@h")).contains("hunter2"));
}

proptest! {
    #[test]
    fn an_encoded_password_survives_and_is_never_shown(password in "\\PC{1,24}") {
        let url = format!("tls://bob:{}@h.example:4443", utf8_percent_encode(&password, NON_ALPHANUMERIC));
        prop_assert_eq!(one(&url).auth, Some(UrlAuth::UserPassword("bob".into(), password)));
        prop_assert_eq!(redact(&url), "tls://***@h.example:4443");
    }

    #[test]
    fn a_raw_password_is_never_shown(password in "[!-~]{3,16}Zq7[!-~]{3,16}", scheme in "(nats://|tls://|ws://|)") {
        let url = format!("{scheme}bob:{password}@h:4443");
        prop_assert!(!redact(&url).contains(&password), "{}", redact(&url));
        if let Err(error) = parse_all(&[url]) {
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains(&password));
        }
    }

    #[test]
    fn no_input_panics(url in "\\PC{0,60}") {
        let _ = redact(&url);
        let _ = parse_all(&[url]);
    }
}
