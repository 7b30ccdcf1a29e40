//! `/metrics`: the current state and the sums of all polls, in OpenMetrics or the plain text format.

use std::fmt;

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder, prometheus_text, text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::figures::{FEW, Figures, STATES};
use super::overview::class;
use crate::control::status::AccountStatus;
use crate::metrics::{Label, PollMetrics};

/// The account that a value is about, and another label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct OfAccount(String, Option<Label>);

impl EncodeLabelSet for OfAccount {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        ("account", self.0.as_str()).encode(encoder.encode_label())?;
        match &self.1 {
            Some(label) => label.encode(encoder),
            None => Ok(()),
        }
    }
}

/// Returns the text, in OpenMetrics or the plain format.
///
/// # Errors
/// Those of writing to a text, which in memory never fails.
pub(super) fn text(figures: &Figures, polls: &PollMetrics, open_metrics: bool) -> Result<String, fmt::Error> {
    let status = &figures.status;
    let mut registry = Registry::with_prefix("mailferry");
    let version = Info::new(vec![("version", status.program.clone())]);
    registry.register("build", "The program", version);
    let started: Gauge = Gauge::default();
    started.set(status.started);
    registry.register_with_unit("start_time", "When the daemon began", Unit::Seconds, started);
    sums(&mut registry, figures);
    polls.register(&mut registry);
    // Values of more accounts would overload the monitoring system.
    if figures.names.len() <= FEW {
        accounts(&mut registry, &status.accounts);
    }
    let mut page = String::new();
    if open_metrics {
        text::encode(&mut page, &registry)?;
    } else {
        prometheus_text::encode(&mut page, &registry)?;
    }
    Ok(page)
}

fn sums(registry: &mut Registry, figures: &Figures) {
    let family: Family<Label, Gauge> = Family::default();
    for (state, count) in STATES.into_iter().zip(figures.states) {
        family.get_or_create(&Label("state", class(state))).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register("accounts", "Accounts by what they are doing", family);
    let gauge = |registry: &mut Registry, name: &str, help: &str, value: usize| {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    };
    gauge(registry, "accounts_in_trouble", "Accounts that a person should look at", figures.in_trouble);
    gauge(registry, "quarantined_messages", "Messages in quarantine", figures.quarantined);
    spools(registry, figures);
    let wrong = usize::from(figures.status.config_problem.is_some());
    gauge(registry, "configuration_refused", "1 if the changed configuration has errors and is not in force", wrong);
}

/// Registers what waits to be forwarded, if any account forwards.
fn spools(registry: &mut Registry, figures: &Figures) {
    for (name, help, value) in [
        ("spooled_messages", "Messages that wait to be forwarded", figures.spooled.messages),
        ("set_aside_messages", "Messages that a destination refused for good", figures.set_aside),
    ] {
        let gauge: Gauge = Gauge::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    if let Some(oldest) = figures.oldest {
        let gauge: Gauge = Gauge::default();
        gauge.set(oldest);
        let help = "When the oldest message came that waits to be forwarded";
        registry.register_with_unit("spool_oldest_timestamp", help, Unit::Seconds, gauge);
    }
}

fn accounts(registry: &mut Registry, accounts: &[AccountStatus]) {
    let states: Family<OfAccount, Gauge> = Family::default();
    for account in accounts {
        for state in STATES {
            let of = OfAccount(account.account.clone(), Some(Label("state", class(state))));
            states.get_or_create(&of).set(i64::from(account.state == state));
        }
    }
    registry.register("account_state", "1 for what the account is doing", states);
    let mut times = |name: &str, help: &str, time: fn(&AccountStatus) -> Option<i64>| {
        let family: Family<OfAccount, Gauge> = Family::default();
        for account in accounts {
            if let Some(time) = time(account) {
                family.get_or_create(&OfAccount(account.account.clone(), None)).set(time);
            }
        }
        registry.register_with_unit(name, help, Unit::Seconds, family);
    };
    times("account_last_success_timestamp", "The last successful poll", |one| one.last_success);
    times("account_next_poll_timestamp", "The next poll", |one| one.next_poll);
    times("certificate_expiry_timestamp", "When the server's certificate expires", |one| one.certificate_expires);
}
