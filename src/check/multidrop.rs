//! Shows where the newest messages of a multidrop maildrop would go.

use std::path::Path;

use super::Step;
use crate::client::headers::{Shown, headers};
use crate::client::{Client, ClientError};
use crate::plan::maildrop::Listed;
use crate::pop3::MessageNumber;
use crate::routing::{Address, HEADER_MOST, HeaderEnd, HeaderRecipients, Multidrop, Route};
use crate::text::{cut_words, path};

/// The name of these steps: they are always shown.
pub(crate) const STEP: &str = "multidrop";

/// How many of the newest messages are looked at.
const NEWEST: usize = 20;

/// How much of a field's text is shown, in characters.
const TEXT: usize = 100;

/// Requests the headers of the newest messages, the newest first, and says where each message would go.
pub(super) async fn look(
    client: &mut Client,
    listed: &[Listed],
    multidrop: &Multidrop,
    default: &Path,
) -> Result<Vec<Step>, ClientError> {
    let numbers: Vec<MessageNumber> = listed.iter().rev().take(NEWEST).map(|listed| listed.number).collect();
    if numbers.is_empty() {
        return Ok(vec![Step::ok(STEP, "there is no message to show where it would go")]);
    }
    let mut steps = Vec::new();
    headers(client, &numbers, HEADER_MOST, None, |number, shown| {
        steps.push(match shown {
            Shown::Header(header) => of_header(number, header, multidrop, default),
            Shown::TooLong => {
                let text = format!("message {number}: its header is too long to look into: {}", place(default));
                Step::warn(STEP, text)
            }
            Shown::Refused => Step::warn(STEP, format!("message {number}: the server does not show its header")),
        });
    })
    .await?;
    Ok(steps)
}

/// Returns the path of a Maildir, or that mail is forwarded: Maildirs have absolute paths, and the path of the spool
/// does not matter.
fn place(maildir: &Path) -> String {
    if maildir.is_relative() { "it is forwarded".to_owned() } else { path(maildir) }
}

fn of_header(number: MessageNumber, shown: &[u8], multidrop: &Multidrop, default: &Path) -> Step {
    let end = HeaderEnd::default().find(shown).unwrap_or(shown.len());
    let told = multidrop.recipients_in(shown.get(..end).unwrap_or_default());
    let field = usual(&multidrop.header);
    let why = match &told {
        HeaderRecipients::Recipients(texts) if texts.iter().all(|text| text.trim().is_empty()) => {
            format!("{field} is empty")
        }
        HeaderRecipients::Recipients(texts) => format!("{field} says {}", cut_words(&texts.join(", "), TEXT)),
        HeaderRecipients::Different(texts) => format!(
            "the provider wrote {} {} for different addresses ({}), and neither `one_copy` nor `occurrence` says which count",
            texts.len(),
            field,
            cut_words(&texts.join(", "), TEXT)
        ),
        HeaderRecipients::Nothing => format!("the provider wrote no {field}"),
        HeaderRecipients::TooFew(there) => {
            format!("the provider wrote only {there} of the field {field}, and `occurrence` names a later one")
        }
        HeaderRecipients::NoReceived => {
            "there is no Received field, so nothing shows what the provider wrote".to_owned()
        }
        HeaderRecipients::NotTrusted => "no Received field is by a host of `trusted_received_by`".to_owned(),
    };
    let capitals = only_in_capitals(&told, multidrop);
    let maildirs: Vec<&Path> = match multidrop.route_of(&told) {
        Route::Other(one) => vec![one],
        Route::Several(all) => all.into_iter().map(|one| one.unwrap_or(default)).collect(),
        Route::Own | Route::Skip => Vec::new(),
    };
    if maildirs.is_empty() {
        let (to, whose) = (place(default), whose_it_is_not(&told));
        return Step::warn(STEP, format!("message {number}: {why}{whose}; it goes to the default: {to}{capitals}"));
    }
    let maildirs: Vec<String> = maildirs.into_iter().map(place).collect();
    Step::ok(STEP, format!("message {number}: {why}: {}{capitals}", maildirs.join(" and ")))
}

