//! Reads lines from a terminal, with editing and a history in memory, or from a pipe.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

/// The maximum length of a line, in bytes. Commands are shorter (RFC 2449, section 4: 255 octets).
const LONGEST: u64 = 1024;

/// The result of reading a line.
pub(super) enum Line {
    /// A line, without its end.
    Text(String),
    /// The user cancelled the line.
    Again,
    /// The end of the input.
    End,
}

/// The source of commands.
pub(super) struct Input {
    /// None for a pipe, and for a terminal on which lines cannot be edited.
    editor: Option<DefaultEditor>,
}

impl Input {
    pub(super) fn new() -> Self {
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        Self { editor: if terminal { DefaultEditor::new().ok() } else { None } }
    }

    /// Whether a user types at a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        self.editor.is_some()
    }

    /// Reads the next line. Blocks. Takes and returns the input, so that it can be moved to a thread.
    pub(super) fn line(mut self, prompt: String) -> (Self, Line) {
        let line = match &mut self.editor {
            Some(editor) => match editor.readline(&prompt) {
                Ok(line) => Line::Text(line),
                Err(ReadlineError::Interrupted) => Line::Again,
                Err(_) => Line::End,
            },
            None => from_pipe(),
        };
        (self, line)
    }

    /// Adds a line to the history. Only for lines that were understood: any other may be a password typed in the wrong
    /// place.
    pub(super) fn remember(&mut self, line: &str) {
        if let Some(editor) = &mut self.editor {
            // If it cannot be added, the user does without.
            let _ = editor.add_history_entry(line);
        }
    }
}

fn from_pipe() -> Line {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(LONGEST).read_until(b'\n', &mut bytes);
    match read {
        Ok(0) | Err(_) => Line::End,
        Ok(_) => Line::Text(String::from_utf8_lossy(&bytes).into_owned()),
    }
}
