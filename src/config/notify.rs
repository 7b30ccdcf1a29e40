//! `[notify]`: what the daemon notifies of, and how.

use std::path::Path;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::duration::{Bound, duration};
use super::keys::Level;
use super::problem::Problem;
use super::secret_source::command;
use super::unknown::report_unknown;
use super::value::{InvalidValue, integer, read};
use crate::account::NotifySettings;

const LEAST: Bound = (Duration::from_secs(10 * 60), "10m");
const MOST: Bound = (Duration::from_secs(365 * 24 * 60 * 60), "365d");

/// Server certificates are valid for about a year at most.
const MOST_DAYS: u64 = 365;

/// Reads the table, if present.
pub(super) fn notify(table: Option<&DeTable<'_>>, home: Option<&Path>, problems: &mut Vec<Problem>) -> NotifySettings {
    let defaults = NotifySettings::default();
    let Some(table) = table else { return defaults };
    report_unknown(table, Level::Notify, problems);
    let command = read(table, "command", problems, |value| command(value, home, "[\"~/bin/mail-trouble\"]"));
    let no_success_for = read(table, "no_success_for", problems, period);
    let days = read(table, "certificate_days", problems, |value| {
        integer(value, 0..=MOST_DAYS, "a number of days such as 14, or 0 for never")
    });
    NotifySettings {
        command: command.value().cloned(),
        no_success_for: no_success_for.value().copied().unwrap_or(defaults.no_success_for),
        certificate_days: days.value().and_then(|days| u32::try_from(*days).ok()).unwrap_or(defaults.certificate_days),
    }
}

/// Reads a duration, or false for never.
fn period(value: &DeValue<'_>) -> Result<Option<Duration>, InvalidValue> {
    match value {
        DeValue::Boolean(false) => Ok(None),
        DeValue::Boolean(true) => {
            Err(InvalidValue::new("is true, which says not how long", "write a duration such as \"24h\", or false"))
        }
        DeValue::String(text) if matches!(text.as_ref(), "false") => {
            Err(InvalidValue::new("is a string", "write false without quotes"))
        }
        _ => duration(value, LEAST, MOST, "24h").map(Some),
    }
}
