//! Shows responses for a person: control characters escaped, the password hidden.

use crate::cli::output::say;
use crate::client::{Redactor, ResponsePart};
use crate::pop3::{Command, Response, Status};
use crate::text::{Count, Size, words_in};

/// A line of a message that is longer than this, in bytes, is shown in pieces.
const PIECE: usize = 16 * 1024;

/// The format of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The numbers of STAT.
    Stat,
    /// A number and a size on each line.
    List,
    /// A number and some text on each line.
    Numbered,
    /// As received.
    Plain,
}

/// A response being received.
pub(super) struct Shown<'a> {
    form: Form,
    redactor: &'a Redactor,
    /// The incomplete last line of a message.
    line: Vec<u8>,
    refused: bool,
}

impl<'a> Shown<'a> {
    pub(super) fn new(command: &Command, redactor: &'a Redactor) -> Self {
        let form = match command {
            Command::Stat => Form::Stat,
            Command::List(_) => Form::List,
            Command::Uidl(_) => Form::Numbered,
            _ => Form::Plain,
        };
        Self { form, redactor, line: Vec::new(), refused: false }
    }

    /// Whether the server refused the command.
    pub(super) fn was_refused(&self) -> bool {
        self.refused
    }

    /// Shows a part of the response.
    pub(super) fn part(&mut self, part: &ResponsePart<'_>) {
        match part {
            ResponsePart::Response(response) => {
                self.refused = response.status == Status::Err;
                self.status(response);
            }
            ResponsePart::Line(line) => self.listed(line),
            ResponsePart::Lines(lines) => {
                let lines = lines.split_inclusive(|octet| *octet == b'\n');
                lines.for_each(|line| self.listed(line.strip_suffix(b"\r\n").unwrap_or(line)));
            }
            ResponsePart::LongLine(line) => say(format_args!("{}... (too long)", self.tame(line))),
            ResponsePart::Data(data) => self.data(data),
            ResponsePart::End => {
                if !self.line.is_empty() {
                    self.end_line();
                }
            }
        }
    }

    /// Shows the status line.
    fn status(&self, response: &Response) {
        let mut numbers = response.text.split_whitespace().map(str::parse::<u64>);
        if response.status == Status::Ok
            && self.form == Form::Stat
            && let (Some(Ok(count)), Some(Ok(octets))) = (numbers.next(), numbers.next())
        {
            let size = match octets {
                ..1024 => Count(octets, "octet").to_string(),
                _ => format!("{} ({octets} octets)", Size(octets)),
            };
            return say(format_args!("+OK {}, {size}", Count(count, "message")));
        }
        status(response, self.redactor);
    }

    /// Shows a line of a listing.
    fn listed(&self, line: &[u8]) {
        let text = self.tame(line);
        let (number, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match (self.form, number.parse::<u64>(), rest.trim().parse::<u64>()) {
            (Form::List, Ok(number), Ok(octets)) if octets < 1024 => say(format_args!("{number:>6}  {octets:>8} B")),
            (Form::List, Ok(number), Ok(octets)) => {
                say(format_args!("{number:>6}  {:>10}  {octets} octets", Size(octets).to_string()));
            }
            (Form::List | Form::Numbered, Ok(number), _) => say(format_args!("{number:>6}  {}", rest.trim())),
            _ => say(text),
        }
    }

    /// Shows a piece of a message.
    fn data(&mut self, mut data: &[u8]) {
        while let Some(end) = data.iter().position(|byte| *byte == b'\n') {
            self.line.extend(data.get(..end).unwrap_or_default());
            self.end_line();
            data = data.get(end + 1..).unwrap_or_default();
        }
        self.line.extend(data);
        if self.line.len() >= PIECE {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        say(self.tame(line.strip_suffix(b"\r").unwrap_or(&line)));
    }

    /// Makes bytes safe for a terminal and hides the password.
    fn tame(&self, bytes: &[u8]) -> String {
        self.redactor.hide(&words_in(bytes)).to_string()
    }
}

/// Shows a status line; its text is already escaped.
pub(super) fn status(response: &Response, redactor: &Redactor) {
    let sign = if response.status == Status::Ok { "+OK" } else { "-ERR" };
    let code = response.code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
    let response = redactor.response(response.clone());
    let text = response.words();
    say(format_args!("{sign}{code}{}{text}", if text.is_empty() { "" } else { " " }));
}
