//! `connect` and `fetch`.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::tools;
use crate::support::server::NatsServer;

#[tokio::test]
async fn servers_are_looked_at_where_the_config_allows_it() {
    let (server, dir) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed_at = closed.local_addr().unwrap().to_string();
    drop(closed);
    let open = server.url();
    let tools = tools(&server, dir.path(), &[open.clone(), closed_at.clone()]).await;
    let done = tools.ok("connect", json!({"address": open})).await;
    assert_eq!(
        (&done["done"]["ok"], &done["done"]["message"]),
        (&json!(true), &json!("connected"))
    );
    let done = tools.ok("connect", json!({"address": closed_at})).await;
    assert_eq!(done["done"]["ok"], false);
    let both = format!("{closed_at},{open}");
    let done = tools.ok("connect", json!({"address": both})).await;
    assert_eq!(done["done"]["ok"], true, "{done}");
    let text = tools
        .fails("connect", json!({"address": "u:hunter2@127.0.0.1:1"}))
        .await;
    assert!(
        text.starts_with("not_allowed: ") && text.contains("connect: [\"127.0.0.1:1\"]"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
    assert!(
        tools
            .fails("connect", json!({"address": "nowhere"}))
            .await
            .starts_with("range: ")
    );
}

/// A web server that answers `GET /NAME` with what stands under the name, and else with 404.
async fn web(answers: &'static [(&'static str, &'static str)]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap_or_default();
            let found = answers.iter().find(|(name, _)| *name == path);
            let answer = found.map_or(
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
                |(_, text)| (*text).to_owned(),
            );
            assert!(head.to_lowercase().contains("x-asked: yes"), "{head}");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn web_servers_are_asked() {
    let (server, dir) = (NatsServer::start(), tempfile::tempdir().unwrap());
    let address = web(&[
        (
            "/tags",
            "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"models\":[]}",
        ),
        (
            "/moved",
            "HTTP/1.1 302 Found\r\nLocation: /tags\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "/away",
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "/round",
            "HTTP/1.1 302 Found\r\nLocation: /round\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "/large",
            "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nx",
        ),
        ("/junk", "what?\r\n\r\n"),
    ])
    .await;
    let tools = tools(&server, dir.path(), std::slice::from_ref(&address)).await;
    let get = async |path: &str| {
        let url = format!("http://{address}{path}");
        tools.ok("fetch", json!({"url": url})).await["done"].clone()
    };
    for path in ["/tags", "/moved"] {
        let done = get(path).await;
        assert_eq!(
            done,
            json!({"ok": true, "status": 200, "text": "{\"models\":[]}", "data": {"models": []}, "message": "status 200"})
        );
    }
    let done = get("/none").await;
    assert_eq!((&done["ok"], &done["status"]), (&json!(false), &json!(404)));
    let done = get("/away").await;
    assert!(
        done["ok"] == false && done["message"].as_str().unwrap().contains("another server"),
        "{done}"
    );
    for path in ["/round", "/large", "/junk"] {
        assert_eq!(get(path).await["ok"], false, "{path}");
    }
    for (url, kind) in [
        ("http://127.0.0.1:1/", "not_allowed: "),
        ("file:///etc/passwd", "range: "),
        ("x", "range: "),
    ] {
        let text = tools.fails("fetch", json!({"url": url})).await;
        assert!(text.starts_with(kind), "{url}: {text}");
    }
}
