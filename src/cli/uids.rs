//! `mailferry uids`: shows and repairs what is recorded about an account.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::arguments::{Adopt, Arguments, Forget, List, Uids};
use super::confirm::confirm;
use super::output::{answer, say, stderr_line};
use super::prepare;
use crate::account::{Account, MaildirOf};
use crate::advice;
use crate::clock::time_zone;
use crate::config::Environment;
use crate::exit::ExitStatus;
use crate::ids::EntryId;
use crate::maildir::contents::{Stored, contents};
use crate::poll::adoption::{Searched, Visit};
use crate::poll::{PollContext, PollError};
use crate::pop3::{ReportedSize, UniqueId};
use crate::state::entries::{Entry, Origin, UidState};
use crate::state::error::StateError;
use crate::state::instance::random_instance;
use crate::state::orphans::instances_of_others;
use crate::state::store::{OpenOptions, Store};
use crate::text;
use crate::text::Count;
use crate::threads;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, uids: &Uids) -> ExitStatus {
    let environment = Environment::from_process();
    let names = match uids {
        Uids::List(List { accounts, .. }) => accounts.as_slice(),
        Uids::Adopt(Adopt { account, .. }) | Uids::Forget(Forget { account, .. }) => std::slice::from_ref(account),
    };
    let prepared = prepare::configuration(arguments, &environment).and_then(|config| {
        prepare::context(arguments, &environment, &config, "uids").map(|context| (config, Arc::new(context)))
    });
    let (config, context) = match prepared {
        Ok(prepared) => prepared,
        Err(e) => {
            stderr_line(super::rendered(&e));
            return ExitStatus::Config;
        }
    };
    let accounts: Vec<&Account> = match config.select(names) {
        // Accounts that are disabled may have records, too.
        Ok(_) if names.is_empty() => config.accounts.iter().collect(),
        Ok(accounts) => accounts,
        Err(e) => {
            stderr_line(format_args!("mailferry: {e}"));
            return ExitStatus::Usage;
        }
    };
    let mut status = ExitStatus::Ok;
    for account in accounts {
        let done = match uids {
            Uids::List(options) => list(&context, account, options).await,
            Uids::Adopt(options) => adopt(&context, account, options, arguments.quiet).await,
            Uids::Forget(options) => forget(&context, account, options, arguments.quiet).await,
        };
        status = status.worst(told(account, done));
    }
    status
}

/// Marks everything on the server now as fetched, without asking.
pub(super) async fn adopt_all(context: &Arc<PollContext>, account: &Account, quiet: bool) -> ExitStatus {
    let options = Adopt { account: account.name.to_string(), all: true, before: None, from_maildir: None, yes: true };
    told(account, adopt(context, account, &options, quiet).await)
}

/// An early end of the command.
enum Failed {
    /// It has been reported.
    Reported(ExitStatus),
    /// A session or the state failed.
    Poll(Box<PollError>),
    /// The request cannot be carried out.
    Usage(String),
}

impl<E> From<E> for Failed
where
    PollError: From<E>,
{
    fn from(e: E) -> Self {
        Self::Poll(Box::new(e.into()))
    }
}

fn told(account: &Account, done: Result<(), Failed>) -> ExitStatus {
    let name = &account.name;
    match done {
        Ok(()) => ExitStatus::Ok,
        Err(Failed::Reported(status)) => status,
        Err(Failed::Poll(e)) => {
            stderr_line(format_args!("{name}: {}", advice::told_without_waiting(&e, name)));
            e.exit_status()
        }
        Err(Failed::Usage(words)) => {
            stderr_line(format_args!("mailferry: {words}"));
            ExitStatus::Usage
        }
    }
}

/// Returns the options with which a state is opened on the user's request.
pub(super) fn open_options(context: &PollContext) -> OpenOptions {
    OpenOptions {
        now: context.clock.read(),
        since_1970: context.clock.since_1970(),
        instance: random_instance(),
        holder: context.holder.clone(),
        // A user who repairs a state knows if it is lost.
        new_state: true,
        must_exist: false,
        configured_accounts: Arc::clone(&context.configured_accounts),
        delivered_by: crate::delivery::delivered_by,
    }
}

