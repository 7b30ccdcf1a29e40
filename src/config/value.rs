//! Reads single values of the file, or says what was expected instead.

use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::Span;
use super::problem::Problem;

/// A value and its position in the file.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

/// The setting of a key in a table.
#[derive(Debug, Clone, Default)]
pub(super) enum Setting<T> {
    /// Not given.
    #[default]
    Absent,
    /// Invalid. This has been reported, and nothing else should be.
    Bad,
    /// Given and valid.
    Given(At<T>),
}

impl<T> Setting<T> {
    /// This setting, or the other if this is absent.
    pub(super) fn or<'a>(&'a self, other: &'a Self) -> &'a Self {
        if matches!(self, Self::Absent) { other } else { self }
    }

    /// The value with its position, if it is valid.
    pub(super) fn given(&self) -> Option<&At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Bad => None,
        }
    }

    /// The value, if it is valid.
    pub(super) fn value(&self) -> Option<&T> {
        self.given().map(|at| &at.value)
    }
}

/// What is wrong with a value; the caller adds the position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InvalidValue {
    /// Follows the key's name: "`port` ...".
    pub(super) message: String,
    /// The next step.
    pub(super) help: String,
}

impl InvalidValue {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// Reads one key of a table, and reports what is wrong with its value.
pub(super) fn read<T>(
    table: &DeTable<'_>,
    key: &str,
    problems: &mut Vec<Problem>,
    as_what: impl FnOnce(&DeValue<'_>) -> Result<T, InvalidValue>,
) -> Setting<T> {
    let Some(value) = table.get(key) else {
        return Setting::Absent;
    };
    match as_what(value.get_ref()) {
        Ok(good) => Setting::Given(At { value: good, span: value.span() }),
        Err(InvalidValue { message, help }) => {
            problems.push(Problem::new(format!("`{key}` {message}")).at(&value.span()).help(help));
            Setting::Bad
        }
    }
}

/// Reads a string.
pub(super) fn string<'a>(value: &'a DeValue<'_>, example: &str) -> Result<&'a str, InvalidValue> {
    value.as_str().ok_or_else(|| wrong_type(value, "a string", example))
}

/// Reads a string that is not empty and has no control characters.
pub(super) fn plain_text<'a>(value: &'a DeValue<'_>, example: &str) -> Result<&'a str, InvalidValue> {
    let text = string(value, example)?;
    if text.is_empty() {
        return Err(InvalidValue::new("is empty", format!("write {example}")));
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidValue::new(
            "holds a control character",
            "write it without line breaks, tabs and other controls",
        ));
    }
    Ok(text)
}

/// Reads true or false.
pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, InvalidValue> {
    value.as_bool().ok_or_else(|| wrong_type(value, "true or false", "true or false, without quotes"))
}

/// Reads a whole number within a range.
pub(super) fn integer(value: &DeValue<'_>, range: RangeInclusive<u64>, example: &str) -> Result<u64, InvalidValue> {
    let Some(written) = value.as_integer() else {
        return Err(wrong_type(value, "a whole number", example));
    };
    let number = u64::from_str_radix(written.as_str().trim_start_matches('+'), written.radix()).ok();
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let bounds = match range.end() {
            &u64::MAX => format!("at least {}", range.start()),
            end => format!("from {} to {end}", range.start()),
        };
        InvalidValue::new(format!("is {}, which is not {bounds}", as_written(written)), format!("write {example}"))
    })
}

fn as_written(number: &toml::de::DeInteger<'_>) -> String {
    // A number may be as long as the file.
    let text = number.to_string();
    if text.chars().count() > 24 { "a very long number".to_owned() } else { text }
}

/// Describes a value of the wrong type.
pub(super) fn wrong_type(value: &DeValue<'_>, expected: &str, example: &str) -> InvalidValue {
    let found = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    InvalidValue::new(format!("is {found}, but {expected} is expected"), format!("write {example}"))
}
