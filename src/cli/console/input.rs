//! Lines from a terminal, with editing and a history in memory, or from a pipe.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

/// No command is longer, in bytes (RFC 2449, section 4: 255 octets).
const LONGEST: u64 = 1024;

/// What was read.
pub(super) enum Line {
    /// A line, without its end.
    Text(String),
    /// The user took it back.
    Again,
    /// There is no more.
    End,
}

/// Where commands come from.
pub(super) struct Input {
    /// None for a pipe, and where the terminal cannot be edited on.
    editor: Option<DefaultEditor>,
}

impl Input {
    pub(super) fn new() -> Self {
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        Self { editor: if terminal { DefaultEditor::new().ok() } else { None } }
    }

    /// Whether somebody sits there.
    pub(super) fn is_terminal(&self) -> bool {
        self.editor.is_some()
    }

    /// The next line. Blocks. The input comes back, so that it can be moved to a thread.
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

    /// Keeps a line that was understood for the arrow keys. What was not may be a password in the wrong place.
    pub(super) fn remember(&mut self, line: &str) {
        if let Some(editor) = &mut self.editor {
            // Without a history there is none.
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