/// Opens the state, locked or read-only.
async fn store(context: &Arc<PollContext>, account: &Account, locked: bool) -> Result<Store, Failed> {
    let (context, account) = (Arc::clone(context), account.clone().with_spool(&context.state_dir));
    let open = if locked { Store::open } else { Store::look };
    let opened = threads::blocking(move || {
        open(Arc::clone(&context.disk), &context.state_dir, &account, &open_options(&context))
    });
    Ok(opened.await.map_err(|e| e.doing("open the state"))??)
}

async fn list(context: &Arc<PollContext>, account: &Account, options: &List) -> Result<(), Failed> {
    let store = store(context, account, false).await?;
    if options.json {
        answer(|output| {
            store.state().entries().try_for_each(|entry| writeln!(output, "{}", json_line(account, entry)))
        });
        return Ok(());
    }
    if !store.exists() {
        say(format_args!("{}: nothing is recorded; {} does not exist", account.name, store.path().display()));
        return Ok(());
    }
    say(summary(account, store.state()));
    if !options.accounts.is_empty() {
        answer(|output| store.state().entries().try_for_each(|entry| writeln!(output, "{}", line(entry))));
    }
    Ok(())
}

fn summary(account: &Account, state: &UidState) -> String {
    let count = |origin| state.entries().filter(|entry| entry.origin == origin).count();
    let identity = state.identity();
    let parts = [
        (count(Origin::Delivered), "delivered"),
        (count(Origin::Imported), "imported"),
        (count(Origin::Trusted), "imported and trusted"),
        (count(Origin::Adopted), "adopted"),
        (state.entries().filter(|entry| entry.was_gone()).count(), "not on the server any more"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let mut words = format!(
        "{}: {} known of {} at {}",
        account.name,
        Count::of(state.len(), "message"),
        text::value(&identity.user),
        text::value(&identity.host)
    );
    parts.enumerate().for_each(|(n, part)| {
        words.push_str(if n == 0 { ": " } else { ", " });
        words.push_str(&part);
    });
    words
}

fn origin(entry: &Entry) -> &'static str {
    match entry.origin {
        Origin::Delivered => "delivered",
        Origin::Imported => "imported",
        Origin::Adopted => "adopted",
        Origin::Trusted => "trusted",
    }
}

fn place(entry: &Entry) -> &'static str {
    if entry.intent.as_ref().is_some_and(|intent| intent.spooled) {
        return "in-spool";
    }
    match (entry.intent.is_some(), entry.removed, entry.absent_since.is_some()) {
        (true, ..) => "under-way",
        (_, true, _) => "deleted",
        (_, _, true) => "absent",
        _ => "on-server",
    }
}

fn moment(entry: &Entry) -> String {
    jiff::Timestamp::from_second(entry.delivered_at).map(|time| time.to_string()).unwrap_or_default()
}

fn line(entry: &Entry) -> String {
    let size = entry.fingerprint.reported_size.map_or_else(|| "-".to_owned(), |size| size.get().to_string());
    let unique_id = entry.unique_id.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
    format!("  {}  {:<9}  {:<9}  {size:>10}  {unique_id}", moment(entry), origin(entry), place(entry))
}

fn json_line(account: &Account, entry: &Entry) -> String {
    json!({
        "account": account.name.as_str(),
        "unique_id": entry.unique_id.as_ref().map(ToString::to_string),
        "origin": origin(entry),
        "place": place(entry),
        "since": entry.delivered_at,
        "reported_size": entry.fingerprint.reported_size.map(ReportedSize::get),
        "header_known": entry.fingerprint.header.is_some(),
        "bytes_known": entry.fingerprint.whole.is_some(),
        "doubt": entry.doubt,
    })
    .to_string()
}

