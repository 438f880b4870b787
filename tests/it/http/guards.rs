//! What a request must be before anything is done for it.

use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::gate::{BOTH, Gate, config, initialize, refusal};
use crate::support::place::Place;
use crate::support::{LIMIT, signal};

#[tokio::test]
async fn each_guard_refuses_in_its_own_way() {
    let gate = Gate::start(&config(
        "  max_body: 2KiB\n  hosts: [gate.example]\n  origins: ['https://app.example']\n",
    ));
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let post = || gate.post(ping);
    for (what, request, status, part) in [
        (
            "host",
            post().header("host", "evil.example"),
            403,
            "evil.example",
        ),
        (
            "host",
            post().header("host", "gate.example:1"),
            400,
            "initialize first",
        ),
        (
            "origin",
            post().header("origin", "http://evil.example"),
            403,
            "evil.example",
        ),
        ("origin", post().header("origin", "null"), 403, "null"),
        (
            "two origins",
            post()
                .header("origin", "http://localhost:99")
                .header("origin", "http://evil.example"),
            403,
            "more than one header `origin`",
        ),
        (
            "origin",
            post().header("origin", "http://localhost:99"),
            400,
            "initialize first",
        ),
        (
            "origin",
            post().header("origin", "https://app.example"),
            400,
            "initialize first",
        ),
        ("method", gate.request(Method::PUT, "/mcp"), 405, "PUT"),
        (
            "method",
            gate.request(Method::OPTIONS, "/mcp"),
            405,
            "OPTIONS",
        ),
        ("size", gate.post("x".repeat(3000)), 413, "2048"),
        (
            "type",
            gate.request(Method::POST, "/mcp")
                .header("accept", BOTH)
                .body(ping),
            415,
            "application/json",
        ),
        (
            "type",
            gate.request(Method::POST, "/mcp")
                .header("accept", BOTH)
                .header("content-type", "text/plain")
                .body(ping),
            415,
            "application/json",
        ),
        (
            "accept",
            gate.request(Method::POST, "/mcp")
                .header("accept", "application/json")
                .json(&json!({})),
            406,
            "text/event-stream",
        ),
        (
            "accept",
            gate.request(Method::GET, "/mcp")
                .header("accept", "application/json"),
            406,
            "text/event-stream",
        ),
        (
            "session",
            gate.request(Method::GET, "/mcp").header("accept", BOTH),
            400,
            "initialize first",
        ),
        (
            "session",
            gate.request(Method::DELETE, "/mcp"),
            400,
            "initialize first",
        ),
        ("path", gate.request(Method::GET, "/"), 404, "/mcp"),
        ("path", gate.request(Method::GET, "/mcp/a/b"), 404, "/mcp"),
        (
            "toolset",
            gate.request(Method::DELETE, "/mcp/none"),
            404,
            "toolset",
        ),
        (
            "metadata",
            gate.request(Method::GET, "/.well-known/oauth-protected-resource"),
            404,
            "nothing",
        ),
    ] {
        let response = request.send().await.unwrap();
        let allow = response.headers().get("allow").cloned();
        let (found, _, text) = refusal(response).await;
        assert_eq!(found, status, "{what}: {text}");
        assert!(text.contains(part), "{what}: {text}");
        assert_eq!(allow.is_some(), status == 405, "{what}");
    }
    gate.begin("/mcp", None).await;
}

#[tokio::test]
async fn a_body_that_grows_is_cut_off() {
    let gate = Gate::start(&config("  max_body: 2KiB\n"));
    let parts = (0..100).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024]));
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
    // The gateway may close the connection before all of it is sent.
    if let Ok(response) = gate.post(body).send().await {
        assert_eq!(refusal(response).await.0, 413);
    }
    gate.begin("/mcp", None).await;
}

#[tokio::test]
async fn too_many_requests_have_to_wait() {
    let gate = Gate::start(&config("  rate: {per_second: 0.05, burst: 3}\n"));
    gate.begin("/mcp", None).await;
    let send = || gate.post(initialize().to_string()).send();
    assert_eq!(send().await.unwrap().status(), 200);
    let response = send().await.unwrap();
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(refusal(response).await.0, 429);
    // Probes are no requests of clients.
    assert_eq!(gate.get("/health").await.status(), 200);
}

#[tokio::test]
async fn requests_beyond_those_in_flight_are_refused() {
    let gate = Gate::start(&config("  max_in_flight: 1\n"));
    // A request whose body does not come takes no place.
    let mut slow = TcpStream::connect(gate.authority()).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {}\r\nAccept: {BOTH}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{{",
        gate.authority()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    gate.begin("/mcp", None).await;
    // Sessions are written before they are told of: while the server hangs, that takes its time.
    let nats = gate.nats.as_ref().unwrap().pid();
    signal("-STOP", nats);
    let begin = || gate.post(initialize().to_string()).send();
    let (one, other) = tokio::join!(begin(), begin());
    signal("-CONT", nats);
    let mut both = [one.unwrap(), other.unwrap()];
    both.sort_by_key(|response| response.status());
    let [begun, refused] = both;
    assert_eq!(
        (begun.status().as_u16(), refused.status().as_u16()),
        (200, 503)
    );
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(refusal(refused).await.0, 503);
    drop(begun);
    let started = std::time::Instant::now();
    while gate
        .post(initialize().to_string())
        .send()
        .await
        .unwrap()
        .status()
        != 200
    {
        assert!(started.elapsed() < LIMIT, "the place does not come back");
    }
}

#[tokio::test]
async fn what_is_no_http_is_closed() {
    let gate = Gate::start(&config(""));
    let huge = format!("GET /mcp HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(200_000));
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &huge,
    ] {
        let mut stream = TcpStream::connect(gate.authority()).await.unwrap();
        // It may be closed before all is written.
        let _ = stream.write_all(bytes.as_bytes()).await;
        let mut answer = Vec::new();
        let read = timeout(LIMIT, stream.read_to_end(&mut answer)).await;
        let _ = read.expect("the connection is closed");
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer}"
        );
    }
    gate.begin("/mcp", None).await;
}

#[test]
fn a_start_that_is_not_safe_or_not_possible_ends_with_1() {
    let place = Place::without_nats();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (args, part) in [
        (&["serve", "--http", &taken][..], "another program"),
        (
            &["serve", "--http", "0.0.0.0:0"][..],
            "--dangerously-allow-unauthenticated-network",
        ),
        (&["serve", "--http", "[::]:0"][..], "nobody has to log in"),
        (
            &[
                "serve",
                "--http",
                "192.0.2.1:80",
                "--dangerously-allow-unauthenticated-network",
            ][..],
            "cannot listen on 192.0.2.1:80",
        ),
    ] {
        let done = place.run(args);
        assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "{args:?}");
        assert!(done.stderr.contains(part), "{args:?}: {}", done.stderr);
        assert!(!place.data_dir().exists(), "it reached for NATS");
    }
    let done = place.run(&["serve", "--http", "here"]);
    assert_eq!(done.code, Some(2));
}

#[tokio::test]
async fn it_stops_with_streams_open() {
    let mut gate = Gate::start(&config(""));
    let session = gate.begin("/mcp", None).await;
    let stream = gate.request(Method::GET, "/mcp").header("accept", BOTH);
    let stream = stream
        .header("mcp-session-id", &session)
        .send()
        .await
        .unwrap();
    assert_eq!(stream.status(), 200);
    assert_eq!(gate.stop(), Some(0));
    let rest = timeout(LIMIT, stream.text()).await;
    let _ = rest.expect("the stream ends");
}
