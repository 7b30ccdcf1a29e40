//! What a source file says about modules: which it has, what it imports, which paths it uses.
//!
//! It is read as tokens, not as lines: comments and strings are skipped, and macros are looked into. What is only
//! compiled for tests is ignored.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::slice::Iter;
use std::str::FromStr;

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};

/// A path as written, such as `super::listing::MessageNumber`; a glob import ends with `*`.
pub(super) type Path = Vec<String>;

/// A module as written: the top of a file, or an inline `mod`.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Modules in their own files, with the value of `#[path]`.
    pub(super) files: Vec<(String, Option<String>)>,
    /// Inline modules.
    pub(super) inline: Vec<(String, Self)>,
    /// The names that a `use` introduces.
    pub(super) imports: BTreeMap<String, Path>,
    /// Every path that is used, with its line.
    pub(super) named: Vec<(Path, usize)>,
    /// Functions, constants, types, modules and variants declared here, also nested ones.
    pub(super) declared: Vec<String>,
    /// Every identifier.
    pub(super) words: Vec<String>,
}

impl Source {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let tokens = TokenStream::from_str(text).map_err(|error| error.to_string())?;
        let mut source = Self::default();
        source.walk(&tokens.into_iter().collect::<Vec<_>>());
        Ok(source)
    }

    /// Returns every identifier, also in inline modules.
    pub(super) fn all_words(self) -> Vec<String> {
        let inner = self.inline.into_iter().flat_map(|(_, inline)| inline.all_words());
        self.words.into_iter().chain(inner).collect()
    }

    /// Returns the first segments of the paths that lead out of this file, also in inline modules. They are crates, as
    /// far as one file can tell.
    pub(super) fn roots(&self) -> Vec<&String> {
        let is_ours = |name: &String| {
            let mut modules = self.files.iter().map(|(name, _)| name).chain(self.inline.iter().map(|(name, _)| name));
            modules.any(|module| module == name)
                || self.imports.get(name).is_some_and(|import| import.first() != Some(name))
        };
        let roots = self.named.iter().filter_map(|(path, _)| path.first()).filter(|name| !is_ours(name));
        roots.chain(self.inline.iter().flat_map(|(_, inline)| inline.roots())).collect()
    }

    fn walk(&mut self, tokens: &[TokenTree]) {
        let mut rest = tokens.iter().peekable();
        let mut path_attribute = None;
        // The last two tokens, if they are punctuation: `->` and `=>` close no angle bracket.
        let mut before = ['x', 'x'];
        while let Some(token) = rest.next() {
            match token {
                TokenTree::Punct(hash) if hash.as_char() == '#' => {
                    if let Some(TokenTree::Group(attribute)) = rest.peek() {
                        let text = attribute.stream().to_string();
                        if text == "cfg (test)" || text == "cfg(test)" {
                            rest.next();
                            skip_item(&mut rest);
                        } else if let Some(value) = text.strip_prefix("path =") {
                            path_attribute = Some(value.trim().trim_matches('"').to_owned());
                        }
                    }
                }
                // Not `use<'a>`, which says what a type captures.
                TokenTree::Ident(word) if word == "use" && !next_is(&rest, '<') => self.import(&mut rest),
                TokenTree::Ident(word) if word == "mod" => self.module(&mut rest, path_attribute.take()),
                TokenTree::Ident(word) => self.word(word, &mut rest),
                TokenTree::Punct(colon) if colon.as_char() == ':' && before == ['x', '>'] && next_is(&rest, ':') => {
                    // What follows `>::` belongs to something else, and is not a path.
                    rest.next();
                    while let Some(TokenTree::Ident(word)) = rest.peek() {
                        self.words.push(word.to_string());
                        rest.next();
                        if !skip_colons(&mut rest) {
                            break;
                        }
                    }
                }
                TokenTree::Group(group) => self.walk(&group.stream().into_iter().collect::<Vec<_>>()),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            before = match token {
                TokenTree::Punct(punct) => {
                    [if matches!(before[1], '-' | '=') { before[1] } else { 'x' }, punct.as_char()]
                }
                _ => ['x', 'x'],
            };
        }
    }

    /// Handles the declaration of a module, if `mod` is followed by a name.
    fn module(&mut self, rest: &mut Peekable<Iter<'_, TokenTree>>, path_attribute: Option<String>) {
        let Some(TokenTree::Ident(name)) = rest.peek() else { return };
        let name = name.to_string();
        rest.next();
        self.declared.push(name.clone());
        self.words.push(name.clone());
        if let Some(TokenTree::Group(body)) = rest.peek() {
            let mut inline = Self::default();
            inline.walk(&body.stream().into_iter().collect::<Vec<_>>());
            self.inline.push((name, inline));
            rest.next();
        } else {
            self.files.push((name, path_attribute));
        }
    }

    /// Handles an identifier: a declaration, the beginning of a path, or neither.
    fn word(&mut self, word: &Ident, rest: &mut Peekable<Iter<'_, TokenTree>>) {
        self.words.push(word.to_string());
        let declares = ["fn", "const", "static", "struct", "enum", "trait", "type"].iter().any(|it| word == it);
        if let (true, Some(TokenTree::Ident(name))) = (declares, rest.peek()) {
            self.declared.push(name.to_string());
            if word == "enum" {
                self.variants(&mut rest.clone());
            }
            return;
        }
        let prints = ["print", "println", "eprint", "eprintln", "dbg"].iter().any(|it| word == it);
        if prints && next_is(rest, '!') {
            self.named.push((vec!["std".to_owned(), word.to_string()], word.span().start().line));
        }
        let mut path = vec![word.to_string()];
        while skip_colons(rest) {
            let Some(TokenTree::Ident(next)) = rest.peek() else { break };
            path.push(next.to_string());
            self.words.push(next.to_string());
            rest.next();
        }
        if path.len() > 1 {
            self.named.push((path, word.span().start().line));
        }
    }

    /// Handles the variants of the enumeration whose name is next.
    fn variants(&mut self, rest: &mut Peekable<Iter<'_, TokenTree>>) {
        let body = rest.find_map(|token| match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group.stream()),
            _ => None,
        });
        let mut begins = true;
        for token in body.into_iter().flatten() {
            match token {
                TokenTree::Ident(name) if begins => {
                    self.declared.push(name.to_string());
                    begins = false;
                }
                TokenTree::Punct(comma) if comma.as_char() == ',' => begins = true,
                _ => {}
            }
        }
    }

    fn import(&mut self, rest: &mut Peekable<Iter<'_, TokenTree>>) {
        let mut tree = Vec::new();
        for token in rest.by_ref() {
            match token {
                TokenTree::Punct(end) if end.as_char() == ';' => break,
                token => tree.push(token.clone()),
            }
        }
        self.import_tree(&tree, &[]);
    }

    /// Handles a branch of a `use`, such as `a::{b, c as d}`, after `prefix`.
    fn import_tree(&mut self, tree: &[TokenTree], prefix: &[String]) {
        let mut path = prefix.to_vec();
        let mut line = 0;
        let mut alias = None;
        let mut rest = tree.iter();
        while let Some(token) = rest.next() {
            match token {
                TokenTree::Ident(word) if word == "as" => {
                    alias = rest.next().map(ToString::to_string);
                }
                TokenTree::Ident(word) => {
                    line = word.span().start().line;
                    self.words.push(word.to_string());
                    path.push(word.to_string());
                }
                TokenTree::Punct(star) if star.as_char() == '*' => {
                    line = star.span().start().line;
                    path.push("*".to_owned());
                }
                TokenTree::Group(group) => {
                    for branch in branches(group) {
                        self.import_tree(&branch, &path);
                    }
                    return;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let Some(last) = path.last() else { return };
        let name = alias.unwrap_or_else(|| last.clone());
        if name != "*" && name != "_" {
            self.imports.insert(name, path.clone());
        }
        self.named.push((path, line));
    }
}

/// Returns the comma-separated branches of a group.
fn branches(group: &Group) -> Vec<Vec<TokenTree>> {
    let tokens = group.stream().into_iter().collect::<Vec<_>>();
    let comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    tokens.split(comma).filter(|branch| !branch.is_empty()).map(<[TokenTree]>::to_vec).collect()
}

fn next_is(rest: &Peekable<Iter<'_, TokenTree>>, wanted: char) -> bool {
    matches!(rest.clone().next(), Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// Skips a `::` if it is next.
fn skip_colons(rest: &mut Peekable<Iter<'_, TokenTree>>) -> bool {
    let mut ahead = rest.clone();
    let colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(it)) if it.as_char() == ':');
    let both = colon(ahead.next()) && colon(ahead.next());
    if both {
        *rest = ahead;
    }
    both
}

/// Skips what an attribute belongs to: an item, a field, an arm or a statement.
fn skip_item(rest: &mut Peekable<Iter<'_, TokenTree>>) {
    const ITEMS: [&str; 12] =
        ["use", "mod", "fn", "impl", "const", "static", "struct", "enum", "trait", "type", "unsafe", "async"];
    let mut item = false;
    for token in rest.by_ref() {
        match token {
            TokenTree::Ident(word) if ITEMS.iter().any(|it| word == it) => item = true,
            TokenTree::Punct(end) if end.as_char() == ';' => return,
            TokenTree::Punct(end) if end.as_char() == ',' && !item => return,
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => return,
            _ => {}
        }
    }
}
