//! Parses files with sections and keys like Python's `RawConfigParser`, and the Python values in them. PURE.

/// A section, with its keys in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// The text in the brackets.
    pub(super) name: String,
    /// Keys, values and lines; the last one of a key counts.
    keys: Vec<(String, String, usize)>,
}

/// The number of a line that cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Odd(pub(super) usize);

impl Section {
    /// Returns the value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.keys.iter().rev().find(|(name, ..)| name == key).map(|(_, value, _)| value.as_str())
    }

    /// Iterates over all keys, each once.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        let is_last = |at: usize, key: &str| !self.keys.iter().skip(at + 1).any(|(later, ..)| later == key);
        self.keys.iter().enumerate().filter(move |(at, (key, ..))| is_last(*at, key)).map(|(_, (key, ..))| key.as_str())
    }
}

/// Parses a file.
pub(super) fn parse(text: &str) -> Result<Vec<Section>, Odd> {
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t'])
            && let Some((_, value, _)) = sections.last_mut().and_then(|section| section.keys.last_mut())
        {
            value.push('\n');
            value.push_str(trimmed);
        } else if let Some((name, _)) = trimmed.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            sections.push(Section { name: name.trim().to_owned(), keys: Vec::new() });
        } else {
            let (key, value) = trimmed.split_once(['=', ':']).ok_or(Odd(number))?;
            let section = sections.last_mut().ok_or(Odd(number))?;
            section.keys.push((key.trim().to_ascii_lowercase(), value.trim().to_owned(), number));
        }
    }
    Ok(sections)
}

/// Whether a value means yes. None if it means neither yes nor no.
pub(super) fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Parses the strings in a Python tuple such as `("pass", 'show', r"x", )`. None if it is something else.
pub(super) fn strings(value: &str) -> Option<Vec<String>> {
    let inner = value.trim().strip_prefix(['(', '['])?.strip_suffix([')', ']'])?;
    let mut strings = Vec::new();
    let mut rest = inner.trim_start();
    while !rest.is_empty() {
        let raw = rest.strip_prefix(['r', 'R']);
        let (quoted, is_raw) = raw.map_or((rest, false), |rest| (rest, true));
        let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let mut text = String::new();
        let mut chars = quoted.char_indices().skip(1);
        let end = loop {
            let (at, c) = chars.next()?;
            match c {
                c if c == quote => break at + 1,
                '\\' if !is_raw => match chars.next()?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    c @ ('\\' | '"' | '\'') => text.push(c),
                    other => text.extend(['\\', other]),
                },
                c => text.push(c),
            }
        };
        strings.push(text);
        rest = quoted.get(end..)?.trim_start();
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind.trim_start(),
            None if rest.is_empty() => break,
            None => return None,
        }
    }
    Some(strings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_and_continued_values_are_read() {
        let text = "# c\n[Retriever]\nType = A\nserver: h\n ; c\n[options]\nx = (\n  \"a\",\n  'b' )\nx2=1\nX2 = 2\n";
        let sections = parse(text).unwrap();
        assert_eq!(sections[0].name, "Retriever");
        assert_eq!((sections[0].get("type"), sections[0].get("server")), (Some("A"), Some("h")));
        assert_eq!(strings(sections[1].get("x").unwrap()).unwrap(), ["a", "b"]);
        assert_eq!((sections[1].get("x2"), sections[1].keys().count()), (Some("2"), 2));
        assert_eq!(parse("[a]\nno value"), Err(Odd(2)));
        assert_eq!(parse("a = b"), Err(Odd(1)));
        assert_eq!(parse("[a]\n[b\nx = 1"), Err(Odd(2)), "a bracket that is not closed");
    }

    #[test]
    fn tuples_of_strings_are_python() {
        for (value, expected) in [
            ("(\"pass\", 'mail/x', )", Some(vec!["pass", "mail/x"])),
            ("(r'a\\b', \"q\\\"\\n\")", Some(vec!["a\\b", "q\"\n"])),
            ("()", Some(vec![])),
            ("pass show", None),
            ("(1, 2)", None),
            ("(\"open", None),
            ("(\"a\" \"b\")", None),
        ] {
            assert_eq!(strings(value), expected.map(|words| words.into_iter().map(str::to_owned).collect()), "{value}");
        }
    }
}
