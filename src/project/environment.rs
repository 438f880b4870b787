//! The environment variables, as something that can be handed in.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;

type Lookup = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// A view of environment variables: the process's own, or those of a test.
///
/// A variable set to nothing counts as not set: clients that pass `NATS_URL=""` mean just that.
pub struct Environment {
    lookup: Box<Lookup>,
}

impl Environment {
    /// The variables of this process, each read when it is asked for.
    pub fn from_process() -> Self {
        Self {
            lookup: Box::new(|name| std::env::var_os(name)),
        }
    }

    /// A variable exactly as it is, for paths.
    pub fn get_os(&self, name: &str) -> Option<OsString> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    /// A variable as text. What is not Unicode becomes U+FFFD, so that it is refused where it is used instead of
    /// passing for not set.
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_os(name)
            .map(|value| value.to_string_lossy().into_owned())
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let map: HashMap<String, OsString> = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            lookup: Box::new(move |name| map.get(name).cloned()),
        }
    }
}

/// Shows no variable: some hold passwords.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_not_set_and_nothing_is_shown() {
        let env = Environment::from_iter([("A", "hunter2"), ("B", "")]);
        assert_eq!(env.get("A").as_deref(), Some("hunter2"));
        assert_eq!(env.get("B"), None);
        assert_eq!(env.get("C"), None);
        assert!(!format!("{env:?}").contains("hunter2"));
    }

    #[test]
    fn the_process_environment_is_read() {
        // Cargo sets it for every test run.
        assert_eq!(
            Environment::from_process().get("CARGO_PKG_NAME").as_deref(),
            Some(env!("CARGO_PKG_NAME"))
        );
    }
}
