use super::{config, connected};
use crate::support::{logs, server::NatsServer};
use jacquard::bus::{Bus, BusConfig, ErrorKind, Outgoing, State, Tls};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Public key of [`SEED`]; a fixed pair for tests only.
const SEED: &str = "SUANQDPB2RUOE4ETUA26CNX7FUKE5ZZKFCQIIW63OX225F2CO7UEXTM7ZY";

async fn works(config: BusConfig) {
    let bus = connected(config).await;
    bus.publish(Outgoing::new("x", "y")).await.unwrap();
}

/// The kind of the error of a call, after the server had time to refuse.
async fn refused(config: BusConfig) -> (ErrorKind, String) {
    let bus = Bus::connect(config).await.unwrap();
    bus.wait_connected(Duration::from_millis(700))
        .await
        .unwrap_err();
    let error = bus.publish(Outgoing::new("x", "y")).await.unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn user_and_password_in_all_forms() {
    logs::capture();
    let password = "p@s:s/w%rd 9é-Vq8Zk";
    let encoded = "p%40s%3As%2Fw%25rd%209%C3%A9-Vq8Zk";
    let server = NatsServer::with_config(&format!(
        "authorization {{ user: \"bob\", password: \"{password}\" }}"
    ));
    let at = format!("127.0.0.1:{}", server.port());
    works(config(format!("nats://bob:{encoded}@{at}"))).await;
    works(config(format!("NATS://bob:{encoded}@{at}"))).await;
    works(config(format!("bob:{encoded}@{at}"))).await;
    let fields = |user: &str, password: &str| BusConfig {
        user: Some(user.into()),
        password: Some(password.into()),
        ..config(server.url())
    };
    works(fields("bob", password)).await;
    // The address wins.
    works(BusConfig {
        servers: vec![format!("nats://bob:{encoded}@{at}")],
        ..fields("eve", "x")
    })
    .await;
    for wrong in [
        config(server.url()),
        fields("bob", "wrong-Vq8Zk"),
        config(format!("nats://bob:wrong-Vq8Zk@{at}")),
    ] {
        let shown = format!("{wrong:?}");
        let (kind, text) = refused(wrong).await;
        assert_eq!(kind, ErrorKind::Unauthorized, "{text}");
        assert!(text.contains("refused the credentials"), "{text}");
        assert!(!format!("{text}{shown}").contains("Vq8Zk"));
    }
    let log = logs::text();
    assert!(
        log.contains("refused the credentials"),
        "the log is captured"
    );
    assert!(!log.contains("Vq8Zk"), "a password is in the log");
}

#[tokio::test]
async fn tokens() {
    logs::capture();
    let server = NatsServer::with_config("authorization { token: \"t%o/k-Xw7Qj\" }");
    works(config(format!(
        "nats://t%25o%2Fk-Xw7Qj@127.0.0.1:{}",
        server.port()
    )))
    .await;
    works(BusConfig {
        token: Some("t%o/k-Xw7Qj".into()),
        ..config(server.url())
    })
    .await;
    let wrong = BusConfig {
        token: Some("wrong-Xw7Qj".into()),
        ..config(server.url())
    };
    assert_eq!(refused(wrong).await.0, ErrorKind::Unauthorized);
    assert!(!logs::text().contains("Xw7Qj"));
}

#[tokio::test]
async fn nkeys() {
    logs::capture();
    let public = public_key().await;
    let server = NatsServer::with_config(&format!(
        "authorization {{ users: [{{ nkey: {public} }}] }}"
    ));
    works(BusConfig {
        nkey_seed: Some(SEED.into()),
        ..config(server.url())
    })
    .await;
    assert_eq!(
        refused(config(server.url())).await.0,
        ErrorKind::Unauthorized
    );
    assert!(!logs::text().contains(SEED));
}

/// The public key is learnt from what a client sends: no other program is needed to compute it.
async fn public_key() -> String {
    let config = BusConfig {
        nkey_seed: Some(SEED.into()),
        ..BusConfig::default()
    };
    let connect = first_line(config).await;
    connect["nkey"].as_str().unwrap().to_owned()
}

/// What a client of this configuration sends in its CONNECT.
async fn first_line(mut config: BusConfig) -> serde_json::Value {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    config.servers = vec![format!("nats://{}", listener.local_addr().unwrap())];
    let _bus = Bus::connect(config).await.unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    let info = "INFO {\"server_id\":\"x\",\"version\":\"2.15.1\",\"nonce\":\"abc\",\"max_payload\":1024}\r\n";
    socket.write_all(info.as_bytes()).await.unwrap();
    let mut line = String::new();
    BufReader::new(socket).read_line(&mut line).await.unwrap();
    serde_json::from_str(line.strip_prefix("CONNECT ").unwrap()).unwrap()
}

#[tokio::test]
async fn creds_files() {
    logs::capture();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("user.creds");
    let line = "-----BEGIN NATS USER JWT-----\neyJ0.Jwt9Kd.x\n------END NATS USER JWT------\n\n\
                -----BEGIN USER NKEY SEED-----\nSEED\n------END USER NKEY SEED------\n";
    std::fs::write(&path, line.replace("SEED\n", &format!("{SEED}\n"))).unwrap();
    let connect = first_line(BusConfig {
        creds_file: Some(path),
        ..BusConfig::default()
    })
    .await;
    assert_eq!(connect["jwt"], "eyJ0.Jwt9Kd.x");
    assert!(connect["sig"].is_string());
    let log = logs::text();
    assert!(!log.contains(SEED) && !log.contains("Jwt9Kd"));
}

#[tokio::test]
async fn an_old_server_is_told() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    let old = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let info = "INFO {\"server_id\":\"x\",\"version\":\"2.10.26\",\"jetstream\":true,\"max_payload\":1024}\r\n";
        socket.write_all(info.as_bytes()).await.unwrap();
        let mut buffer = [0; 4096];
        while socket.read(&mut buffer).await.unwrap_or(0) > 0 {
            socket.write_all(b"PONG\r\n").await.unwrap();
        }
    });
    let bus = connected(config(url)).await;
    let stream = bus.stream(super::spec("A", "a"));
    let error = stream
        .publish(Outgoing::new("a", "x"), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(
        error.to_string().contains("2.10.26") && error.to_string().contains("2.11.0"),
        "{error}"
    );
    old.abort();
}

