//! What is no message of MCP is refused as JSON-RPC has it, and harms nothing.

use serde_json::{Value, json};

use super::gate::{Gate, config};

const PARSE: i64 = -32700;
const INVALID: i64 = -32600;
const PARAMS: i64 = -32602;
const METHOD: i64 = -32601;
const REFUSED: i64 = -32000;

/// The status and code of an answer; 0 for one that is no error.
async fn sent(gate: &Gate, body: Vec<u8>, session: Option<&str>) -> (u16, i64, Value) {
    let mut request = gate.post(body);
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let data = text.lines().rev().find(|line| line.starts_with("data: {"));
    let data = data.map_or(text.as_str(), |line| &line[6..]);
    let value: Value = serde_json::from_str(data).unwrap_or_default();
    let code = value["error"]["code"].as_i64().unwrap_or(0);
    (status, code, value["id"].clone())
}

#[tokio::test]
async fn what_is_no_message_is_told_without_a_session() {
    let gate = Gate::start(&config(""));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let null = Value::Null;
    for (body, status, code, id) in [
        ("", 400, PARSE, null.clone()),
        ("{", 400, PARSE, null.clone()),
        ("{'a': 1}", 400, PARSE, null.clone()),
        ("\u{feff}{}", 400, PARSE, null.clone()),
        (&deep, 400, PARSE, null.clone()),
        ("[]", 400, INVALID, null.clone()),
        (
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            400,
            INVALID,
            null.clone(),
        ),
        ("{}", 400, INVALID, null.clone()),
        ("1", 400, INVALID, null.clone()),
        ("null", 400, INVALID, null.clone()),
        (r#""ping""#, 400, INVALID, null.clone()),
        (
            r#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#,
            400,
            INVALID,
            json!(5),
        ),
        (r#"{"id":5,"method":"ping"}"#, 400, INVALID, json!(5)),
        (r#"{"jsonrpc":"2.0","id":5}"#, 400, INVALID, json!(5)),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            400,
            INVALID,
            null.clone(),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            400,
            INVALID,
            null.clone(),
        ),
        (
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            400,
            INVALID,
            null.clone(),
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":7}"#,
            400,
            INVALID,
            json!("x"),
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"tools/list"}"#,
            400,
            REFUSED,
            json!("x"),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            400,
            REFUSED,
            null.clone(),
        ),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":"initialize"}"#,
            400,
            PARAMS,
            json!(5),
        ),
        (
            r#"{"jsonrpc":"2.0","id":5,"method":"initialize","params":{"protocolVersion":3}}"#,
            400,
            PARAMS,
            json!(5),
        ),
    ] {
        let found = sent(&gate, body.as_bytes().to_vec(), None).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(found, (status, code, id), "{shown}");
    }
    let found = sent(&gate, vec![b'"', 0xff, 0xfe, b'"'], None).await;
    assert_eq!(found, (400, PARSE, null));
    gate.begin("/mcp", None).await;
}

#[tokio::test]
async fn what_a_session_does_wrong_does_not_end_it() {
    let gate = Gate::start(&config(""));
    let session = gate.begin("/mcp", None).await;
    for (body, status, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"nope"}"#, 200, METHOD),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            200,
            PARAMS,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":5}}"#,
            200,
            PARAMS,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"nope"}}"#,
            200,
            PARAMS,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}"#,
            400,
            INVALID,
        ),
        (r#"{"jsonrpc":"2.0","id":99,"result":{}}"#, 202, 0),
        (r#"{"jsonrpc":"2.0","method":"notifications/nope"}"#, 202, 0),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":77}}"#,
            202,
            0,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","extra":true}"#,
            200,
            0,
        ),
    ] {
        let (found, error, _) = sent(&gate, body.into(), Some(&session)).await;
        assert_eq!((found, error), (status, code), "{body}");
    }
    let found = sent(
        &gate,
        br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.into(),
        Some(&session),
    )
    .await;
    assert_eq!(found, (200, 0, json!(1)));
}

#[tokio::test]
async fn sessions_and_versions_are_checked() {
    let gate = Gate::start(&config(""));
    let session = gate.begin("/mcp", None).await;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let unknown = sent(
        &gate,
        ping.into(),
        Some("00000000-0000-4000-8000-000000000000"),
    )
    .await;
    assert_eq!((unknown.0, unknown.1), (404, -32001));
    let request = gate.post(ping).header("mcp-session-id", &session);
    let response = request
        .header("mcp-protocol-version", "1999-01-01")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 400);
    let body: Value = response.json().await.unwrap();
    assert!(
        body["error"]["message"]
            .as_str()
            .unwrap()
            .contains("1999-01-01")
    );
}

#[tokio::test]
async fn what_a_client_says_of_itself_is_bounded() {
    let gate = Gate::start(&config(""));
    let info = json!({"name": "n".repeat(100_000), "version": "1"});
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": info});
    let begin = json!({"jsonrpc": "2.0", "id": 5, "method": "initialize", "params": params});
    let found = sent(&gate, begin.to_string().into_bytes(), None).await;
    assert_eq!((found.1, found.2), (PARAMS, json!(5)));
    let health: Value = gate.get("/health").await.json().await.unwrap();
    assert_eq!(health["sessions"], 0);
    gate.begin("/mcp", None).await;
}
