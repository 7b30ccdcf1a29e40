//! What waits in the spools if no daemon runs, and why: read from disk when asked.

use std::path::Path;

use serde_json::json;

use crate::account::Account;
use crate::account_record::stamp;
use crate::advice;
use crate::cli::prepare::Alone;
use crate::cli::scheduled::destination::Known;
use crate::clock::trusted_time::ClockReading;
use crate::control::status::{Forwarding, VERSION};
use crate::disk::RealDisk;
use crate::forward::{Waiting, look_into_spool};

/// Returns the accounts that forward, or have something in a spool although they do not or are disabled, each with its
/// spool. Blocks.
pub(super) fn of(alone: &Alone, names: &[String], clock: ClockReading) -> Vec<(Account, Forwarding)> {
    let accounts = alone.config.select(names).unwrap_or_default();
    let disabled = alone.config.accounts.iter().filter(|account| names.is_empty() && !account.enabled);
    let config = stamp(&alone.config.path);
    let shown = |account: &Account| {
        let there = look_into_spool(&RealDisk, &alone.state_dir, &account.name);
        let has_some = there.as_ref().is_some_and(|waiting| waiting.in_all() > 0);
        let is_shown = has_some || account.enabled && account.forward.is_some();
        let known = || match account.forward {
            Some(_) if account.enabled => Known::read(&RealDisk, &alone.state_dir, account, &config, clock),
            _ => Known::default(),
        };
        is_shown.then(|| (account.clone(), forwarding(account, there, known(), &alone.state_dir, clock.wall)))
    };
    accounts.into_iter().chain(disabled).filter_map(shown).collect()
}

/// Returns what there is to show about an account: what is in its spool, and what the last run or daemon saved of why.
fn forwarding(account: &Account, there: Option<Waiting>, known: Known, state_dir: &Path, now: i64) -> Forwarding {
    let counted = there.is_some().then_some(now);
    let waiting = there.unwrap_or_default();
    let Known { why, next_try, is_spool_full } = if waiting.messages > 0 { known } else { Known::default() };
    let (since, why) = why.unzip();
    let why = match (account.enabled, &account.forward) {
        _ if waiting.in_all() == 0 => why,
        (_, None) => Some(advice::told_of_stranded(&waiting.stranded(state_dir, &account.name), &account.name)),
        (false, Some(_)) => Some("the account is disabled".to_owned()),
        (true, Some(_)) => why,
    };
    let to = account.forward.as_ref().map_or_else(|| "nowhere any more".to_owned(), |forward| forward.to.to_string());
    Forwarding {
        to,
        running: false,
        counted,
        messages: waiting.messages,
        octets: waiting.octets,
        oldest: waiting.oldest,
        why,
        since,
        next_try,
        forwarded: 0,
        last_forwarded: None,
        set_aside: waiting.set_aside,
        first_set_aside: waiting.first_set_aside,
        spool_full: is_spool_full,
        stranded: account.forward.is_none(),
    }
}

/// Returns the document for scripts: that of a daemon, as far as it is known.
pub(super) fn document(spools: &[(Account, Forwarding)], config: &Path, state_dir: &Path, now: i64) -> String {
    let account = |(account, forward): &(Account, Forwarding)| json!({ "account": account.name.as_str(), "host": account.endpoint.host, "forward": forward });
    let document = json!({
        "version": VERSION,
        "program": env!("CARGO_PKG_VERSION"),
        "pid": null,
        "now": now,
        "config": config.display().to_string(),
        "state_dir": state_dir.display().to_string(),
        "accounts": spools.iter().map(account).collect::<Vec<_>>(),
    });
    // Plain values can always be serialised.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}