#[tokio::test]
async fn a_refused_subject_is_a_permission_error() {
    let server = NatsServer::with_config(
        "authorization { users: [{ user: u, password: p, permissions: { publish: { deny: [\"secret.>\"] } } },\
         { user: n, password: p, permissions: { publish: [\"ok\"], subscribe: [\"none\"] } }] }",
    );
    let at = format!("127.0.0.1:{}", server.port());
    let bus = connected(config(format!("nats://u:p@{at}"))).await;
    bus.publish(Outgoing::new("open", "x")).await.unwrap();
    for _ in 0..20 {
        let start = std::time::Instant::now();
        let error = bus
            .publish(Outgoing::new("secret.x", "x"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission);
        let error = bus
            .request(Outgoing::new("secret.x", "x"), Duration::from_secs(2))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission);
        assert!(start.elapsed() < Duration::from_millis(500));
    }
    let stream = bus.stream(super::spec("S", "secret.>"));
    let error = stream
        .publish(Outgoing::new("secret.x", "x"), None)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permission);
    let narrow = connected(config(format!("nats://n:p@{at}"))).await;
    narrow.publish(Outgoing::new("ok", "x")).await.unwrap();
    for _ in 0..2 {
        let error = narrow
            .request(Outgoing::new("ok", "x"), Duration::from_secs(1))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permission, "no answer can arrive");
    }
}

