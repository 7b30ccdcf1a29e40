//! How text and numbers are shown to people. PURE.
//!
//! [`escape`] makes text from elsewhere fit for a terminal and a log: [`words`] for what a server says, [`value`] for a
//! path, a name or any other value in a message. [`span`] and [`count`] have durations, sizes and numbers of things in
//! words.

mod count;
mod escape;
mod span;

pub(crate) use count::{Count, Size, plural};
pub(crate) use escape::{cut_words, path, saying, system, value, words, words_in};
pub(crate) use span::{In, Span};
