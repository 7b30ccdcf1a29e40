//! Formats a log line for people: the account, the message, and those fields that the message does not already contain.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope, SpanRef};

use super::layout::{Layout, Mark, Row};
use super::terminal::width_of;
use super::wrapped::lines_of;
use crate::clock::time_zone;

/// The fields that are for machines only: the message says the same.
const FOR_MACHINES: [&str; 5] = ["host", "event", "cause", "new", "removed"];

/// The local time with its UTC offset (RFC 3339).
pub(super) struct Now;

impl FormatTime for Now {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = jiff::Timestamp::now().to_zoned_datetime(time_zone::of_user());
        write!(writer, "{}", now.strftime("%FT%T%:z"))
    }
}

/// Writes the message and the fields that are for people.
pub(super) struct Message;

impl<'writer> FormatFields<'writer> for Message {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line::default();
        fields.record(&mut line);
        // The message of an event names its account; a span has no message.
        let account = line.account.filter(|_| line.message.is_none());
        let parts = [line.message, account, line.others];
        let mut parts = parts.into_iter().flatten();
        parts.next().map_or(Ok(()), |part| writer.write_str(&part))?;
        parts.try_for_each(|part| write!(writer, " {part}"))
    }
}

/// Whose log lines they are.
pub(super) enum Lines {
    /// A daemon's: each has its level, and the time unless the journal adds it.
    Daemon {
        /// Whether lines have the time.
        timed: bool,
    },
    /// A command's, for a user who waits for it: `work: what is wrong` about an account, as in its reports, and
    /// `mailferry: what is wrong` about anything else; lines of -v are without a prefix.
    Command,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        let colour = writer.has_ansi_escapes();
        let words = words(context, event)?;
        match self {
            Self::Daemon { timed } => {
                if *timed {
                    Now.format_time(&mut writer)?;
                    writer.write_char(' ')?;
                }
                let (begin, end) = if colour { (colour_of(level), "\x1b[0m") } else { ("", "") };
                writeln!(writer, "{begin}{level:>5}{end} {words}")
            }
            Self::Command if level <= Level::WARN => {
                let account = words.split_once(": ").map(|(account, _)| account.len() + 1);
                let row = match account.filter(|_| is_about_an_account(context, event)) {
                    Some(marked) => Row { marked, ..Row::plain(words, HANGING) },
                    None => Row { marked: PROGRAM.len(), ..Row::plain(format!("{PROGRAM} {words}"), HANGING) },
                };
                let row = Row { mark: Mark::Failure, ..row };
                let layout = Layout { width: width_of(&std::io::stderr()), colour };
                lines_of(&row, layout).iter().try_for_each(|line| writeln!(writer, "{line}"))
            }
            Self::Command => writeln!(writer, "{words}"),
        }
    }
}

/// Whether an event is about one account: it has it as a field, or happened in the span of one.
fn is_about_an_account<S, N>(context: &FmtContext<'_, S, N>, event: &Event<'_>) -> bool
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    let mut line = Line::default();
    event.record(&mut line);
    let has_account = |span: SpanRef<'_, S>| span.metadata().fields().field("account").is_some();
    line.account.is_some() || context.event_scope().into_iter().flatten().any(has_account)
}

/// How a line about a problem begins that is not about one account.
const PROGRAM: &str = "mailferry:";

/// The hanging indent of wrapped lines, in columns.
const HANGING: usize = 4;

/// Returns the accounts of the surrounding spans and the message.
fn words<S, N>(context: &FmtContext<'_, S, N>, event: &Event<'_>) -> Result<String, fmt::Error>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    let mut words = String::new();
    for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
        if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
            write!(words, "{fields}: ")?;
        }
    }
    let mut said = String::new();
    context.format_fields(Writer::new(&mut said), event)?;
    // The daemon's messages name the account themselves.
    if said.starts_with(&words) { Ok(said) } else { Ok(words + &said) }
}

/// Returns the colour of a level on a terminal (ECMA-48, SGR).
fn colour_of(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

#[derive(Default)]
struct Line {
    message: Option<String>,
    account: Option<String>,
    others: Option<String>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = Some(format!("{value:?}")),
            "account" => self.account = Some(format!("{value:?}")),
            // Where in a library a line comes from is not for people.
            name if FOR_MACHINES.contains(&name) || name.starts_with("log.") => {}
            name => {
                let others = self.others.get_or_insert_default();
                let blank = if others.is_empty() { "" } else { " " };
                // Writing to a string cannot fail.
                let _ = write!(others, "{blank}{name}={value:?}");
            }
        }
    }
}
