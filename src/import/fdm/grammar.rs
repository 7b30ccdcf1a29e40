//! The tokens of an `fdm.conf`, and the statements that they form. PURE.

use crate::config::nearest;

/// A token of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word without quotes.
    Word(String),
    /// A string in quotes.
    Text(String),
    /// `{`
    Open,
    /// `}`
    Close,
}

/// A statement: its tokens, and the line where it begins.
pub(super) struct Statement {
    pub(super) tokens: Vec<Token>,
    pub(super) line: usize,
}

/// Words that begin a statement.
const BEGINNINGS: [&str; 9] = ["set", "account", "action", "match", "cache", "include", "ifdef", "ifndef", "endif"];

/// Words that may begin a line: of statements, accounts, actions, conditions and settings.
const WORDS: [&str; 81] = [
    "account",
    "accounts",
    "action",
    "actions",
    "add-header",
    "add-to-cache",
    "age",
    "all",
    "and",
    "any-name",
    "any-size",
    "any-type",
    "append",
    "attachment",
    "cache",
    "case",
    "compress",
    "continue",
    "count",
    "disabled",
    "drop",
    "endif",
    "exec",
    "expire",
    "folder",
    "folders",
    "from",
    "group",
    "groups",
    "ifdef",
    "ifndef",
    "imap",
    "imaps",
    "in",
    "in-cache",
    "include",
    "insecure",
    "keep",
    "key",
    "maildir",
    "maildirs",
    "match",
    "matched",
    "mbox",
    "mboxes",
    "new-only",
    "nntp",
    "nntps",
    "no-apop",
    "no-cram-md",
    "no-login",
    "no-plain",
    "no-uidl",
    "no-verify",
    "not",
    "old-only",
    "or",
    "pass",
    "pipe",
    "pop",
    "pops",
    "port",
    "remove-from-cache",
    "remove-header",
    "remove-headers",
    "returns",
    "rewrite",
    "server",
    "set",
    "size",
    "smtp",
    "starttls",
    "stdin",
    "stdout",
    "string",
    "tag",
    "tagged",
    "unmatched",
    "user",
    "users",
    "value",
];

/// Splits a text into tokens, each with its line. The error is the line of a quote that is not closed.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, usize> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    let mut line = 1;
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            c if c.is_whitespace() || c == ',' => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            '{' => tokens.push((Token::Open, line)),
            '}' => tokens.push((Token::Close, line)),
            quote @ ('"' | '\'') => {
                let (begins, mut text) = (line, String::new());
                loop {
                    match chars.next().ok_or(begins)? {
                        c if c == quote => break,
                        '\\' if quote == '"' => match chars.next().ok_or(begins)? {
                            'n' => text.push('\n'),
                            't' => text.push('\t'),
                            'r' => text.push('\r'),
                            '\n' => line += 1,
                            other => text.push(other),
                        },
                        c => {
                            line += usize::from(c == '\n');
                            text.push(c);
                        }
                    }
                }
                tokens.push((Token::Text(text), begins));
            }
            '=' => tokens.push((Token::Word("=".to_owned()), line)),
            first => {
                let mut word = String::from(first);
                while let Some(c) = chars.next_if(|c| !c.is_whitespace() && !"{}\"'=,".contains(*c)) {
                    word.push(c);
                }
                // `${name}` outside quotes.
                tokens.push((Token::Word(word), line));
            }
        }
    }
    Ok(tokens)
}

/// Looks for a line that begins with a word that fdm does not have. The error does not contain the word itself.
pub(super) fn misspelt(tokens: &[(Token, usize)]) -> Result<(), (usize, String)> {
    let mut last_line = 0;
    for (token, line) in tokens {
        let is_first = std::mem::replace(&mut last_line, *line) != *line;
        let Token::Word(word) = token else { continue };
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_word = !letters.is_empty() && letters.chars().all(|c| c.is_ascii_alphabetic() || c == '-');
        if is_first && is_word && !WORDS.contains(&letters) {
            let meant = nearest(letters, WORDS.into_iter());
            let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            return Err((*line, format!("this line begins with a word that fdm does not have{meant}")));
        }
    }
    Ok(())
}

/// Words that follow the name of an account or an action in its definition, but not in a rule.
const KINDS: [&str; 24] = [
    "add-header",
    "add-to-cache",
    "append",
    "disabled",
    "drop",
    "exec",
    "imap",
    "imaps",
    "keep",
    "maildir",
    "maildirs",
    "mbox",
    "mboxes",
    "nntp",
    "nntps",
    "pipe",
    "pop3",
    "pop3s",
    "remove-header",
    "rewrite",
    "smtp",
    "stdin",
    "tag",
    "write",
];

/// Groups tokens into statements: a statement extends to the next word that begins one.
pub(super) fn statements(tokens: Vec<(Token, usize)>) -> Vec<Statement> {
    let mut statements: Vec<Statement> = Vec::new();
    let mut depth = 0_usize;
    let begins: Vec<bool> = (0..tokens.len()).map(|at| may_begin(tokens.get(at..).unwrap_or_default())).collect();
    for ((token, line), may_begin) in tokens.into_iter().zip(begins) {
        let last = statements.last().map(|statement| (statement.kind(), statement.tokens.last()));
        let begins = match &token {
            Token::Word(word) if depth == 0 => match last {
                None => true,
                // A rule mentions accounts and actions, too.
                Some(("match", before)) => {
                    let is_spoken_of = matches!(before, Some(Token::Word(before)) if ["match", "and", "or", "not"].contains(&before.as_str()));
                    may_begin && !(is_spoken_of && word == "account")
                }
                // `new-only cache "..."` is part of an account.
                Some(("account", Some(Token::Word(before)))) if before.ends_with("-only") => false,
                Some((kind, _)) => may_begin || (kind != "match" && BEGINNINGS.contains(&word.as_str())),
            },
            _ => false,
        };
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        match statements.last_mut() {
            Some(statement) if !begins => statement.tokens.push(token),
            _ => statements.push(Statement { tokens: vec![token], line }),
        }
    }
    statements
}

/// Whether a statement may begin here, by the words that follow.
fn may_begin(tokens: &[(Token, usize)]) -> bool {
    let word = |at: usize| match tokens.get(at) {
        Some((Token::Word(word), _)) => Some(word.as_str()),
        _ => None,
    };
    let Some(first) = word(0) else { return false };
    match first {
        "account" | "action" => {
            let kind = word(2).filter(|kind| KINDS.contains(kind) || matches!(*kind, "user" | "users"));
            kind.is_some() || (first == "action" && matches!(tokens.get(2), Some((Token::Open, _))))
        }
        name if name.starts_with(['$', '%']) => word(1) == Some("="),
        other => BEGINNINGS.contains(&other),
    }
}

impl Statement {
    pub(super) fn kind(&self) -> &str {
        match self.tokens.first() {
            Some(Token::Word(word)) => word,
            _ => "",
        }
    }

    pub(super) fn has(&self, wanted: &str) -> bool {
        self.tokens.iter().any(|token| matches!(token, Token::Word(word) if word == wanted))
    }

    /// Returns the text or word that follows a word.
    pub(super) fn behind(&self, wanted: &str) -> Option<&str> {
        let at = self.tokens.iter().position(|token| matches!(token, Token::Word(word) if word == wanted))?;
        match self.tokens.get(at + 1)? {
            Token::Word(text) | Token::Text(text) => Some(text),
            Token::Open | Token::Close => None,
        }
    }
}
