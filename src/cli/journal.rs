//! Log lines as entries of the journal, in its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>). A thread
//! of its own sends them: a journal that takes nothing stops nothing else.

use std::fmt::{self, Debug, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use rustix::net::{SendFlags, SocketAddrUnix, sendto};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::log_writer::LogWriter;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// The maximum size of a field's value, in bytes; the rest is cut off. What journald takes of a line (`LineMax=`), and
/// far less than a datagram may have.
const MOST_OF_A_FIELD: usize = 48 << 10;

static WRITER: LogWriter = LogWriter::new();

/// Writes log lines to the journal.
pub(super) struct Journal<T> {
    /// Takes a complete entry.
    take: T,
}

/// Begins to write to the journal.
///
/// # Errors
/// There is no journal, or no thread for it.
pub(super) fn begin() -> io::Result<Journal<impl Fn(&[u8])>> {
    let socket = UnixDatagram::unbound()?;
    // It ignores an entry without fields, but somebody must listen.
    match sendto(&socket, &[], SendFlags::DONTWAIT | SendFlags::NOSIGNAL, &SocketAddrUnix::new(SOCKET)?) {
        Ok(_) | Err(rustix::io::Errno::AGAIN) => {}
        Err(e) => return Err(e.into()),
    }
    // Blocks while the journal has no room. An entry that it refuses cannot be reported anywhere.
    WRITER.start("journal", Vec::new(), move |entry| {
        while socket.send_to(entry, SOCKET).is_err_and(|e| e.kind() == io::ErrorKind::Interrupted) {}
    })?;
    Ok(Journal { take: |entry: &[u8]| _ = WRITER.add(entry) })
}

/// Waits for the journal at the end of the process: see [`LogWriter::finish`].
pub(super) fn finish(timeout: Duration) {
    WRITER.finish(timeout);
}

/// Fields in the format of the journal. They keep their names, so that `journalctl ACCOUNT=work` finds them.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    /// Appends a field, in the form that can hold every value. Its name is adapted: capitals, digits and underscores.
    fn put(&mut self, name: &str, value: &str) {
        let value = if value.len() > MOST_OF_A_FIELD { beginning(value) } else { value };
        let name = name.bytes().map(|byte| if byte == b'.' { b'_' } else { byte.to_ascii_uppercase() });
        let fits = |&byte: &u8| byte == b'_' || byte.is_ascii_alphanumeric();
        self.0.extend(name.skip_while(|&byte| byte == b'_').filter(fits));
        self.0.push(b'\n');
        self.0.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'\n');
    }

    /// Appends where a line or a span is in the source.
    fn put_place(&mut self, metadata: &Metadata<'_>, prefix: &str) {
        self.put(&format!("{prefix}TARGET"), metadata.target());
        if let Some(file) = metadata.file() {
            self.put(&format!("{prefix}CODE_FILE"), file);
        }
        if let Some(line) = metadata.line() {
            self.put(&format!("{prefix}CODE_LINE"), &line.to_string());
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), &shown(value).unwrap_or_default());
    }
}

/// Returns at most [`MOST_OF_A_FIELD`] of a value, cut between characters.
fn beginning(value: &str) -> &str {
    (0..=MOST_OF_A_FIELD).rev().find_map(|end| value.get(..end)).unwrap_or_default()
}

/// Like `format!("{value:?}")`, but a value that cannot be formatted is no panic.
fn shown(value: &dyn Debug) -> Result<String, fmt::Error> {
    let mut text = String::new();
    write!(text, "{value:?}")?;
    Ok(text)
}

/// Returns the priority (syslog(3)).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "5",
        Level::DEBUG => "6",
        Level::TRACE => "7",
    }
}

impl<S, T> Layer<S> for Journal<T>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    T: Fn(&[u8]) + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        fields.put("SPAN_NAME", span.name());
        fields.put_place(span.metadata(), "SPAN_");
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut entry = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                entry.0.extend_from_slice(&fields.0);
            }
        }
        entry.put("PRIORITY", priority(*event.metadata().level()));
        entry.put_place(event.metadata(), "");
        entry.put("SYSLOG_IDENTIFIER", "mailferry");
        event.record(&mut entry);
        (self.take)(&entry.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    /// Takes an entry apart, as journald does.
    fn fields_of(mut entry: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while !entry.is_empty() {
            let (name, rest) = entry.split_at(entry.iter().position(|&byte| byte == b'\n').unwrap());
            let (size, rest) = rest[1..].split_at(8);
            let size = usize::try_from(u64::from_le_bytes(size.try_into().unwrap())).unwrap();
            let (value, rest) = rest.split_at(size);
            assert_eq!(rest[0], b'\n');
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            fields.push((text(name), text(value)));
            entry = &rest[1..];
        }
        fields
    }

    /// Returns the entries that something logs.
    fn logged(log: impl FnOnce()) -> Vec<Vec<(String, String)>> {
        let (sender, entries) = channel();
        let take = move |entry: &[u8]| _ = sender.send(entry.to_vec());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Journal { take }), log);
        entries.try_iter().map(|entry| fields_of(&entry)).collect()
    }

    #[test]
    fn an_entry_has_the_fields_of_its_line_and_of_its_spans() {
        let entries = logged(|| {
            let span = tracing::info_span!("poll", account = "work", messages = tracing::field::Empty);
            let _within = span.enter();
            span.record("messages", 3);
            tracing::warn!(event = "trouble", host = %"pop.example.org", new = 7, odd.name = true, "two\nlines");
        });
        let [fields] = &entries[..] else { panic!("{entries:?}") };
        let of =
            |name: &str| fields.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect();
        for (name, value) in [
            ("SPAN_NAME", "poll"),
            ("SPAN_TARGET", module_path!()),
            ("ACCOUNT", "work"),
            ("MESSAGES", "3"),
            ("PRIORITY", "4"),
            ("TARGET", module_path!()),
            ("CODE_FILE", file!()),
            ("SYSLOG_IDENTIFIER", "mailferry"),
            ("EVENT", "trouble"),
            ("HOST", "pop.example.org"),
            ("NEW", "7"),
            ("ODD_NAME", "true"),
            ("MESSAGE", "two\nlines"),
        ] {
            let found: Vec<&str> = of(name);
            assert_eq!(found, [value], "{name}");
        }
    }

    #[test]
    fn levels_are_priorities() {
        let entries = logged(|| {
            tracing::error!("a");
            tracing::info!("b");
            tracing::debug!("c");
            tracing::trace!("d");
        });
        let priorities: Vec<_> =
            entries.iter().flatten().filter(|(name, _)| name == "PRIORITY").map(|(_, value)| value.as_str()).collect();
        assert_eq!(priorities, ["3", "5", "6", "7"]);
    }

    #[test]
    fn a_long_message_is_cut_between_characters_and_fits_into_a_datagram() {
        let long = "é".repeat(1 << 20);
        let entries = logged(|| tracing::warn!("x{long}"));
        let message = &entries[0].iter().find(|(name, _)| name == "MESSAGE").unwrap().1;
        assert_eq!(message.len(), MOST_OF_A_FIELD - 1);
        let (socket, _other) = UnixDatagram::pair().unwrap();
        socket.send(message.as_bytes()).unwrap();
    }
}