fn openssl(dir: &Path, arguments: &str) {
    let arguments = arguments.split_whitespace();
    let done = Command::new("openssl")
        .args(arguments)
        .current_dir(dir)
        .output();
    let done = done.expect("these tests need the openssl program to make certificates");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// A CA, a server certificate for 127.0.0.1 and a client certificate.
fn certificates(dir: &Path) {
    let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(
        dir,
        &format!("req -x509 {new_key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"),
    );
    std::fs::write(
        dir.join("server.ext"),
        "subjectAltName=IP:127.0.0.1,DNS:localhost\n",
    )
    .unwrap();
    std::fs::write(dir.join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
    for name in ["server", "client"] {
        openssl(
            dir,
            &format!("req {new_key} -keyout {name}.key -out {name}.csr -subj /CN={name}"),
        );
        openssl(
            dir,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile {name}.ext"
            ),
        );
    }
}

fn trusting(dir: &Path, url: String, client: bool) -> BusConfig {
    let file = |name: &str| -> Option<PathBuf> { Some(dir.join(name)) };
    let tls = Tls {
        ca: file("ca.pem"),
        cert: file("client.pem").filter(|_| client),
        key: file("client.key").filter(|_| client),
        required: false,
    };
    BusConfig { tls, ..config(url) }
}

#[tokio::test]
async fn tls_with_an_own_ca_and_client_certificates() {
    let mut server = NatsServer::stopped(
        "tls { cert_file: \"$DIR/server.pem\", key_file: \"$DIR/server.key\", ca_file: \"$DIR/ca.pem\", verify: true }",
    );
    certificates(server.dir());
    server.restart();
    let at = format!("127.0.0.1:{}", server.port());
    works(trusting(server.dir(), format!("tls://{at}"), true)).await;
    works(trusting(server.dir(), format!("nats://{at}"), true)).await;
    works(trusting(
        server.dir(),
        format!("TLS://localhost:{}", server.port()),
        true,
    ))
    .await;
    let (kind, text) = refused(trusting(server.dir(), format!("tls://{at}"), false)).await;
    assert!(
        matches!(kind, ErrorKind::Disconnected | ErrorKind::Unauthorized),
        "{text}"
    );
    // Without the CA the certificate is not trusted.
    let (kind, text) = refused(config(format!("tls://{at}"))).await;
    assert_eq!(kind, ErrorKind::Disconnected);
    assert!(text.contains("certificate"), "{text}");
}

#[tokio::test]
async fn tls_is_not_given_up() {
    let server = NatsServer::start();
    let (kind, text) = refused(config(format!("tls://127.0.0.1:{}", server.port()))).await;
    assert_eq!(kind, ErrorKind::Disconnected, "{text}");
    let mut required = config(server.url());
    required.tls.required = true;
    assert_eq!(refused(required).await.0, ErrorKind::Disconnected);
}

#[tokio::test]
async fn websockets() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = NatsServer::with_config(&format!(
        "authorization {{ token: tok }}\nwebsocket {{ host: 127.0.0.1, port: {port}, no_tls: true }}"
    ));
    assert_ne!(server.port(), port);
    works(config(format!("ws://tok@127.0.0.1:{port}"))).await;
    let bus = connected(config(format!("WS://tok@127.0.0.1:{port}/"))).await;
    let stream = bus.stream(super::spec("A", "a"));
    stream.publish(Outgoing::new("a", "x"), None).await.unwrap();
    let (kind, _) = refused(config(format!("wss://tok@127.0.0.1:{port}"))).await;
    assert_eq!(kind, ErrorKind::Disconnected);
    assert_eq!(
        refused(config(format!("ws://bad@127.0.0.1:{port}")))
            .await
            .0,
        ErrorKind::Unauthorized
    );
}

#[tokio::test]
async fn secure_websockets() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut server = NatsServer::stopped(&format!(
        "websocket {{ host: 127.0.0.1, port: {port}, tls {{ cert_file: \"$DIR/server.pem\", key_file: \"$DIR/server.key\" }} }}"
    ));
    certificates(server.dir());
    server.restart();
    works(trusting(
        server.dir(),
        format!("wss://127.0.0.1:{port}"),
        false,
    ))
    .await;
    let (kind, text) = refused(config(format!("wss://127.0.0.1:{port}"))).await;
    assert_eq!(kind, ErrorKind::Disconnected, "{text}");
}

#[tokio::test]
async fn a_list_of_servers_uses_the_one_that_is_there() {
    let server = NatsServer::with_config("authorization { user: u, password: p }");
    let bus = connected(config(format!(
        "nats://u:p@127.0.0.1:1,nats://u:p@127.0.0.1:{}",
        server.port()
    )))
    .await;
    bus.publish(Outgoing::new("x", "y")).await.unwrap();
    assert_eq!(bus.state(), State::Connected);
}
