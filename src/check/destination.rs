//! Checks the destination that mail is forwarded to: an IMAP mailbox, an LMTP server or a command. No message is sent.

use std::sync::Arc;
use std::time::Instant;

use super::{CheckContext, Step, time};
use crate::account::{Account, AccountName, Forward, ForwardTo};
use crate::advice::next_step::check::mailbox_name;
use crate::advice::{self, Class};
use crate::exit::ExitStatus;
use crate::forward::{Probed, SetAside, look_into_spool, probe, spool_contents};
use crate::summary::in_the_spool;
use crate::text::Count;
use crate::watch;

/// Describes a server's hierarchy separator that is missing in the configured name.
fn other_separator(separator: char) -> String {
    format!("This server has {separator} between a mailbox and one below it, and this name has none")
}

/// Returns what to say about a mailbox that the server cannot have, and what to do.
fn no_such_name(forward: &Forward, account: &AccountName, said: Option<&str>, separator: Option<char>) -> String {
    let to = &forward.to;
    let said = said.map_or_else(String::new, |said| format!(": the server said \"{said}\""));
    let fact =
        format!("the login for {to} works, but no mailbox of that name can be made, so every message would wait{said}");
    match (separator, to) {
        (Some(separator), ForwardTo::Imap(imap)) => {
            let levels: Vec<&str> = imap.mailbox.split(['/', '.']).filter(|level| !level.is_empty()).collect();
            let name = levels.join(&separator.to_string());
            let fact = format!("{fact}. {}", other_separator(separator));
            advice::with_step(fact, Some(&mailbox_name(account, Some(&name))))
        }
        _ => advice::with_step(fact, Some(&mailbox_name(account, None))),
    }
}

/// Checks the destination of an account that forwards.
pub(super) async fn look(context: &CheckContext, account: &Account, steps: &mut Vec<Step>) {
    let Some(forward) = &account.forward else { return };
    let begun = Instant::now();
    let probed = probe(Arc::new(context.of_process()), account, forward).await;
    steps.extend(spool(context, account).await);
    let (to, took) = (&forward.to, time(begun.elapsed()));
    steps.push(match probed {
        Ok(Probed::Takes) => Step::ok("forward", format!("{to} can be delivered to; it answered in {took}")),
        Ok(Probed::NoSuchName { response, separator }) => {
            let told = no_such_name(forward, &account.name, response.as_deref(), separator);
            Step::fail("forward", ExitStatus::Config, &told)
        }
        Ok(Probed::NoMailboxYet { separator: Some(separator), .. }) => Step::warn(
            "forward",
            format!(
                "the login for {to} works; the mailbox is not there yet, and forwarding makes it. {}",
                other_separator(separator)
            ),
        ),
        Ok(Probed::NoMailboxYet { response: None, .. }) => {
            Step::ok("forward", format!("the login for {to} works; the mailbox is not there yet, and forwarding makes it"))
        }
        Ok(Probed::NoMailboxYet { response: Some(said), .. }) => Step::warn(
            "forward",
            format!(
                "the login for {to} works, but the mailbox cannot be opened: the server said \"{said}\". Forwarding tries to \
                 make it"
            ),
        ),
        Ok(Probed::IsThere(path)) => {
            Step::ok("forward", format!("the command {} is there; it was not run", path.display()))
        }
        Err(e) => {
            let told = advice::told_of_forwarding(&e, &account.name);
            let names_it = told.starts_with(&to.to_string());
            let told = if names_it { told } else { format!("to {to}: {told}") };
            Step::fail("forward", Class::of_forwarding(&e).exit_status(), &told)
        }
    });
}

/// Checks the spool. A message that is set aside is only forwarded if a person asks for it, as `fetch` and `status`
/// say, too.
async fn spool(context: &CheckContext, account: &Account) -> Option<Step> {
    let (disk, dir, name) = (Arc::clone(&context.disk), context.state_dir.clone(), account.name.clone());
    let looked = watch::blocking(move || spool_contents(&*disk, &dir, &name)).await;
    let (waiting, aside) = match looked {
        Ok(Ok(contents)) => contents,
        Ok(Err(e)) => return Some(Step::fail("spool", e.exit_status(), &advice::told_of_state(&e, &account.name))),
        // The check of the Maildir has reported it.
        Err(_) => return None,
    };
    let waits = in_the_spool(waiting.messages);
    let first = look_for_first(context, account).await;
    if aside.messages == 0 {
        return Some(Step::ok(
            "spool",
            if waiting.messages == 0 { "nothing waits in the spool".to_owned() } else { waits },
        ));
    }
    let told = format!(
        "{} set aside: {}. {}",
        Count(aside.messages, "message"),
        SetAside::listed(&first, aside.messages),
        advice::after_setting_aside(&account.name, &first)
    );
    Some(Step::fail("spool", ExitStatus::Partial, &told))
}

/// Reads the first few messages that are set aside, each with its reason.
async fn look_for_first(context: &CheckContext, account: &Account) -> Vec<SetAside> {
    let (disk, dir, name) = (Arc::clone(&context.disk), context.state_dir.clone(), account.name.clone());
    let looked = watch::blocking(move || look_into_spool(&*disk, &dir, &name)).await;
    looked.ok().flatten().map(|waiting| waiting.first_set_aside).unwrap_or_default()
}
