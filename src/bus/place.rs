//! What a consumer says of a message that it gives.

use super::message::{Bytes, listed};
use super::read::Stored;
use super::time::rfc3339_short;
use std::time::{Duration, UNIX_EPOCH};

/// What the reply subject of a message says of it.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    /// In the stream.
    pub(super) seq: u64,
    /// Of this consumer.
    pub(super) consumer_seq: u64,
    /// When it was stored, since 1970.
    nanos: u64,
    /// Matching messages that follow.
    pub(super) pending: u64,
}

impl Place {
    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<consumer seq>.<time>.<pending>`, or with domain and account before
    /// the stream, and a token at the end.
    pub(super) fn read(reply: &str) -> Option<Self> {
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let numbers = match tokens.len() {
            7 => tokens.get(3..7)?,
            9.. => tokens.get(5..9)?,
            _ => return None,
        };
        let number = |index: usize| numbers.get(index)?.parse().ok();
        Some(Self {
            seq: number(0)?,
            consumer_seq: number(1)?,
            nanos: number(2)?,
            pending: number(3)?,
        })
    }

    /// The message as it is stored.
    pub(super) fn stored(&self, message: &async_nats::Message) -> Stored {
        Stored {
            seq: self.seq,
            time: rfc3339_short(UNIX_EPOCH + Duration::from_nanos(self.nanos)),
            subject: message.subject.to_string(),
            headers: listed(message.headers.as_ref(), |_| true),
            // The message is a part of a larger buffer, which must not be kept as long as this.
            payload: Bytes::copy_from_slice(&message.payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_message_is_read() {
        let place = Some(Place {
            seq: 12,
            consumer_seq: 3,
            nanos: 99,
            pending: 4,
        });
        for reply in [
            "$JS.ACK.S.c.1.12.3.99.4",
            "$JS.ACK._.hash.S.c.1.12.3.99.4",
            "$JS.ACK.hub.hash.S.c.1.12.3.99.4.token",
        ] {
            assert_eq!(Place::read(reply), place, "{reply}");
        }
        for odd in [
            "",
            "_INBOX.x",
            "$JS.ACK.S.c.1.12.3.99",
            "$JS.ACK.S.c.1.x.3.99.4",
        ] {
            assert_eq!(Place::read(odd), None, "{odd}");
        }
    }
}
