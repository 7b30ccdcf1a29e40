//! Says what became what, what has no counterpart, and what to do next. Never contains a password.

use std::fmt;
use std::path::Path;

use super::Found;
use super::common::{Kind, Line, Section, take_common};
use super::draft::{Draft, Note, Password, own_maildir};
use super::take_over::{Plan, Planned};
use crate::text;
use crate::text::Count;

/// The report on an import, done or planned.
pub(crate) struct Report<'a> {
    /// What was found, apart from the accounts in the plan.
    pub found: &'a Found,
    /// What was or will be written.
    pub plan: &'a Plan,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Whether messages fetched by the other program may be deleted.
    pub trust: bool,
    /// Whether messages on the server count as fetched if nothing says which ones were.
    pub mark_existing: bool,
    /// The command line that does what a dry run shows.
    pub command: &'a str,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, plan, .. } = self;
        let (common, accounts) = self.sections();
        common.iter().try_for_each(|section| tell(f, section, false))?;
        accounts.iter().try_for_each(|section| tell(f, section, accounts.len() > FEW))?;
        list(f, "Not taken over, because the maildrop is known:", &plan.here_already)?;
        list(f, "Not taken over:", &found.left)?;
        list(f, "Also:", &found.general)?;
        if !found.needless.is_empty() {
            writeln!(f, "Not needed here: {}\n", shown(&found.needless.join(", ")))?;
        }
        self.done(f)
    }
}

/// What to do after an import; empty if there was nothing to add.
pub(crate) struct NextSteps<'a>(pub &'a Report<'a>);

impl fmt::Display for NextSteps<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        if report.plan.accounts.is_empty() {
            return Ok(());
        }
        let (common, accounts) = report.sections();
        // With few accounts nothing in the report is overlooked.
        let to_do: Vec<&Section> = common.iter().chain(&accounts).filter(|one| !one.to_do().is_empty()).collect();
        report.next_steps(f, if accounts.len() > FEW { &to_do } else { &[] })
    }
}

/// Up to this many accounts are seen at a glance.
const FEW: usize = 2;

/// The placeholder for an account's name in text about several accounts.
const ACCOUNT: &str = "ACCOUNT";

/// Writes a section. `briefly` puts what became what on one line.
fn tell(f: &mut fmt::Formatter<'_>, section: &Section, briefly: bool) -> fmt::Result {
    match section.origin.as_str() {
        "" => writeln!(f, "Of {}:", section.name)?,
        origin => writeln!(f, "{}: {origin}", section.name)?,
    }
    let mut needless = Vec::new();
    let became = section.lines.iter().filter(|line| line.kind == Kind::Became).map(|line| line.own.as_str());
    let became: Vec<&str> = became.collect();
    if !became.is_empty() {
        writeln!(f, "  {}", became.join(if briefly { "; " } else { "\n  " }))?;
    }
    for Line { kind, own, .. } in &section.lines {
        match kind {
            Kind::Became => {}
            Kind::Mentioned => writeln!(f, "  {own}")?,
            Kind::ToDo(_) => writeln!(f, "  ! {own}")?,
            Kind::Needless => needless.push(own.as_str()),
        }
    }
    if !needless.is_empty() {
        writeln!(f, "  not needed here: {}", needless.join(", "))?;
    }
    writeln!(f)
}

