//! Problems of the configuration, and how they are shown.

use std::fmt;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use textwrap::{Options, WordSplitter};

use super::Span;
use super::keys;
use super::redaction::Masked;
use crate::text;

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct ConfigError {
    /// The file; None if no file was found.
    path: Option<PathBuf>,
    /// The text of the file with its secrets masked, from which lines are shown.
    source: Option<Masked>,
    /// The problems in the order of the file. Never empty.
    problems: Vec<Problem>,
}

/// The largest number of problems shown; the others are only counted, since nobody reads so many at once.
const MOST_SHOWN: usize = 50;

/// After this many problems the rest of the file is not checked: it is hardly a configuration.
pub(super) const MOST_TOLD: usize = 1000;

/// The longest sentence about a problem, in characters. The file could make what it quotes arbitrarily long.
const LONGEST_SENTENCE: usize = 2000;

/// One problem, and what to do about it.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    message: String,
    /// The position to point at.
    place: Option<Span>,
    /// The text to write under the position.
    label: String,
    /// Another position that is involved, and the text to write under it.
    other: Option<(Span, String)>,
    /// The line number, if the text of the line cannot be shown.
    line: Option<usize>,
    /// The next step.
    help: Option<String>,
    /// A text shown below the problem, to be copied verbatim.
    below: Option<&'static str>,
}

impl Problem {
    /// Returns a problem of the file as a whole. The message must be safe to print on a terminal.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: None,
            label: String::new(),
            other: None,
            line: None,
            help: None,
            below: None,
        }
    }

    /// Points at a position in the file.
    pub(super) fn at(self, place: &Span) -> Self {
        Self { place: Some(place.clone()), ..self }
    }

    /// Points at a line whose text cannot be shown.
    pub(super) fn in_line(self, number: usize) -> Self {
        Self { line: Some(number), ..self }
    }

    /// Sets the text to write under the position.
    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    /// Points at another position as well.
    pub(super) fn also(self, place: &Span, label: impl Into<String>) -> Self {
        Self { other: Some((place.clone(), label.into())), ..self }
    }

    /// Adds a text to be copied.
    pub(super) fn below(self, text: &'static str) -> Self {
        Self { below: Some(text), ..self }
    }

    /// Adds the next step.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

/// The words by which the message of a missing key is recognised.
const MISSING: &str = " has no ";

impl Problem {
    /// The position it points at.
    pub(super) fn place(&self) -> Option<&Span> {
        self.place.as_ref()
    }

    /// Whether it reports something missing.
    pub(super) fn is_about_missing(&self) -> bool {
        self.message.contains(MISSING) || self.message.starts_with("there is no account")
    }

    /// The key reported missing; for a credential, that is `password`, whichever key would give it.
    pub(super) fn missing_key(&self) -> Option<&str> {
        let (_, key) = self.message.rsplit_once(MISSING)?;
        key.strip_prefix('`').and_then(|key| key.strip_suffix('`')).or(Some(key).filter(|key| *key == keys::PASSWORD))
    }

    /// Whether it reports an unknown key at the top of the file.
    pub(super) fn is_about_top(&self) -> bool {
        self.message.starts_with("unknown key ") && self.message.ends_with(keys::Level::Top.place().as_str())
    }

    /// The account it names, if any.
    pub(super) fn account(&self) -> Option<&str> {
        let (_, name) = self.message.split_once("account `")?;
        name.split_once('`').map(|(name, _)| name)
    }

    /// Maps its positions.
    pub(super) fn moved(self, to: impl Fn(&Span) -> Span) -> Self {
        let (place, other) = (self.place.as_ref().map(&to), self.other.map(|(place, label)| (to(&place), label)));
        Self { place, other, ..self }
    }

    /// Cuts overlong sentences.
    fn cut(self) -> Self {
        let cut = |sentence: String| text::shortened(&sentence, LONGEST_SENTENCE);
        Self { message: cut(self.message), label: cut(self.label), help: self.help.map(cut), ..self }
    }

    /// Wraps its sentences at `width` columns.
    fn wrapped(&self, width: Option<usize>) -> Self {
        let Some(width) = width else { return self.clone() };
        // The words follow the margin for line numbers and "= help: ".
        let number = 4;
        Self {
            message: in_lines(&self.message, width.saturating_sub("error: ".len())),
            help: self.help.as_ref().map(|help| in_lines(help, width.saturating_sub(number + "= help: ".len()))),
            ..self.clone()
        }
    }

    /// Removes `mark` from the message, with the number and the hyphen that follow it.
    pub(super) fn without(self, mark: &str) -> Self {
        let Some((before, rest)) = self.message.split_once(mark) else { return self };
        let rest = rest.split_once('-').map_or("", |(_, name)| name);
        let message = format!("{before}{rest}");
        Self { message, ..self }
    }
}

/// The narrowest width at which text is wrapped, in columns.
const NARROWEST: usize = 20;

/// Wraps text. What is between backticks is meant to be copied, and is kept on one line.
fn in_lines(words: &str, width: usize) -> String {
    let options = Options::new(width.max(NARROWEST)).word_splitter(WordSplitter::NoHyphenation).break_words(false);
    let quoted =
        |(place, part): (usize, &str)| if place % 2 == 1 { part.replace(' ', NO_BREAK) } else { part.to_owned() };
    let held = words.split('`').enumerate().map(quoted).collect::<Vec<_>>().join("`");
    textwrap::fill(&held, options).replace(NO_BREAK, " ")
}

