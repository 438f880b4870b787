//! Any text as one token of a NATS subject or key, and back.
//!
//! Different texts are different tokens whether or not case counts (a durable's name is a file name): `a`-`z`, digits, `_`
//! and `-` stay, every other byte of the text's UTF-8 is `=XX`. It knows nothing of the language: queues on the bus use it
//! too, so that both mean the same token.

/// Bytes of a token for each byte of a text, at the most.
pub const GROWTH: usize = 3;

/// The token of a text; that of the empty text is empty, which no subject or key takes.
pub fn encode(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => token.push(char::from(byte)),
            other => token.push_str(&format!("={other:02X}")),
        }
    }
    token
}

/// The text that [`encode`] has made a token of; any other text as it is.
pub fn decode(token: &str) -> String {
    decoded(token)
        .filter(|text| encode(text) == token)
        .unwrap_or_else(|| token.to_owned())
}

fn decoded(token: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(token.len());
    let mut rest = token.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        if *first == b'=' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = rest.get(2..)?;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_there_and_back() {
        for (text, expected) in [
            ("code-review", "code-review"),
            ("a_1", "a_1"),
            ("A", "=41"),
            ("c++", "c=2B=2B"),
            ("c%%", "c=25=25"),
            ("ü", "=C3=BC"),
            ("a.b *>", "a=2Eb=20=2A=3E"),
            ("=41", "=3D41"),
            ("", ""),
        ] {
            assert_eq!(encode(text), expected);
            assert_eq!(decode(expected), text);
            assert!(expected.len() <= text.len() * GROWTH);
        }
        // No tokens: a wrong digit, a byte that would have stayed, a broken end, half a character.
        for other in ["A", "=4", "=", "=4g", "=61", "=2b", "=C3", "a.b", "=+1"] {
            assert_eq!(decode(other), other);
        }
    }
}