async fn adopt(context: &Arc<PollContext>, account: &Account, options: &Adopt, quiet: bool) -> Result<(), Failed> {
    let time = options.before.as_deref().map(start_of).transpose()?;
    let account = &account.clone().with_spool(&context.state_dir);
    let searched = match &options.from_maildir {
        None => None,
        Some(Some(path)) => {
            let stored = read_maildir(context, account, path.clone()).await?;
            Some(Searched::named(path.clone(), stored))
        }
        Some(None) => Some(read_maildirs(context, account).await?),
    };
    let store = store(context, account, true).await?;
    let mut visit = Visit::begin(context, account).await?;
    let on_server = visit.maildrop.messages.len();
    let (known, undated) = match (time, searched) {
        (Some(time), _) => visit.before(store.state(), time).await?,
        (None, Some(searched)) => (visit.in_maildirs(store.state(), searched).await?, 0),
        (None, None) => (visit.all(store.state()), 0),
    };
    visit.end().await;
    let name = &account.name;
    if undated > 0 {
        stderr_line(format_args!(
            "{name}: left as it is: {} without a date of arrival (Received)",
            Count::of(undated, "message")
        ));
    }
    // The user has said what counts as fetched: that nothing does is an answer, too, and begins a state.
    if known.is_empty() && store.exists() {
        say_unless(quiet, format!("{name}: {on_server} on the server, nothing to adopt"));
        return Ok(());
    }
    say_unless(quiet, format!("{name}: {}", what_counts(known.len(), on_server)));
    if !confirm("Proceed?", options.yes).await.map_err(Failed::Reported)? {
        return Ok(());
    }
    let (count, copy) = change(store, move |store| store.record_known(known)).await?;
    let adopted = match count {
        0 => "began a new state".to_owned(),
        count => format!("adopted {}", Count::of(count, "message")),
    };
    say_unless(quiet, format!("{name}: {adopted}{}", go_back(copy.as_deref(), account, context)));
    Ok(())
}

/// Says what happens to the messages on the server if so many of them are adopted.
fn what_counts(adopted: usize, on_server: usize) -> String {
    if adopted == 0 {
        return format!("{on_server} on the server, nothing to adopt: the next poll fetches whatever is there.");
    }
    let adopted = Count::of(adopted, "message");
    format!(
        "of {on_server} on the server, {adopted} will count as fetched: not fetched, and never deleted by mailferry."
    )
}

/// Lists the messages of all Maildirs of an account. Those beside its own are created with their first message.
async fn read_maildirs<'a>(context: &Arc<PollContext>, account: &'a Account) -> Result<Searched<'a>, Failed> {
    let spool = context.state_dir.join(account.name.spool());
    let mut maildirs = Vec::new();
    for MaildirOf { path, .. } in account.maildirs().into_iter().filter(|one| one.path != spool) {
        let stored = match read_maildir(context, account, path.to_owned()).await {
            Err(Failed::Poll(e)) if path != account.maildir && is_not_there(&e) => Vec::new(),
            read => read?,
        };
        maildirs.push((path.to_owned(), stored));
    }
    if maildirs.is_empty() {
        let words = advice::commands::uids::no_maildir(&account.name);
        return Err(Failed::Usage(words));
    }
    Ok(Searched::of_account(maildirs, &account.routing, &account.maildir))
}