impl Report<'_> {
    /// Returns the sections on several accounts, and those on single ones.
    fn sections(&self) -> (Vec<Section>, Vec<Section>) {
        let mut accounts: Vec<Section> = self.plan.accounts.iter().map(|planned| self.account(planned)).collect();
        let common = take_common(&mut accounts);
        (common, accounts)
    }

    fn account(&self, planned: &Planned) -> Section {
        let Planned { name, draft, .. } = planned;
        let told = |words: String| Line::new(Kind::Mentioned, words);
        let became = draft.became.iter();
        let mut lines: Vec<Line> = became
            .map(|(theirs, ours)| Line::new(Kind::Became, format!("{} -> {}", shown(theirs), shown(ours))))
            .collect();
        lines.extend(password(planned));
        if draft.forward.is_none() && draft.maildir.is_none() {
            let into = |maildir: &str| format!("its mail goes into the Maildir {}", shown(maildir));
            let (own, of_several) = (into(&draft.goes_into(name)), into(&own_maildir(ACCOUNT)));
            lines.push(Line { kind: Kind::Mentioned, own, of_several });
        }
        lines.push(self.fetched(name.as_str(), draft));
        if draft.record.left_out > 0 {
            let entries = Count::of(draft.record.left_out, "entry");
            lines.push(told(format!(
                "left out of the record: {entries} without a unique-id, or of what was not fetched"
            )));
        }
        let notes = draft.notes.iter().map(|Note { what, advice }| {
            Line::new(Kind::ToDo(shown(what)), format!("{}: {}", shown(what), shown(advice)))
        });
        lines.extend(notes);
        lines.extend(draft.needless.iter().map(|what| Line::new(Kind::Needless, shown(what))));
        Section { name: name.to_string(), origin: shown(&draft.origin), lines }
    }

    /// Says which messages were fetched before, and what happens to them.
    fn fetched(&self, name: &str, draft: &Draft) -> Line {
        let record = &draft.record;
        let program = self.found.program.name();
        let words = match record.fetched.len() {
            0 if record.found => {
                "nothing fetched before -> the first poll fetches all that is on the server".to_owned()
            }
            0 if draft.is_unfetched() => format!(
                "{program} deleted what it had fetched, so what is on the server is new -> the first poll fetches it"
            ),
            0 if self.mark_existing && self.dry_run => {
                "nothing says what was fetched -> what is on the server would count as fetched".to_owned()
            }
            0 if self.mark_existing => {
                "nothing says what was fetched -> what is on the server now counts as fetched".to_owned()
            }
            0 => return lost(name),
            messages => {
                let (them, their) =
                    if messages == 1 { ("it", "its header was") } else { ("them", "their headers were") };
                let fate = match self.trust {
                    true => format!("and deleted on the server as leave_on_server says, once {their} seen twice"),
                    false => format!("and mailferry never deletes {them} on the server"),
                };
                let messages = Count::of(messages, "message");
                format!("{messages} fetched before -> not fetched again, {fate}")
            }
        };
        Line::new(Kind::Mentioned, words)
    }

    /// Says what was or would be written.
    fn done(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, dry_run, .. } = self;
        let config = path(&plan.path);
        if plan.accounts.is_empty() {
            return write!(f, "There is nothing to add to {config}. Nothing was written.");
        }
        let accounts = plan.accounts.len();
        let noun = if accounts == 1 { "account" } else { "accounts" };
        match (dry_run, plan.exists) {
            (true, true) => write!(f, "Would add {accounts} {noun} to {config}. Nothing was written."),
            (true, false) => write!(f, "Would make {config} with {accounts} {noun}. Nothing was written."),
            (false, true) => write!(f, "Added {accounts} {noun} to {config}."),
            (false, false) => write!(f, "Made {config} with {accounts} {noun}."),
        }
    }

    fn next_steps(&self, f: &mut fmt::Formatter<'_>, to_do: &[&Section]) -> fmt::Result {
        let Self { found, plan, dry_run, .. } = self;
        write!(f, "Next:")?;
        if *dry_run {
            let them = if plan.accounts.len() == 1 { "it" } else { "them" };
            write!(f, "\n  take {them} over: {}", self.command)?;
        }
        if !to_do.is_empty() {
            write!(f, "\n  deal with the items marked ! above:")?;
        }
        for (what, names) in by_what(to_do) {
            write!(f, "\n    {what}: {}", names.join(", "))?;
        }
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

/// Groups what has to be done, each with the names of the accounts.
fn by_what<'a>(sections: &[&'a Section]) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for (what, name) in sections.iter().flat_map(|one| one.to_do().into_iter().map(|what| (what, one.name.as_str()))) {
        match all.iter_mut().find(|(there, _)| *there == what) {
            Some((_, names)) if names.last() == Some(&name) => {}
            Some((_, names)) => names.push(name),
            None => all.push((what, vec![name])),
        }
    }
    all
}

/// Says where the password comes from.
fn password(planned: &Planned) -> Option<Line> {
    let Planned { name, draft, password_file, .. } = planned;
    let usual = format!("{name}.password");
    // A file with another name is reported by itself.
    let of_several = |file: &Path| match file.file_name().is_some_and(|there| there == usual.as_str()) {
        true => path(&file.with_file_name(format!("{ACCOUNT}.password"))),
        false => path(file),
    };
    let line = |kind: Kind, file: &Path, words: &dyn Fn(String) -> String| Line {
        kind,
        own: words(path(file)),
        of_several: words(of_several(file)),
    };
    match (&draft.password, password_file) {
        (Password::Command(_), _) => Some(Line::new(Kind::Mentioned, "its password -> password_command")),
        (Password::TokenCommand(_), _) => Some(Line::new(Kind::Mentioned, "its token -> token_command")),
        (Password::InClear(_), Some(file)) => Some(line(Kind::Mentioned, file, &|file| {
            format!("its password, in clear text in the old file -> {file} (mode 0600)")
        })),
        (Password::Missing(why), Some(file)) => Some(line(Kind::ToDo("no password".to_owned()), file, &|file| {
            format!("no password: {}. Write it into {file} (mode 0600)", shown(why))
        })),
        (_, None) => None,
    }
}

/// Says that nothing shows which messages on the server the other program has fetched.
fn lost(name: &str) -> Line {
    const WHAT: &str = "nothing says what was fetched";
    let words = |name: &str| {
        let adopt = crate::command_line::this_program(&format!("uids adopt {name} --all"));
        format!("{WHAT}: the first poll fetches all that is on the server. To count that as fetched: {adopt}")
    };
    Line { kind: Kind::ToDo(WHAT.to_owned()), own: words(name), of_several: words(ACCOUNT) }
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
