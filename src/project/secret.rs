//! Credentials: kept out of everything that is shown.

use std::fmt;

use serde::Deserialize;

/// A text that may hold credentials, such as a NATS URL. It shows itself nowhere.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a text into keeping.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: for connecting only, never for a log or a message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new("nats://u:hunter2@h");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert_eq!(secret.expose(), "nats://u:hunter2@h");
    }
}
