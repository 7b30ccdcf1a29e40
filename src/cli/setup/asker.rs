//! Asks the user questions at the terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::zeroize::Zeroizing;

use super::Ended;
use crate::advice::commands::setup as advice;
use crate::cli::wrapped::{prompt_wrapped, say_sentence, stderr_sentence};
use crate::exit::ExitStatus;
use crate::secret::Secret;
use crate::threads;

/// The maximum length of an answer, in bytes.
const LONGEST: u64 = 64 * 1024;

/// How often a question is asked if the answers cannot be understood.
const MOST_TRIES: u32 = 10;

/// Asks the user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    /// Whether there is a user to ask.
    pub(super) is_there: bool,
}

impl Asker {
    pub(super) fn new() -> Self {
        Self { is_there: io::stdin().is_terminal() }
    }

    /// Reports that nobody can be asked, and which options would give the answer.
    pub(super) fn missing(options: &[&str]) -> Ended {
        stderr_sentence(format_args!(
            "mailferry: nothing was done: there is no terminal to ask on. {}",
            advice::give(options)
        ));
        Ended(ExitStatus::Usage)
    }

    /// Asks until the answer can be parsed; an empty one means the default.
    pub(super) async fn ask<T>(
        self,
        question: &str,
        default: Option<&str>,
        option: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Ended> {
        if !self.is_there {
            return Err(Self::missing(&[option]));
        }
        for _ in 0..MOST_TRIES {
            match default {
                Some(default) => prompt_wrapped(&format!("{question} [{default}]:")),
                None => prompt_wrapped(&format!("{question}:")),
            }
            let line = line().await?;
            let answer = match (line.trim(), default) {
                ("", Some(default)) => default,
                ("", None) => continue,
                (answer, _) => answer,
            };
            match read(answer) {
                Ok(answer) => return Ok(answer),
                Err(why) => say_sentence(format_args!("  {why}")),
            }
        }
        stderr_sentence(format_args!(
            "mailferry: nothing was written: none of {MOST_TRIES} answers to \"{question}\" could be taken"
        ));
        Err(Ended(ExitStatus::Usage))
    }

    /// Asks a yes-or-no question.
    pub(super) async fn yes(self, question: &str, default: bool, option: &str) -> Result<bool, Ended> {
        let read = |answer: &str| match answer.to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(true),
            "n" | "no" => Ok(false),
            _ => Err("write yes or no".to_owned()),
        };
        self.ask(question, Some(if default { "yes" } else { "no" }), option, read).await
    }

    /// Asks for a secret, which is not echoed.
    pub(super) async fn hidden(self, question: &str, option: &str) -> Result<Secret, Ended> {
        if !self.is_there {
            return Err(Self::missing(&[option]));
        }
        for _ in 0..MOST_TRIES {
            let secret = {
                let _hidden = Hidden::begin();
                prompt_wrapped(&format!("{question} (it is not shown):"));
                secret_line().await
            };
            say_sentence("");
            let secret = secret?;
            if !secret.expose().is_empty() {
                return Ok(secret);
            }
        }
        Err(Ended(ExitStatus::Usage))
    }
}

/// Turns off the terminal's echo until dropped.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
            // Flushed: what was typed ahead has been echoed, so it is not taken as a password.
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &silent);
        }
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Reads a line from standard input.
async fn line() -> Result<String, Ended> {
    let read = threads::blocking(|| {
        let mut line = String::new();
        let read = io::stdin().lock().take(LONGEST).read_line(&mut line);
        read.ok().filter(|count| *count > 0).map(|_| line)
    });
    read.await.ok().flatten().ok_or_else(no_more)
}

/// Reads a line from standard input, unbuffered, into memory that is wiped.
pub(super) async fn secret_line() -> Result<Secret, Ended> {
    let read = threads::blocking(|| {
        let most = usize::try_from(LONGEST).unwrap_or(0);
        let mut line = Zeroizing::new(Vec::with_capacity(most));
        let mut octet = [0];
        while line.len() < most && rustix::io::read(rustix::stdio::stdin(), &mut octet) == Ok(1) && octet != *b"\n" {
            line.extend_from_slice(&octet);
        }
        let ended = line.is_empty() && octet != *b"\n";
        (!ended).then(|| Secret::new(line.strip_suffix(b"\r").unwrap_or(&line).to_vec()))
    });
    read.await.ok().flatten().ok_or_else(no_more)
}

fn no_more() -> Ended {
    stderr_sentence("\nmailferry: nothing was written: the input has ended before all was answered");
    Ended(ExitStatus::Usage)
}
