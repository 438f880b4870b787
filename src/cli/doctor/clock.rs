//! This machine's clock and the server's.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::finding::{Findings, Subject};

/// From how many seconds on a difference is told: leases and timers of several machines are then visibly apart.
const ODD: f64 = 5.0;
/// From how many seconds on it does not work: an agent whose sign of life is a minute old counts as gone.
const WRONG: f64 = 60.0;

/// By how many seconds the server's clock is ahead of this machine's; `None` for what is no time.
pub fn ahead(server: &str, here: SystemTime) -> Option<f64> {
    let server = OffsetDateTime::parse(server, &Rfc3339).ok()?;
    Some((server - OffsetDateTime::from(here)).as_seconds_f64())
}

/// Says what a difference of that many seconds means. The answer was `slow` seconds on its way, which may be part of it.
pub fn judge(ahead: Option<f64>, slow: f64, findings: &mut Findings) {
    let Some(ahead) = ahead else {
        let text =
            "the server's clock cannot be asked: this user may not, and no stream is there yet";
        return findings.ok(Subject::Clock, text);
    };
    let apart = (ahead.abs() - slow).max(0.0);
    if apart < ODD {
        let text = "this machine and the NATS server agree within a few seconds";
        return findings.ok(Subject::Clock, text);
    }
    let way = if ahead < 0.0 { "ahead of" } else { "behind" };
    let text = format!("this machine's clock is {apart:.0} s {way} that of the NATS server");
    let advice =
        "set the clocks by NTP (`timedatectl set-ntp true`, or the time service of the system)";
    if apart < WRONG {
        findings.warn(Subject::Clock, text, advice);
    } else {
        let text = format!(
            "{text}: agents with a sign of life of less than {WRONG:.0} s ago may count as gone"
        );
        findings.error(Subject::Clock, text, advice);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_difference_is_told_by_its_size() {
        let told = |ahead, slow| {
            let mut findings = Findings::default();
            judge(ahead, slow, &mut findings);
            findings.text(false)
        };
        assert!(told(Some(0.4), 0.0).contains("1 ok, 0 warning(s), 0 error(s)"));
        assert!(told(Some(-4.9), 0.0).contains("1 ok"));
        assert!(
            told(Some(7.0), 3.0).contains("1 ok"),
            "a slow answer is no wrong clock"
        );
        let text = told(Some(-12.0), 0.0);
        assert!(
            text.contains("warning  this machine's clock is 12 s ahead of"),
            "{text}"
        );
        let text = told(Some(3600.0), 0.1);
        assert!(
            text.contains("error    this machine's clock is 3600 s behind"),
            "{text}"
        );
        assert!(told(None, 0.0).contains("cannot be asked"));
    }

    #[test]
    fn the_servers_time_is_read() {
        let here = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(ahead("2001-09-09T01:46:42.5Z", here), Some(2.5));
        assert_eq!(ahead("2001-09-09T03:46:30+02:00", here), Some(-10.0));
        assert_eq!(ahead("soon", here), None);
    }
}
