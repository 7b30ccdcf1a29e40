//! The sources of a secret: mutually exclusive keys, commands, and systemd credentials.

use std::ffi::OsString;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::path;
use super::problem::Problem;
use super::value::{InvalidValue, Setting, plain_text, string, wrong_type};
use crate::account::CredentialSource;
use crate::credential::is_credential_name;
use crate::text;

/// Returns the one setting that is given, and reports if there are several.
pub(super) fn only_one<T>(
    table: &DeTable<'_>,
    ways: impl IntoIterator<Item = (&'static str, Setting<T>)>,
    what: &str,
    problems: &mut Vec<Problem>,
) -> Setting<T> {
    let mut present = ways.into_iter().filter(|(_, way)| !matches!(way, Setting::Absent));
    let Some((first_key, first)) = present.next() else {
        return Setting::Absent;
    };
    let mut several = false;
    for (key, _) in present {
        several = true;
        let message = format!("`{first_key}` and `{key}` both say where {what} comes from");
        let mut problem = Problem::new(message).help("keep one of them");
        if let (Some((first_name, _)), Some((name, _))) = (table.get_key_value(first_key), table.get_key_value(key)) {
            problem = problem.at(&name.span()).also(&first_name.span(), "the other one");
        }
        problems.push(problem);
    }
    if several { Setting::Bad } else { first }
}

/// Reads the words of a command such as `example`; expands `~/` in the first.
pub(super) fn command(value: &DeValue<'_>, home: Option<&Path>, example: &str) -> Result<Vec<OsString>, InvalidValue> {
    let example = format!("the command's words, such as {example}; no shell reads them");
    let help = || format!("write {example}");
    let words = value.as_array().ok_or_else(|| wrong_type(value, "an array of strings", &example))?;
    let mut argv = Vec::with_capacity(words.len());
    for word in words.iter() {
        let word = string(word.get_ref(), &example)
            .map_err(|_| InvalidValue::new("holds something that is not a string", help()))?;
        if word.is_empty() || word.contains('\0') {
            return Err(InvalidValue::new("holds an empty word or a NUL", help()));
        }
        argv.push(OsString::from(word));
    }
    let Some(first) = argv.first_mut() else {
        return Err(InvalidValue::new("is empty", help()));
    };
    let program = first.to_str().unwrap_or_default();
    if words.len() == 1 && program.contains(char::is_whitespace) && !program.starts_with(['/', '~']) {
        let apart: Vec<String> = program.split_whitespace().map(|word| format!("\"{}\"", text::value(word))).collect();
        let help = format!("write each word separately: [{}]", apart.join(", "));
        return Err(InvalidValue::new("is one word that contains spaces", help));
    }
    if program.contains('/') || program.starts_with('~') {
        *first = path::absolute(program, home)?.into_os_string();
    }
    Ok(argv)
}

pub(super) fn systemd_credential(value: &DeValue<'_>) -> Result<CredentialSource, InvalidValue> {
    let name = plain_text(value, "the credential's name, as in LoadCredential=NAME:/path")?;
    if is_credential_name(name) {
        Ok(CredentialSource::Credential(name.to_owned()))
    } else {
        Err(InvalidValue::new(
            "is not the name of a systemd credential",
            "write a name without a slash; a path goes into password_file",
        ))
    }
}
