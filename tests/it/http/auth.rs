//! Who is let in, and to what.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};

use super::gate::{BOTH, Gate, config, initialize, refusal};
use crate::support::place::Place;
use crate::support::server::NatsServer;

const ISSUER: &str = "https://login.example";
const RESOURCE: &str = "https://gate.example/mcp";

const TOKENS: &str = "auth:
  tokens:
    - {name: ann, token: \"{{ env.ANN | default('ann-token-0123456789') }}\", scopes: [read, write]}
    - {name: bob, file: bob.token, scopes: [read]}
toolsets:
  see: {tools: ['*_read', '*_status'], scopes: [read]}
  do: {tools: ['*'], scopes: [write]}
scopes: {'*_send': [write]}
";

/// The private keys and JWKs of the tests, by name.
fn keys() -> Value {
    serde_json::from_str(include_str!("keys.json")).unwrap()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// A token with these changes to good claims, signed by a key.
fn token(key: &str, algorithm: Algorithm, changes: Value) -> String {
    use base64::Engine as _;
    let private = keys()[key]["private"].as_str().unwrap().to_owned();
    let der = base64::engine::general_purpose::STANDARD
        .decode(private)
        .unwrap();
    let signer = match algorithm {
        Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
        Algorithm::ES256 => EncodingKey::from_ec_der(&der),
        Algorithm::HS256 => EncodingKey::from_secret(&der),
        _ => EncodingKey::from_rsa_der(&der),
    };
    let mut claims = json!({
        "iss": ISSUER, "aud": RESOURCE, "sub": "carol", "exp": now() + 300, "scope": "mcp read",
    });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    let mut header = Header::new(algorithm);
    header.kid = Some(key.to_owned());
    encode(&header, &claims, &signer).unwrap()
}

/// A key set that is served by HTTP; an empty one is an error of the server.
struct Issuer {
    url: String,
    names: Arc<Mutex<Vec<&'static str>>>,
    fetches: Arc<Mutex<usize>>,
}

impl Issuer {
    fn start(names: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let names = Arc::new(Mutex::new(names.to_vec()));
        let fetches = Arc::new(Mutex::new(0));
        let (served, counted) = (Arc::clone(&names), Arc::clone(&fetches));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                *counted.lock().unwrap() += 1;
                let names = served.lock().unwrap().clone();
                let jwks: Vec<Value> = names.iter().map(|n| keys()[*n]["jwk"].clone()).collect();
                let odd = json!({"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "odd"});
                let body = json!({"keys": jwks.into_iter().chain([odd]).collect::<Vec<_>>()});
                let status = if names.is_empty() {
                    "500 Broken"
                } else {
                    "200 OK"
                };
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all((head + &body).as_bytes());
            }
        });
        Self {
            url,
            names,
            fetches,
        }
    }

    fn serves(&self, names: &[&'static str]) {
        *self.names.lock().unwrap() = names.to_vec();
    }
}

fn oauth(jwks: &str, more: &str) -> String {
    config(&format!(
        "auth:\n  oauth: {{issuer: '{ISSUER}', jwks: '{jwks}', resource: '{RESOURCE}', required_scopes: [mcp]{more}}}\n"
    ))
}

/// Status of an initialize with this Authorization, and the challenge.
async fn login(gate: &Gate, authorization: &str) -> (u16, String) {
    let request = gate.post(initialize().to_string());
    let response = request
        .header("authorization", authorization)
        .send()
        .await
        .unwrap();
    let challenge = response.headers().get("www-authenticate");
    let challenge = challenge.map(|c| c.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    if status != 200 {
        refusal(response).await;
    }
    (status, challenge.unwrap_or_default())
}

fn with_bob() -> (Place, NatsServer) {
    let nats = NatsServer::start();
    let place = Place::on(&nats);
    place.write("bob.token", "bob-token-0123456789\n");
    (place, nats)
}

#[tokio::test]
async fn tokens_open_the_door() {
    let (place, _nats) = with_bob();
    let gate = Gate::on(place, &config(TOKENS));
    for (authorization, status, part) in [
        ("Bearer ann-token-0123456789", 200, ""),
        ("bearer bob-token-0123456789", 200, ""),
        ("Bearer ann-token-012345678", 401, "error=\"invalid_token\""),
        ("Bearer ann-token-01234567890", 401, "invalid_token"),
        ("Basic YW5uOng=", 401, "Bearer"),
        ("Bearer", 401, "Bearer"),
    ] {
        let (found, challenge) = login(&gate, authorization).await;
        assert_eq!(found, status, "{authorization}");
        assert!(challenge.contains(part), "{authorization}: {challenge}");
    }
    let response = gate.post(initialize().to_string()).send().await.unwrap();
    let challenge = response.headers()["www-authenticate"].to_str().unwrap();
    assert!(!challenge.contains("error="), "{challenge}");
    assert_eq!(refusal(response).await.0, 401);
    // The login is asked for before the toolset: strangers learn no names.
    let stranger = gate
        .request(Method::DELETE, "/mcp/none")
        .send()
        .await
        .unwrap();
    assert_eq!(stranger.status(), 401);
    assert!(
        !gate.stderr().contains("token-0123456789"),
        "{}",
        gate.stderr()
    );
}

async fn listed(gate: &Gate, path: &str, token: &str) -> Vec<String> {
    let session = gate.begin(path, Some(token)).await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let answer = gate.ask(path, Some(token), &session, body).await;
    let tools = answer["result"]["tools"].as_array().unwrap();
    tools
        .iter()
        .map(|t| t["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn who_lacks_a_scope_neither_sees_nor_calls_a_tool() {
    let (place, _nats) = with_bob();
    let gate = Gate::on(place, &config(TOKENS));
    let (ann, bob) = ("ann-token-0123456789", "bob-token-0123456789");
    let send = "warp_channels_send".to_owned();
    assert!(listed(&gate, "/mcp", ann).await.contains(&send));
    assert!(!listed(&gate, "/mcp", bob).await.contains(&send));
    assert!(!listed(&gate, "/mcp/see", ann).await.contains(&send));
    assert!(listed(&gate, "/mcp/do", ann).await.contains(&send));
    let seen = listed(&gate, "/mcp/see", bob).await;
    assert_eq!(
        seen,
        [
            "warp_channels_read",
            "warp_channels_status",
            "warp_work_queue_status"
        ]
    );
    let call = |name: &str| json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {"handle": "x"}}});
    let session = gate.begin("/mcp", Some(bob)).await;
    let answer = gate
        .ask("/mcp", Some(bob), &session, call("warp_channels_send"))
        .await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let text = answer["error"]["message"].as_str().unwrap();
    assert!(
        text.contains("there is no tool `warp_channels_send`"),
        "{text}"
    );
    let session = gate.begin("/mcp/see", Some(ann)).await;
    let answer = gate
        .ask("/mcp/see", Some(ann), &session, call("warp_handle_set"))
        .await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let session = gate.begin("/mcp", Some(ann)).await;
    let answer = gate
        .ask("/mcp", Some(ann), &session, call("warp_handle_set"))
        .await;
    assert!(
        answer["result"]["content"][0]["text"].is_string(),
        "{answer}"
    );
    for (path, token, status) in [("/mcp/do", bob, 403), ("/mcp/none", ann, 404)] {
        let request = gate.request(Method::POST, path).header("accept", BOTH);
        let response = request
            .bearer_auth(token)
            .json(&initialize())
            .send()
            .await
            .unwrap();
        let challenge = response.headers().get("www-authenticate").cloned();
        assert_eq!(refusal(response).await.0, status);
        if status == 403 {
            let challenge = challenge.unwrap();
            let challenge = challenge.to_str().unwrap();
            assert!(
                challenge.contains("error=\"insufficient_scope\", scope=\"write\""),
                "{challenge}"
            );
        }
    }
}

#[tokio::test]
async fn access_tokens_are_checked_in_every_part() {
    let issuer = Issuer::start(&["one", "rsa", "ed"]);
    let gate = Gate::start(&oauth(&issuer.url, ""));
    let es = |changes| token("one", Algorithm::ES256, changes);
    let good = es(json!({}));
    let (head, rest) = good.split_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", rest.split('.').next().unwrap());
    let swapped = format!(
        "{head}.{}",
        es(json!({"sub": "dave"})).split_once('.').unwrap().1
    );
    let cut = good[..good.len() - 4].to_owned();
    for (what, token, status, part) in [
        ("ES256", good.clone(), 200, ""),
        ("RS256", token("rsa", Algorithm::RS256, json!({})), 200, ""),
        ("EdDSA", token("ed", Algorithm::EdDSA, json!({})), 200, ""),
        (
            "within the leeway",
            es(json!({"exp": now() - 30, "nbf": now() + 30})),
            200,
            "",
        ),
        (
            "several audiences",
            es(json!({"aud": ["x", RESOURCE]})),
            200,
            "",
        ),
        ("scp", es(json!({"scope": null, "scp": ["mcp"]})), 200, ""),
        ("swapped but whole", swapped, 200, ""),
        ("expired", es(json!({"exp": now() - 90})), 401, "expired"),
        ("without an end", es(json!({"exp": null})), 401, "lacks"),
        (
            "an end that is no number",
            es(json!({"exp": "9999999999"})),
            401,
            "invalid_token",
        ),
        (
            "not yet",
            es(json!({"nbf": now() + 90})),
            401,
            "not valid yet",
        ),
        (
            "not yet, as a text",
            es(json!({"nbf": "9999999999"})),
            401,
            "not numbers",
        ),
        (
            "another issuer",
            es(json!({"iss": "https://other.example"})),
            401,
            "another issuer",
        ),
        (
            "a list of issuers",
            es(json!({"iss": [ISSUER]})),
            401,
            "issuer",
        ),
        (
            "another audience",
            es(json!({"aud": "https://other.example"})),
            401,
            "another server",
        ),
        ("no audience", es(json!({"aud": null})), 401, "lacks"),
        ("nobody", es(json!({"sub": null})), 401, "lacks"),
        ("nobody's name", es(json!({"sub": ""})), 401, "no subject"),
        (
            "another key",
            token("two", Algorithm::ES256, json!({})),
            401,
            "unknown key",
        ),
        (
            "a shared secret",
            token("one", Algorithm::HS256, json!({})),
            401,
            "signed",
        ),
        (
            "an algorithm not allowed",
            token("rsa", Algorithm::PS256, json!({})),
            401,
            "signed",
        ),
        ("no signature", unsigned, 401, "invalid_token"),
        ("a broken signature", cut, 401, "invalid_token"),
        ("no token at all", "x.y.z".to_owned(), 401, "invalid_token"),
        (
            "too few scopes",
            es(json!({"scope": "read"})),
            403,
            "scope=\"mcp\"",
        ),
    ] {
        let (found, challenge) = login(&gate, &format!("Bearer {token}")).await;
        assert_eq!(found, status, "{what}: {challenge}");
        assert!(challenge.contains(part), "{what}: {challenge}");
    }
    // Made-up names of keys make no more than one fetch beside the first.
    assert!(*issuer.fetches.lock().unwrap() <= 2);
}

#[tokio::test]
async fn clients_find_the_authorization_server() {
    let issuer = Issuer::start(&["one"]);
    let tools = "toolsets: {see: {tools: ['*_read'], scopes: [read]}}\n";
    let gate = Gate::start(&(oauth(&issuer.url, "") + tools));
    let path = "/.well-known/oauth-protected-resource";
    for (suffix, resource) in [
        ("", RESOURCE.to_owned()),
        ("/mcp", RESOURCE.to_owned()),
        ("/mcp/see", format!("{RESOURCE}/see")),
    ] {
        let response = gate.get(&format!("{path}{suffix}")).await;
        assert_eq!(response.status(), 200);
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["resource"], resource);
        assert_eq!(body["authorization_servers"], json!([ISSUER]));
        assert_eq!(body["scopes_supported"], json!(["mcp", "read"]));
    }
    assert_eq!(gate.get(&format!("{path}/other")).await.status(), 404);
    for (path, suffix) in [("/mcp", "/mcp"), ("/mcp/see", "/mcp/see")] {
        let request = gate.request(Method::POST, path).header("accept", BOTH);
        let response = request.json(&initialize()).send().await.unwrap();
        assert_eq!(response.status(), 401);
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        let url = format!(
            "resource_metadata=\"https://gate.example/.well-known/oauth-protected-resource{suffix}\""
        );
        assert!(challenge.contains(&url), "{challenge}");
    }
}

#[tokio::test]
async fn clients_find_the_scopes_that_resources_want() {
    let issuer = Issuer::start(&["one"]);
    let server = NatsServer::start();
    let place = Place::on(&server);
    place.write("files/plan.md", "1");
    place.write(
        "files.d/pack.yaml",
        "folders: {files: {path: files}}\nresources: {files: {folder: files, uri: 'files:///', scopes: [see]}}\n",
    );
    let config = oauth(&issuer.url, "").replace("[warp]", "[warp, ./files.d]");
    let gate = Gate::on(place, &(config + "allow: {read: [files]}\n"));
    let response = gate.get("/.well-known/oauth-protected-resource").await;
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["scopes_supported"], json!(["mcp", "see"]));
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_no_verdict() {
    let issuer = Issuer::start(&[]);
    let gate = Gate::start(&oauth(&issuer.url, ""));
    let bearer = format!("Bearer {}", token("one", Algorithm::ES256, json!({})));
    let (status, challenge) = login(&gate, &bearer).await;
    assert_eq!((status, challenge.as_str()), (503, ""));
    issuer.serves(&["one"]);
    let started = std::time::Instant::now();
    while login(&gate, &bearer).await.0 != 200 {
        assert!(started.elapsed() < crate::support::LIMIT);
        tokio::time::sleep(super::gate::A_WHILE).await;
    }
    // Known keys go on to be used when the issuer is away, and its name is no secret of the keys.
    issuer.serves(&[]);
    assert_eq!(login(&gate, &bearer).await.0, 200);
    let other = format!("Bearer {}", token("two", Algorithm::ES256, json!({})));
    assert_eq!(login(&gate, &other).await.0, 401);
    assert_eq!(login(&gate, &bearer).await.0, 200);
}

#[tokio::test]
async fn keys_of_a_file_work_without_a_network() {
    let nats = NatsServer::start();
    let place = Place::on(&nats);
    let set = json!({"keys": [keys()["one"]["jwk"]]});
    place.write("keys.json", &set.to_string());
    let gate = Gate::on(
        place,
        &oauth("keys.json", ", audience: [here], algorithms: [ES256]"),
    );
    let bearer = |aud: &str| {
        format!(
            "Bearer {}",
            token("one", Algorithm::ES256, json!({"aud": aud}))
        )
    };
    assert_eq!(login(&gate, &bearer("here")).await.0, 200);
    assert_eq!(login(&gate, &bearer(RESOURCE)).await.0, 401);
    // A key that is added is found.
    let set = json!({"keys": [keys()["one"]["jwk"], keys()["two"]["jwk"]]});
    gate.place.write("keys.json", &set.to_string());
    let other = format!(
        "Bearer {}",
        token("two", Algorithm::ES256, json!({"aud": "here"}))
    );
    assert_eq!(login(&gate, &other).await.0, 200);
}
