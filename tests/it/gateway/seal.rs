//! What one gateway has sealed is opened by another, and by nobody for anything else.

use std::time::Duration;

use jacquard::gateway::seal::{Seal, SealError};

use crate::bus::bus;
use crate::support::server::NatsServer;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn replicas_open_what_another_has_sealed() {
    let server = NatsServer::start();
    let (one, other) = (
        Seal::new(&bus(&server).await),
        Seal::new(&bus(&server).await),
    );
    let text = r#"{"next": 2, "names": {"password": "ünï"}}"#;
    let sealed = one.seal(text, b"tools/call add", HOUR).await.unwrap();
    assert!(!sealed.contains("password"), "{sealed}");
    assert_eq!(other.open(&sealed, b"tools/call add").await.unwrap(), text);
    // The other one seals with the same key.
    let back = other.seal("x", b"", HOUR).await.unwrap();
    assert_eq!(one.open(&back, b"").await.unwrap(), "x");
    assert_eq!(
        sealed.rsplit('.').next(),
        back.rsplit('.').next(),
        "one key for both"
    );
}

#[tokio::test]
async fn what_was_changed_moved_or_is_too_old_is_not_opened() {
    let server = NatsServer::start();
    let seal = Seal::new(&bus(&server).await);
    let sealed = seal.seal("payload", b"this call", HOUR).await.unwrap();
    let refused = async |text: &str, bound: &[u8]| {
        let refused = seal.open(text, bound).await.unwrap_err();
        assert!(matches!(refused, SealError::Tampered), "{text}: {refused}");
    };
    refused(&sealed, b"another call").await;
    refused(&format!("{sealed}x"), b"this call").await;
    refused("", b"this call").await;
    refused("v4.local.AAAA.AAAA", b"this call").await;
    for at in [10, sealed.len() / 2, sealed.len() - 3] {
        let mut changed = sealed.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        refused(&String::from_utf8(changed).unwrap(), b"this call").await;
    }
    let old = seal.seal("payload", b"", Duration::ZERO).await.unwrap();
    assert!(matches!(
        seal.open(&old, b"").await.unwrap_err(),
        SealError::Expired
    ));
}

#[tokio::test]
async fn without_nats_only_a_known_key_is_used() {
    let mut server = NatsServer::start();
    let (known, unknown) = (
        Seal::new(&bus(&server).await),
        Seal::new(&bus(&server).await),
    );
    let sealed = known.seal("x", b"", HOUR).await.unwrap();
    server.kill();
    assert_eq!(known.open(&sealed, b"").await.unwrap(), "x");
    known.seal("y", b"", HOUR).await.unwrap();
    for refused in [
        unknown.open(&sealed, b"").await,
        unknown.seal("y", b"", HOUR).await,
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, SealError::Unavailable(_)), "{refused}");
    }
}
