//! Times as options have them, and as people and programs read them.

use std::time::Duration;
#[cfg(feature = "sqlite")]
use std::time::SystemTime;

use crate::failure::Failure;

/// A whole number and a unit.
pub(crate) fn parse_age(option: &str, text: &str) -> Result<Duration, Failure> {
    let seconds = |unit| match unit {
        "s" => Some(1),
        "m" => Some(60),
        "h" => Some(60 * 60),
        "d" => Some(24 * 60 * 60),
        "w" => Some(7 * 24 * 60 * 60),
        _ => None,
    };
    let (number, unit) =
        text.split_at(text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len());
    let age = number.parse::<u64>().ok().and_then(|number| number.checked_mul(seconds(unit)?));
    age.map(Duration::from_secs)
        .ok_or_else(|| Failure::usage(format!("{option} is a whole number and s, m, h, d or w, such as 26h")))
}

/// Seconds since 1970, for programs.
#[cfg(feature = "sqlite")]
pub(crate) fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Unix seconds as `2026-11-22 05:50:11 UTC`.
#[cfg(feature = "sqlite")]
pub(crate) fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    // Years begin in March here, so that the day that some have and others have not is the last one.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// How long something lasted, roughly.
#[cfg(feature = "sqlite")]
pub(crate) fn roughly(age: Duration) -> String {
    let minutes = age.as_secs() / 60;
    match minutes {
        0..60 => crate::names::counted(usize::try_from(minutes).unwrap_or(0), "minute"),
        60..2880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}
