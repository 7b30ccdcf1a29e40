//! Parses what was typed. PURE.

use crate::advice::commands::console::NotSent;
use crate::pop3::{Command, MessageNumber};

/// How many lines of a body TOP shows by default.
const LINES: u32 = 10;

/// What a line asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// Show the commands.
    Help,
    /// Send the command and show the response.
    Send(Command),
    /// Mark a message as deleted.
    Delete(MessageNumber),
    /// End the session; the marked messages are deleted.
    Quit,
}

/// Lists the commands, within 60 columns.
pub(super) fn help() -> &'static str {
    "\
STAT          how many messages, how many octets
LIST [N]      the size of each message, or of message N
UIDL [N]      the unique-id of each, or of message N
TOP N [L]     the header and L lines (10) of message N
RETR N        the whole of message N
DELE N        mark message N; it is deleted at QUIT
RSET          remove all marks
NOOP          keep the session alive
CAPA          what the server can do
QUIT          delete what is marked, and end
Ctrl-D        end, and delete nothing"
}

impl Request {
    /// Parses a line. None if it is blank.
    pub(super) fn read(line: &str) -> Result<Option<Self>, NotSent> {
        let mut words = line.split_whitespace();
        let Some(name) = words.next().filter(|word| !word.starts_with('#')) else { return Ok(None) };
        let arguments: Vec<&str> = words.collect();
        let name = name.to_ascii_uppercase();
        let number = || number(&name, arguments.first().copied());
        let optional = || arguments.first().map(|_| number()).transpose();
        let (request, most) = match name.as_str() {
            "HELP" | "?" => (Self::Help, 0),
            "STAT" => (Self::Send(Command::Stat), 0),
            "LIST" => (Self::Send(Command::List(optional()?)), 1),
            "UIDL" => (Self::Send(Command::Uidl(optional()?)), 1),
            "RETR" => (Self::Send(Command::Retr(number()?)), 1),
            "TOP" => {
                let lines = match arguments.get(1) {
                    None => LINES,
                    Some(lines) => lines.parse().map_err(|_| NotSent::NoLines)?,
                };
                (Self::Send(Command::Top { number: number()?, lines }), 2)
            }
            "DELE" => (Self::Delete(number()?), 1),
            "NOOP" => (Self::Send(Command::Noop), 0),
            "RSET" => (Self::Send(Command::Rset), 0),
            "CAPA" => (Self::Send(Command::Capa), 0),
            "QUIT" | "EXIT" => (Self::Quit, 0),
            // The line is not repeated: a password may follow the command.
            "USER" | "PASS" | "AUTH" | "APOP" | "STLS" => {
                return Err(NotSent::LoggedIn);
            }
            _ => return Err(NotSent::Unknown),
        };
        if arguments.len() > most {
            return Err(NotSent::TooManyWords(name));
        }
        Ok(Some(request))
    }
}

fn number(name: &str, word: Option<&str>) -> Result<MessageNumber, NotSent> {
    let number = word.and_then(|word| word.parse().ok()).and_then(MessageNumber::new);
    number.ok_or_else(|| NotSent::NoNumber(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::commands::console::not_sent;

    fn read(line: &str) -> String {
        match Request::read(line) {
            Ok(None) => "nothing".to_owned(),
            Ok(Some(Request::Send(command))) => command.to_string(),
            Ok(Some(other)) => format!("{other:?}"),
            Err(wrong) => not_sent(&wrong),
        }
    }

    #[test]
    fn commands_are_read_as_people_type_them() {
        for (line, expected) in [
            ("", "nothing"),
            ("  # a comment", "nothing"),
            ("stat", "STAT"),
            (" List\t3 ", "LIST 3"),
            ("uidl", "UIDL"),
            ("top 3", "TOP 3 10"),
            ("TOP 3 0", "TOP 3 0"),
            ("retr 1\r\n", "RETR 1"),
            ("capa", "CAPA"),
            ("quit", "Quit"),
            ("?", "Help"),
        ] {
            assert_eq!(read(line), expected, "{line}");
        }
        for (line, words) in [
            ("retr", "RETR takes the number"),
            ("dele 0", "DELE takes the number"),
            ("dele x", "DELE takes the number"),
            ("top 1 x", "a number of lines"),
            ("stat 1", "too many words"),
            ("retr 1 2", "too many words"),
            ("fetch", "unknown command"),
            ("pass hunter2", "logged in already"),
        ] {
            assert!(read(line).contains(words) && !read(line).contains("hunter2"), "{line}: {}", read(line));
        }
    }

    #[test]
    fn the_help_fits_into_sixty_columns() {
        assert!(help().lines().all(|line| line.chars().count() <= 60));
    }
}
