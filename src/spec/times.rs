//! Times in expressions: RFC 3339, UTC, with milliseconds.

use std::cell::RefCell;

use minijinja::value::Value;
use minijinja::{Error, ErrorKind};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Duration, OffsetDateTime, UtcOffset};

/// A time as Warp writes it: RFC 3339 in UTC with milliseconds and `Z`.
fn written(time: OffsetDateTime) -> Option<String> {
    let utc = time.checked_to_offset(UtcOffset::UTC)?;
    utc.format(format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
    ))
    .ok()
}

/// The time now.
pub fn now() -> String {
    written(OffsetDateTime::now_utc()).unwrap_or_default()
}

fn read(text: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text.as_str()?, &Rfc3339).ok()
}

thread_local! {
    /// The last time that was written, and its millisecond: a filter over many elements asks for the same one each time.
    static LAST: RefCell<(i128, Value)> = const { RefCell::new((i128::MIN, Value::UNDEFINED)) };
}

/// `now()`, `now(seconds)`: the time, so many seconds from now.
pub(super) fn now_and(seconds: Option<f64>) -> Result<Value, Error> {
    let then = Duration::checked_seconds_f64(seconds.unwrap_or_default())
        .and_then(|offset| OffsetDateTime::now_utc().checked_add(offset));
    let absurd = || {
        Error::new(
            ErrorKind::InvalidOperation,
            "`now(seconds)` is a time beyond the years that can be written",
        )
    };
    let then = then.ok_or_else(absurd)?;
    let millisecond = then.unix_timestamp_nanos().div_euclid(1_000_000);
    LAST.with_borrow_mut(|(last, text)| {
        if *last != millisecond {
            *text = written(then).map(Value::from).ok_or_else(absurd)?;
            *last = millisecond;
        }
        Ok(text.clone())
    })
}

/// `time`: the same time in UTC with milliseconds; absent where the value is not a time.
pub(super) fn time(value: &Value) -> Value {
    read(value)
        .and_then(written)
        .map(Value::from)
        .unwrap_or_default()
}

/// `age`: seconds from that time to now; absent where the value is not a time.
pub(super) fn age(value: &Value) -> Value {
    read(value)
        .map(|time| Value::from((OffsetDateTime::now_utc() - time).as_seconds_f64()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_written_in_one_way() {
        for (given, expected) in [
            ("2026-01-31T08:15:00Z", "2026-01-31T08:15:00.000Z"),
            (
                "2026-01-31T08:15:00.123456789+02:00",
                "2026-01-31T06:15:00.123Z",
            ),
        ] {
            assert_eq!(time(&Value::from(given)).as_str(), Some(expected));
        }
        for absent in [Value::from("yesterday"), Value::from(5), Value::UNDEFINED] {
            assert!(time(&absent).is_undefined() && age(&absent).is_undefined());
        }
        let now = now();
        assert_eq!(now.len(), "2026-01-31T08:15:00.000Z".len());
        assert!(now.ends_with('Z') && now.get(19..20) == Some("."));
    }

    #[test]
    fn ages_and_offsets_agree() {
        let age_of = |offset: f64| {
            let time = now_and(Some(offset)).unwrap();
            f64::try_from(age(&time)).unwrap()
        };
        assert!((179.0..190.0).contains(&age_of(-180.0)));
        assert!((-31.0..-20.0).contains(&age_of(30.0)));
        for absurd in [1e300, f64::NAN, f64::INFINITY, -1e15] {
            assert!(now_and(Some(absurd)).is_err(), "{absurd}");
        }
    }
}
