//! Times in expressions: RFC 3339, UTC, with milliseconds.

use std::cell::RefCell;

use minijinja::value::{Value, ValueKind};
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

/// A time of the file system; absent where no RFC 3339 tells it.
pub fn of_system(time: std::time::SystemTime) -> Option<String> {
    let since = time
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .ok()?;
    let nanos = i128::try_from(since.as_nanos()).ok()?;
    written(OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?)
}

fn read(text: &Value) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text.as_str()?, &Rfc3339).ok()
}

thread_local! {
    /// The last time that was written, and its millisecond: a filter over many elements asks for the same one each time.
    static LAST: RefCell<(i128, Value)> = const { RefCell::new((i128::MIN, Value::UNDEFINED)) };
}

fn absurd() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        "this is a time beyond the years that can be written",
    )
}

/// The time so many seconds from now.
fn then(seconds: Option<f64>) -> Result<OffsetDateTime, Error> {
    Duration::checked_seconds_f64(seconds.unwrap_or_default())
        .and_then(|offset| OffsetDateTime::now_utc().checked_add(offset))
        .ok_or_else(absurd)
}

/// Whole milliseconds since 1970.
fn millis(time: OffsetDateTime) -> i128 {
    time.unix_timestamp_nanos().div_euclid(1_000_000)
}

/// `now_ms()`, `now_ms(seconds)`: milliseconds since 1970, so many seconds from now.
pub(super) fn now_ms(seconds: Option<f64>) -> Result<i64, Error> {
    i64::try_from(millis(then(seconds)?)).map_err(|_| absurd())
}

/// `now()`, `now(seconds)`: the time, so many seconds from now.
pub(super) fn now_and(seconds: Option<f64>) -> Result<Value, Error> {
    let then = then(seconds)?;
    let millisecond = millis(then);
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

/// The time so many milliseconds after 1970, in the years 0 to 9999. A part of a millisecond is left out.
fn at_ms(value: &Value) -> Option<OffsetDateTime> {
    let number = Some(value).filter(|v| v.kind() == ValueKind::Number)?;
    let number = f64::try_from(number.clone()).ok()?;
    // Far beyond what can be written, and far within what can be counted.
    let known = Some(number.trunc()).filter(|n| n.abs() < 1e15)?;
    let time = OffsetDateTime::from_unix_timestamp_nanos(known as i128 * 1_000_000).ok()?;
    Some(time).filter(|time| time.year() >= 0)
}

/// `from_ms`: absent where the value is not a number, or beyond the years that can be written.
pub(super) fn from_ms(value: &Value) -> Value {
    at_ms(value)
        .and_then(written)
        .map(Value::from)
        .unwrap_or_default()
}

/// `clock`: hours, minutes and seconds in UTC; absent where the value is not a time.
pub(super) fn clock(value: &Value) -> Value {
    let shown = read(value).or_else(|| at_ms(value)).and_then(|time| {
        let utc = time.checked_to_offset(UtcOffset::UTC)?;
        utc.format(format_description!("[hour]:[minute]:[second]"))
            .ok()
    });
    shown.map(Value::from).unwrap_or_default()
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
            assert!(now_ms(Some(absurd)).is_err(), "{absurd}");
        }
        let apart = now_ms(Some(60.0)).unwrap() - now_ms(None).unwrap();
        assert!((59_000..=60_000).contains(&apart), "{apart}");
    }

    #[test]
    fn milliseconds_are_times_too() {
        for (given, time, clock_text) in [
            (
                Value::from(1_769_847_300_123_i64),
                Some("2026-01-31T08:15:00.123Z"),
                Some("08:15:00"),
            ),
            (
                Value::from(1.9),
                Some("1970-01-01T00:00:00.001Z"),
                Some("00:00:00"),
            ),
            (
                Value::from(-1),
                Some("1969-12-31T23:59:59.999Z"),
                Some("23:59:59"),
            ),
            (
                Value::from("2026-01-31T01:15:00+02:00"),
                None,
                Some("23:15:00"),
            ),
            (Value::from(253_402_300_800_000_i64), None, None),
            (Value::from(f64::NAN), None, None),
            (Value::from(i64::MIN), None, None),
            (Value::from("5"), None, None),
            (Value::from(true), None, None),
            (Value::UNDEFINED, None, None),
        ] {
            assert_eq!(from_ms(&given).as_str(), time, "{given}");
            assert_eq!(clock(&given).as_str(), clock_text, "{given}");
        }
    }
}
