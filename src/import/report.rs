//! What became what, what has no counterpart, and what to do next, in words. No password is in it.

use std::fmt;
use std::path::Path;

use super::Found;
use super::draft::{Draft, Note, Password};
use super::take_over::{Plan, Planned};
use crate::text;
use crate::text::Count;

/// An import, done or planned.
pub struct Report<'a> {
    /// What was found, without what is in the plan.
    pub found: &'a Found,
    /// What was or would be written.
    pub plan: &'a Plan,
    /// Nothing was written.
    pub dry_run: bool,
    /// What was fetched may be deleted.
    pub trust: bool,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, plan, .. } = self;
        for planned in &plan.accounts {
            self.account(f, planned)?;
        }
        list(f, "Not taken over, because the maildrop is known:", &plan.here_already)?;
        list(f, "Not taken over:", &found.left)?;
        list(f, "Besides:", &found.general)?;
        if !found.needless.is_empty() {
            writeln!(f, "Not needed here: {}\n", shown(&found.needless.join(", ")))?;
        }
        self.next_steps(f)
    }
}

impl Report<'_> {
    fn account(&self, f: &mut fmt::Formatter<'_>, planned: &Planned) -> fmt::Result {
        let Planned { name, draft, password_file, .. } = planned;
        writeln!(f, "{name}: {}", shown(&draft.origin))?;
        for (theirs, ours) in &draft.became {
            writeln!(f, "  {} -> {}", shown(theirs), shown(ours))?;
        }
        match (&draft.password, password_file) {
            (Password::Command(_), _) => writeln!(f, "  its password -> password_command")?,
            (Password::TokenCommand(_), _) => writeln!(f, "  its token -> token_command")?,
            (Password::InClear(_), Some(file)) => {
                writeln!(f, "  its password, which stands in clear in the old file -> {} (mode 0600)", path(file))?;
            }
            (Password::Missing(why), Some(file)) => {
                writeln!(f, "  ! no password: {}. Write it into {} (mode 0600)", shown(why), path(file))?;
            }
            (_, None) => {}
        }
        if draft.forward.is_none() && draft.maildir.is_none() {
            writeln!(f, "  its mail goes into the Maildir {}", shown(&draft.goes_into(name)))?;
        }
        self.fetched(f, name.as_str(), draft)?;
        for Note { what, advice } in &draft.notes {
            writeln!(f, "  ! {}: {}", shown(what), shown(advice))?;
        }
        if !draft.needless.is_empty() {
            writeln!(f, "  not needed here: {}", shown(&draft.needless.join(", ")))?;
        }
        writeln!(f)
    }

    fn fetched(&self, f: &mut fmt::Formatter<'_>, name: &str, draft: &Draft) -> fmt::Result {
        let record = &draft.record;
        match (record.found, record.fetched.len()) {
            (true, 0) => writeln!(f, "  nothing fetched before -> the first poll fetches all that is on the server")?,
            (true, messages) => {
                let (them, their) =
                    if messages == 1 { ("it", "its header was") } else { ("them", "their headers were") };
                let fate = match self.trust {
                    true => format!("and deleted on the server as leave_on_server says, once {their} seen twice"),
                    false => format!("and mailferry never deletes {them} on the server"),
                };
                let messages = Count::of(messages, "message");
                writeln!(f, "  {messages} fetched before -> not fetched again, {fate}")?;
            }
            (false, _) => writeln!(
                f,
                "  ! nothing says what was fetched: the first poll fetches all that is on the server. To count that as \
                 fetched: {}",
                crate::command_line::this_program(&format!("uids adopt {name} --all"))
            )?,
        }
        if record.left_out > 0 {
            writeln!(
                f,
                "  left out of the record: {} without a unique-id, or of what was not fetched",
                Count::of(record.left_out, "entry")
            )?;
        }
        Ok(())
    }

    fn next_steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, plan, dry_run, .. } = self;
        let config = path(&plan.path);
        if plan.accounts.is_empty() {
            return write!(f, "There is nothing to add to {config}. Nothing was written.");
        }
        let accounts = plan.accounts.len();
        let noun = if accounts == 1 { "account" } else { "accounts" };
        match (dry_run, plan.exists) {
            (true, true) => write!(f, "Would add {accounts} {noun} to {config}. Nothing was written.")?,
            (true, false) => write!(f, "Would make {config} with {accounts} {noun}. Nothing was written.")?,
            (false, true) => write!(f, "Added {accounts} {noun} to {config}.")?,
            (false, false) => write!(f, "Made {config} with {accounts} {noun}.")?,
        }
        write!(f, "\n\nNext:")?;
        write!(f, "\n  stop {}:", found.program.name())?;
        for step in &found.switch_off {
            write!(f, "\n    {}", shown(step))?;
        }
        write!(f, "\n  see whether all is well: {}", crate::command_line::this_program("check"))?;
        write!(f, "\n  see what would be fetched: {}", crate::command_line::this_program("fetch --dry-run"))?;
        write!(
            f,
            "\n  then fetch: {}, and later: {}",
            crate::command_line::this_program("fetch"),
            crate::command_line::this_program("daemon")
        )
    }
}

fn list(f: &mut fmt::Formatter<'_>, heading: &str, notes: &[Note]) -> fmt::Result {
    if notes.is_empty() {
        return Ok(());
    }
    writeln!(f, "{heading}")?;
    for Note { what, advice } in notes {
        writeln!(f, "  ! {}: {}", shown(what), shown(advice))?;
    }
    writeln!(f)
}

fn shown(text: &str) -> String {
    text::value(text)
}

fn path(path: &Path) -> String {
    text::value(&path.to_string_lossy())
}