/// Whether a Maildir does not exist.
fn is_not_there(e: &PollError) -> bool {
    matches!(e, PollError::Maildir { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// Lists the messages of a Maildir, except those that other accounts have delivered into it.
async fn read_maildir(context: &Arc<PollContext>, account: &Account, path: PathBuf) -> Result<Vec<Stored>, Failed> {
    let (context, account, place) = (Arc::clone(context), account.name.clone(), path.clone());
    let read = move || {
        let others = instances_of_others(&*context.disk, &context.state_dir, &account)?;
        let is_ours = |stored: &Stored| stored.instance.is_none_or(|instance| !others.contains(&instance));
        let stored = contents(&place).map(|all| all.into_iter().filter(is_ours).collect());
        Ok::<_, StateError>(stored)
    };
    let read = threads::blocking(read).await.map_err(|e| e.doing("look into the Maildir"))??;
    Ok(read.map_err(|source| PollError::Maildir { doing: "read", path, source })?)
}

/// Parses a date (its beginning) or a time into seconds since 1970.
fn start_of(text: &str) -> Result<i64, Failed> {
    let moment = text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
    let day = || {
        let day: jiff::civil::Date = text.parse().ok()?;
        Some(time_zone::of_user().to_timestamp(day.at(0, 0, 0, 0)).ok()?.as_second())
    };
    let words = || Failed::Usage(format!("`{}` is not a date; {}", text::value(text), advice::commands::uids::A_DATE));
    moment.or_else(day).ok_or_else(words)
}

async fn forget(context: &Arc<PollContext>, account: &Account, options: &Forget, quiet: bool) -> Result<(), Failed> {
    let store = store(context, account, true).await?;
    let name = &account.name;
    let (ids, missing) = match options.all {
        true => (store.state().entries().map(|entry| entry.id).collect(), Vec::new()),
        false => chosen(store.state(), &options.unique_ids),
    };
    for unique_id in &missing {
        stderr_line(format_args!("{name}: no record of {}", text::value(unique_id)));
    }
    // The next poll finishes unfinished deliveries; they can be forgotten after that.
    let is_settled = |id: &EntryId| store.state().entry(*id).is_some_and(|entry| entry.intent.is_none());
    let (ids, under_way): (Vec<EntryId>, Vec<EntryId>) = ids.into_iter().partition(is_settled);
    if !under_way.is_empty() {
        stderr_line(format_args!(
            "{name}: {} under way are kept: {}",
            Count::of(under_way.len(), "message"),
            advice::commands::uids::UNDER_WAY
        ));
    }
    let partial =
        || if missing.is_empty() && under_way.is_empty() { Ok(()) } else { Err(Failed::Reported(ExitStatus::Partial)) };
    if ids.is_empty() {
        say_unless(quiet, format!("{name}: there is nothing to forget"));
        return partial();
    }
    let count = Count::of(ids.len(), "message").to_string();
    say_unless(quiet, format!("{name}: {count} will be forgotten: those still on the server are fetched again."));
    if !confirm("Proceed?", options.yes).await.map_err(Failed::Reported)? {
        return Ok(());
    }
    let ((), copy) = change(store, move |store| store.record_forgotten(ids)).await?;
    say_unless(quiet, format!("{name}: forgot {count}{}", go_back(copy.as_deref(), account, context)));
    partial()
}

/// Returns the entries with these unique-ids, as they are displayed; and the unique-ids without an entry.
fn chosen(state: &UidState, wanted: &[String]) -> (Vec<EntryId>, Vec<String>) {
    let mut missing: HashSet<&String> = wanted.iter().collect();
    let mut ids = Vec::new();
    for entry in state.entries() {
        let Some(unique_id) = &entry.unique_id else { continue };
        let is_it = |word: &&String| {
            UniqueId::new(word.as_bytes()).as_ref() == Ok(unique_id) || **word == unique_id.to_string()
        };
        let found: Vec<&String> = wanted.iter().filter(is_it).collect();
        if !found.is_empty() {
            ids.push(entry.id);
        }
        for word in found {
            missing.remove(word);
        }
    }
    (ids, wanted.iter().filter(|word| missing.contains(word)).cloned().collect())
}

/// Copies the state, then changes it, durably.
async fn change<T: Send + 'static>(
    mut store: Store,
    change: impl FnOnce(&mut Store) -> Result<T, StateError> + Send + 'static,
) -> Result<(T, Option<PathBuf>), Failed> {
    let changed = threads::blocking(move || {
        let copy = store.back_up()?;
        let done = change(&mut store)?;
        store.finish()?;
        Ok::<_, StateError>((done, copy))
    });
    Ok(changed.await.map_err(|e| e.doing("change the state"))??)
}

/// Says how to undo a change.
fn go_back(copy: Option<&Path>, account: &Account, context: &PollContext) -> String {
    advice::commands::uids::go_back(copy, &context.state_dir.join(format!("{}.uids", account.name)))
}

fn say_unless(quiet: bool, words: String) {
    if !quiet {
        say(words);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_and_a_moment_is_one() {
        assert!(matches!(start_of("1970-01-02T00:00:00Z"), Ok(86_400)));
        assert!(start_of("2026-11-26").is_ok());
        for word in ["yesterday", "26.11.2026", ""] {
            assert!(matches!(start_of(word), Err(Failed::Usage(_))), "{word}");
        }
    }
}