/// Returns the name of a field as it is usually written: `X-Envelope-To`.
fn usual(field: &str) -> String {
    let part =
        |part: &str| part.get(..1).map(str::to_ascii_uppercase).unwrap_or_default() + part.get(1..).unwrap_or("");
    field.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// Says why a text that names no recipient names none.
fn whose_it_is_not(told: &HeaderRecipients) -> &'static str {
    let HeaderRecipients::Recipients(texts) = told else { return "" };
    match texts.as_slice() {
        [text] if text.trim().is_empty() => "",
        [text] if Address::new(text).is_none() => ", which is not an address alone",
        [_] => ", which is not one of `recipients`",
        _ => ", none of which is one of `recipients`",
    }
}

/// Points out an address that would be a recipient's but for upper and lower case.
fn only_in_capitals(told: &HeaderRecipients, multidrop: &Multidrop) -> String {
    let HeaderRecipients::Recipients(texts) = told else { return String::new() };
    let twin = |text: &String| {
        let (address, small) = (Address::new(text)?, text.to_lowercase());
        let is_other = |known: &&Address| **known != address && known.as_str().to_lowercase() == small;
        let known = multidrop.recipients.keys().find(is_other)?;
        (!multidrop.recipients.contains_key(&address)).then(|| {
            let (text, known) = (cut_words(text, TEXT), cut_words(known.as_str(), TEXT));
            format!(". {text} differs from the recipient {known} only in capitals, which count in front of the @")
        })
    };
    texts.iter().find_map(twin).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::routing::{Occurrence, OtherMaildir};

    #[test]
    fn an_address_in_other_letters_is_pointed_out() {
        let maildir = OtherMaildir { path: PathBuf::from("/mail/ann"), is_folder: false };
        let multidrop = Multidrop {
            header: "delivered-to".to_owned(),
            occurrence: Occurrence::All,
            strip_prefix: None,
            trusted_received_by: Vec::new(),
            recipients: [(Address::new("ann@site.test").unwrap(), maildir)].into(),
        };
        let text = |to: &str| {
            let header = format!("Delivered-To: {to}\r\nReceived: by mx.test\r\n\r\n");
            of_header(MessageNumber::new(1).unwrap(), header.as_bytes(), &multidrop, Path::new("/mail/all")).text
        };
        let told = text("Ann@SITE.test");
        assert!(told.contains("Ann@SITE.test differs from the recipient ann@site.test only in capitals"), "{told}");
        assert!(!text("ann@SITE.test").contains("capitals") && !text("bob@site.test").contains("capitals"));
    }

    #[test]
    fn fields_that_do_not_tell_whose_a_message_is_are_pointed_out() {
        let maildir = OtherMaildir { path: PathBuf::from("/mail/ann"), is_folder: false };
        let text = |occurrence, fields: &str| {
            let multidrop = Multidrop {
                header: "delivered-to".to_owned(),
                occurrence,
                strip_prefix: None,
                trusted_received_by: Vec::new(),
                recipients: [(Address::new("ann@site.test").unwrap(), maildir.clone())].into(),
            };
            let header = format!("{fields}Received: by mx.test\r\n\r\n");
            of_header(MessageNumber::new(1).unwrap(), header.as_bytes(), &multidrop, Path::new("/mail/all")).text
        };
        let (ann, bob) = ("Delivered-To: ann@site.test\r\n", "Delivered-To: bob@site.test\r\n");
        let told = text(Occurrence::Only, &format!("{ann}{bob}"));
        for said in ["2 Delivered-To for different addresses (ann@site.test, bob@site.test)", "`one_copy`", "/mail/all"]
        {
            assert!(told.contains(said), "{said}: {told}");
        }
        assert!(!text(Occurrence::Only, ann).contains("different"));
        let second = Occurrence::One(std::num::NonZeroU32::new(2).unwrap());
        let told = text(second, ann);
        assert!(told.contains("wrote only 1 of the field Delivered-To") && told.contains("/mail/all"), "{told}");
        assert!(text(second, "").contains("wrote no Delivered-To"));
    }
}
