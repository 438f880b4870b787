//! Numbers, sizes, time spans and picks, where a spec may have an expression for them.

use std::fmt::Display;
use std::time::Duration;

use minijinja::value::Value;

use crate::catalog::Templates;
use crate::engine::failure::{Failure, FailureKind};
use crate::spec::data::Map;
use crate::spec::tree::{
    Flag, Pause, Size, Span, Tree, Whole, parse_seconds, parse_size, parse_span,
};

/// Reads numbers, sizes and time spans that may be expressions.
pub struct Reader<'a> {
    /// The compiled texts.
    pub templates: &'a Templates,
    /// The names in force.
    pub context: &'a Value,
}

impl Reader<'_> {
    fn number<N: TryFrom<i64>>(&self, key: &str, value: &Value) -> Result<N, Failure> {
        i64::try_from(value.clone())
            .ok()
            .and_then(|n| N::try_from(n).ok())
            .ok_or_else(|| out_of_range(key, value, "a whole number in its range"))
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for anything else.
    pub fn whole<N: TryFrom<i64>>(
        &self,
        key: &str,
        whole: Option<&Whole>,
    ) -> Result<Option<N>, Failure> {
        whole
            .map(|whole| {
                let value = self.templates.tree(&whole.0, self.context)?;
                self.number(key, &value)
            })
            .transpose()
    }

    /// A whole number from 1 to `most`.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for anything else.
    pub fn count<N: TryFrom<i64> + From<u8> + PartialOrd + Display>(
        &self,
        key: &str,
        whole: Option<&Whole>,
        most: N,
    ) -> Result<Option<N>, Failure> {
        let given = self.whole(key, whole)?;
        match given {
            Some(given) if given < N::from(1) || given > most => Err(Failure::new(
                FailureKind::Range,
                format!("`{key}` is {given}, and must be from 1 to {most}"),
            )),
            given => Ok(given),
        }
    }

    /// Yes or no; no when not given.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for anything else.
    pub fn flag(&self, key: &str, flag: Option<&Flag>) -> Result<bool, Failure> {
        let Some(flag) = flag else { return Ok(false) };
        let value = self.templates.tree(&flag.0, self.context)?;
        bool::try_from(value.clone()).map_err(|_| out_of_range(key, &value, "true or false"))
    }

    /// A size in bytes.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for anything else.
    pub fn size<N: TryFrom<i64>>(
        &self,
        key: &str,
        size: Option<&Size>,
    ) -> Result<Option<N>, Failure> {
        size.map(|size| {
            let value = self.templates.tree(&size.0, self.context)?;
            match value.as_str() {
                Some(text) => parse_size(text)
                    .and_then(|n| i64::try_from(n).ok())
                    .and_then(|n| N::try_from(n).ok())
                    .ok_or_else(|| out_of_range(key, &value, "a size such as 64KiB")),
                None => self.number(key, &value),
            }
        })
        .transpose()
    }

    /// A time span.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for anything else.
    pub fn span(&self, key: &str, span: Option<&Span>) -> Result<Option<Duration>, Failure> {
        span.map(|span| {
            let value = self.templates.tree(&span.0, self.context)?;
            value
                .as_str()
                .and_then(parse_span)
                .ok_or_else(|| out_of_range(key, &value, "a time span such as 500ms, 30s or 24h"))
        })
        .transpose()
    }

    /// A number of seconds, or a time span.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for anything else.
    pub fn pause(&self, key: &str, pause: &Pause) -> Result<Duration, Failure> {
        let value = self.templates.tree(&pause.0, self.context)?;
        let given = match value.as_str() {
            Some(text) => parse_span(text),
            None => f64::try_from(value.clone()).ok().and_then(parse_seconds),
        };
        let wanted = "a number of seconds or a time span such as 500ms";
        given.ok_or_else(|| out_of_range(key, &value, wanted))
    }

    /// A time span of at most `most`.
    ///
    /// # Errors
    /// [`FailureKind::Range`] for anything else.
    pub fn span_within(
        &self,
        key: &str,
        span: Option<&Span>,
        most: Duration,
    ) -> Result<Option<Duration>, Failure> {
        match self.span(key, span)? {
            Some(given) if given > most => Err(Failure::new(
                FailureKind::Range,
                format!("`{key}` is {given:?}, and must be at most {most:?}"),
            )),
            given => Ok(given),
        }
    }
}

fn out_of_range(key: &str, value: &Value, wanted: &str) -> Failure {
    Failure::new(
        FailureKind::Range,
        format!("`{key}` is {value}, and must be {wanted}"),
    )
}

/// The values of `with:`.
///
/// # Errors
/// Whatever its expressions run into.
pub fn with_values(
    templates: &Templates,
    with: Option<&Map<Tree>>,
    context: &Value,
) -> Result<Vec<(String, Value)>, Failure> {
    with.into_iter()
        .flat_map(Map::iter)
        .map(|(key, tree)| Ok((key.to_owned(), templates.tree(tree, context)?)))
        .collect()
}
