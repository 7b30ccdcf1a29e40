//! A log line for people: its words, and of its fields only those that the words do not hold already.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// The fields that are for machines: the words of a line say the same.
const FOR_MACHINES: [&str; 5] = ["host", "event", "cause", "new", "removed"];

/// The time by the clock and the calendar of this machine, with its distance from UTC (RFC 3339).
pub(super) struct Now;

impl FormatTime for Now {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::system());
        write!(writer, "{}", now.strftime("%FT%T%:z"))
    }
}

/// Writes the message and the fields that people want.
pub(super) struct Message;

impl<'writer> FormatFields<'writer> for Message {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line::default();
        fields.record(&mut line);
        // What has words names its account in them; a span has none.
        let account = line.account.filter(|_| line.message.is_none());
        let parts = [line.message, account, line.others];
        let mut parts = parts.into_iter().flatten();
        parts.next().map_or(Ok(()), |part| writer.write_str(&part))?;
        parts.try_for_each(|part| write!(writer, " {part}"))
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
            "account" => self.account = Some(format!("account={value:?}")),
            // Where in a library a line comes from.
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
