//! Where mail goes on to: an IMAP mailbox, an LMTP server or a command. No message is sent.

use std::sync::Arc;
use std::time::Instant;

use super::{CheckContext, Step, time};
use crate::account::Account;
use crate::advice::{self, Class};
use crate::forward::{Probed, probe};

/// Looks at the destination of an account that forwards.
pub(super) async fn look(context: &CheckContext, account: &Account, steps: &mut Vec<Step>) {
    let Some(forward) = &account.forward else { return };
    let begun = Instant::now();
    let probed = probe(Arc::new(context.of_process()), account, forward).await;
    let (to, took) = (&forward.to, time(begun.elapsed()));
    steps.push(match probed {
        Ok(Probed::Takes) => Step::ok("forward", format!("{to} can be delivered to; it answered in {took}")),
        Ok(Probed::NoMailboxYet { separator: Some(separator), .. }) => Step::warn(
            "forward",
            format!(
                "the login for {to} works; the mailbox is not there yet. This server has {separator} between a mailbox and \
                 one below it, and this name has none"
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