/// A space at which no line is broken.
const NO_BREAK: &str = "\u{a0}";

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { path: None, source: None, problems: vec![problem] }
    }
}

impl ConfigError {
    /// The problems of a file; `source` is its masked text if the file could be read.
    pub(super) fn new(path: PathBuf, source: Option<Masked>, problems: Vec<Problem>) -> Self {
        let mut problems: Vec<Problem> = problems.into_iter().map(Problem::cut).collect();
        problems.sort_by_key(|problem| problem.place.as_ref().map(|place| place.start));
        Self { path: Some(path), source, problems }
    }

    /// The file, if one was found.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The number of problems.
    #[must_use]
    pub fn count(&self) -> usize {
        self.problems.len()
    }

    /// The first problem and its next step, without the line from the file.
    pub(crate) fn in_short(&self) -> String {
        let Some(problem) = self.problems.first() else { return String::new() };
        let message = problem.message.split_once("` ").map_or(problem.message.as_str(), |(_, rest)| rest);
        let message = if problem.message.starts_with('`') { format!("it {message}") } else { problem.message.clone() };
        match &problem.help {
            Some(help) => format!("{message}; {help}"),
            None => message,
        }
    }

    /// Whether all problems are at or after this offset of the text.
    pub(crate) fn is_behind(&self, offset: usize) -> bool {
        self.problems.iter().all(|problem| problem.place.as_ref().is_some_and(|place| place.start >= offset))
    }

    /// The problems and their next steps, without lines from the file.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let words = |problem: &Problem| match &problem.help {
            Some(help) => format!("{}; {help}", problem.message),
            None => problem.message.clone(),
        };
        self.problems.iter().take(MOST_SHOWN).map(words).collect()
    }

    /// All problems, each with its line and the next step, ending in a newline. Contains no secrets.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        self.render_within(color, None)
    }

    /// Like [`Self::render`], wrapped at `width` columns, except for paths and the beginnings of the file's own lines.
    #[must_use]
    pub fn render_within(&self, color: bool, width: Option<usize>) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = match width {
            Some(width) => renderer.term_width(width),
            None => renderer,
        };
        let path = self.path.as_ref().map(|path| text::path(path));
        let mut text = String::new();
        for problem in self.problems.iter().take(MOST_SHOWN) {
            let problem = &problem.wrapped(width);
            let group = self.group(problem, path.as_deref());
            text.push_str(&renderer.render(&[group]));
            text.push_str("\n\n");
            if let Some(below) = problem.below {
                text.push_str(&format!("{below}\n\n"));
            }
        }
        if let (Some(path), 2..) = (path, self.problems.len()) {
            let count = match self.problems.len() {
                ..=MOST_TOLD => self.problems.len().to_string(),
                _ => format!("more than {MOST_TOLD}"),
            };
            let mut summary = format!("{count} problems in {path}");
            if self.problems.len() > MOST_SHOWN {
                summary.push_str(&format!("; the first {MOST_SHOWN} are shown"));
            }
            text.push_str(&renderer.render(&[Group::with_title(Level::ERROR.primary_title(summary))]));
            text.push('\n');
        } else {
            text.pop();
        }
        text
    }

    fn group<'a>(&'a self, problem: &'a Problem, path: Option<&'a str>) -> Group<'a> {
        let mut group = Group::with_title(Level::ERROR.primary_title(problem.message.as_str()));
        match (&self.source, &problem.place, path) {
            (Some(source), Some(place), Some(path)) => {
                group = pointing(group, source, place, &problem.label, AnnotationKind::Primary, path);
                if let Some((other, label)) = &problem.other {
                    group = pointing(group, source, other, label, AnnotationKind::Context, path);
                }
            }
            (_, _, Some(path)) => {
                let origin = Origin::path(path);
                group = group.element(match problem.line {
                    Some(number) => origin.line(number),
                    None => origin,
                });
            }
            (_, _, None) => {}
        }
        match &problem.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }
}

/// Points at a position in its line. Only that line is passed on, so no other can be shown; for a line that is too
/// long, only its number.
fn pointing<'a>(
    group: Group<'a>,
    source: &'a Masked,
    place: &Span,
    label: &'a str,
    kind: AnnotationKind,
    path: &'a str,
) -> Group<'a> {
    let place = source.place_of(place);
    let (cut, line) = source.line(&place);
    let number = source.line_number(place.start);
    let Some(line) = line else { return group.element(Origin::path(path).line(number)) };
    let span = place.start.saturating_sub(cut)..place.end.saturating_sub(cut).min(line.len());
    let label = Some(label).filter(|label| !label.is_empty());
    group.element(Snippet::source(line).path(path).line_start(number).annotation(kind.span(span).label(label)))
}

/// Formats a warning with its file and line.
pub(super) fn warning(path: &Path, source: &Masked, place: &Span, text: &str) -> String {
    let line = source.line_number(source.place_of(place).start);
    format!("{}:{line}: {text}", text::path(path))
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for ConfigError {}
