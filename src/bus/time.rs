//! Times as NATS writes them.

use std::time::{SystemTime, UNIX_EPOCH};

/// RFC 3339 in UTC with nanoseconds. Times before 1970 are taken as 1970, those after 9999 as its
/// last second: NATS has no messages there.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs().min(253_402_300_799);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days, in eras of 400 years that begin in March (Howard Hinnant's algorithm).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:09}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60,
        since.subsec_nanos()
    )
}

/// The same without zeros at the end, as the server writes the times of stored messages.
pub(super) fn rfc3339_short(time: SystemTime) -> String {
    let text = rfc3339(time);
    let short = text.trim_end_matches('Z').trim_end_matches('0');
    format!("{}Z", short.trim_end_matches('.'))
}

/// RFC 3339 in UTC with milliseconds, for people and for records.
pub(super) fn millis(time: SystemTime) -> String {
    let mut text = rfc3339(time);
    // `.123456789Z`
    text.truncate(text.len().saturating_sub(7));
    text.push('Z');
    text
}

/// Nanoseconds since 1970 of an RFC 3339 text; `None`: it is none, or earlier.
pub(super) fn nanos_of(text: &str) -> Option<u64> {
    use ::time::{OffsetDateTime, format_description::well_known::Rfc3339};
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_times() {
        for (seconds, nanos, text) in [
            (0, 0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.000000001Z"),
            (1_709_251_199, 999_999_999, "2024-02-29T23:59:59.999999999Z"),
            (1_735_689_599, 0, "2024-12-31T23:59:59.000000000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::new(seconds, nanos)), text);
        }
        assert_eq!(
            rfc3339(UNIX_EPOCH - Duration::from_secs(1)),
            "1970-01-01T00:00:00.000000000Z"
        );
    }

    #[test]
    fn texts_are_read_and_shortened() {
        let time = UNIX_EPOCH + Duration::new(951_782_400, 123_456_789);
        assert_eq!(millis(time), "2000-02-29T00:00:00.123Z");
        for (nanos, text) in [
            (120_000_000, "2000-02-29T00:00:00.12Z"),
            (0, "2000-02-29T00:00:00Z"),
            (1, "2000-02-29T00:00:00.000000001Z"),
        ] {
            let time = UNIX_EPOCH + Duration::new(951_782_400, nanos);
            assert_eq!(rfc3339_short(time), text);
        }
        assert_eq!(nanos_of(&rfc3339(time)), Some(951_782_400_123_456_789));
        assert_eq!(
            nanos_of("2000-02-29T01:00:00.1+01:00"),
            Some(951_782_400_100_000_000)
        );
        for odd in ["", "tomorrow", "1969-01-01T00:00:00Z"] {
            assert_eq!(nanos_of(odd), None, "{odd}");
        }
    }
}
