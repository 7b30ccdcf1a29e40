//! Recognises files that are another program's configuration, or in another language altogether. One problem is
//! reported for the whole file.

use super::Span;
use super::problem::Problem;

/// Reports what the file is if it cannot be our configuration.
pub(super) fn recognise(text: &str) -> Option<Problem> {
    if text.contains('\r') && !text.contains('\n') {
        let help = "save the file with the line ends of Unix (LF), or of Windows";
        return Some(Problem::new("the lines of this file end with CR alone, as on old Macs").help(help));
    }
    let lines = || {
        text.lines().scan(0, |at, line| {
            let start = *at;
            *at += line.len() + 1;
            Some((start, line))
        })
    };
    let (start, first) = lines().find(|(_, line)| !line.trim().is_empty() && !line.trim().starts_with('#'))?;
    if lines().any(|(_, line)| line.trim_start().starts_with("[accounts")) {
        return None;
    }
    let language = match first.trim_start().chars().next()? {
        '{' => Some("JSON"),
        '<' => Some("XML"),
        _ => None,
    };
    if let Some(language) = language {
        let help = "`mailferry man 5` has examples of a configuration in TOML; `mailferry setup` writes one";
        let problem = Problem::new(format!("this file is {language}, and the configuration is TOML"));
        return Some(problem.at(&place(start, first)).help(help));
    }
    let (program, start, line) = lines().find_map(|(start, line)| Some((program_of(line)?, start, line)))?;
    let help = format!("`mailferry import {program} FILE` takes it over into a configuration of mailferry's own");
    Some(Problem::new(format!("this is a configuration of {program}")).at(&place(start, line)).help(help))
}

/// Returns the program that alone uses lines such as this one.
fn program_of(line: &str) -> Option<&'static str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["[retriever]"] => Some("getmail"),
        ["poll" | "skip", name, ..] if !name.starts_with(['=', ':']) => Some("fetchmail"),
        ["set", "daemon" | "postmaster" | "logfile" | "syslog" | "no", ..] => Some("fetchmail"),
        ["account", name, kind, ..] if name.starts_with('"') && !kind.starts_with('=') => Some("fdm"),
        ["account", name] if !name.starts_with(['=', '"', ':']) => Some("mpop"),
        _ => None,
    }
}

/// Returns the position of the first word of a line; what follows may be a password.
fn place(start: usize, line: &str) -> Span {
    let indent = line.len() - line.trim_start().len();
    let word = line.split_whitespace().next().unwrap_or_default();
    start + indent..start + indent + word.len()
}
