//! Shows text and numbers to people. PURE.
//!
//! [`escape`] makes text from elsewhere safe for a terminal and a log: [`words`] for what a server says, [`value`] for
//! a path, a name or any other value in a message. [`span`] and [`count`] put durations, sizes and numbers of things
//! into words.

mod count;
mod escape;
mod span;

pub(crate) use count::{Count, Size, plural};
pub(crate) use escape::{
    cut_words, is_bare_key, is_printable, key, path, saying, shortened, system, value, words, words_in,
};
pub(crate) use span::{In, Span};
