//! When messages arrived, from their headers: for a user who adopts only what is older than a day.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::in_step::InStep;
use super::{Client, ClientError, ResponsePart, header_flight};
use crate::pop3::{CommandKind, MessageNumber};

/// How many octets of a header are searched.
const HEADER: usize = 64 << 10;

/// Returns when these messages arrived, in seconds since 1970, according to the last hop (Received, RFC 5322, section
/// 3.6.7), which TOP n 0 shows. Messages that the server does not show or that have no such field are left out: their
/// Date only says what the sender's clock showed.
///
/// # Errors
/// [`ClientError`].
pub(crate) async fn dates(
    client: &mut Client,
    numbers: &[MessageNumber],
    in_step: InStep,
) -> Result<HashMap<MessageNumber, i64>, ClientError> {
    let mut dates = HashMap::with_capacity(numbers.len());
    let mut header: Vec<u8> = Vec::new();
    let on_event = |asked, part: ResponsePart<'_>| {
        match (asked, part) {
            (CommandKind::Top(_), ResponsePart::Data(bytes)) => {
                let room = HEADER.saturating_sub(header.len());
                header.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            }
            (CommandKind::Top(number), ResponsePart::End) => {
                if let Some(date) = date_of(&std::mem::take(&mut header)) {
                    dates.insert(number, date);
                }
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    };
    header_flight::ask(client, numbers, Some(in_step), on_event).await?;
    Ok(dates)
}

/// Returns when a message arrived, according to its header.
fn date_of(header: &[u8]) -> Option<i64> {
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for line in header.split(|c| *c == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        match fields.last_mut() {
            Some(field) if line.starts_with(b" ") || line.starts_with(b"\t") => field.extend_from_slice(line),
            _ => fields.push(line.to_vec()),
        }
    }
    let received = fields.iter().find_map(|field| {
        let (name, value) = field.split_at(memchr::memchr(b':', field)?);
        name.trim_ascii().eq_ignore_ascii_case(b"received").then_some(value)
    })?;
    let semicolon = memchr::memrchr(b';', received)?;
    seconds(received.get(semicolon + 1..)?)
}

fn seconds(date: &[u8]) -> Option<i64> {
    let parser = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    parser.parse_timestamp(date.trim_ascii()).ok().map(jiff::Timestamp::as_second)
}

#[cfg(test)]
mod tests {
    use super::date_of;

    #[test]
    fn the_last_hop_counts_and_no_date_of_a_sender() {
        let day = 86_400;
        for (header, expected) in [
            ("RECEIVED : from a; 2 Jan 1970 00:00 +0000\n\nReceived: b; 3 Jan 1970 00:00 +0000\n", Some(day)),
            ("Date: Fri, 02 Jan 1970 00:00:00 +0000\n\nReceived: b; 3 Jan 1970 00:00 +0000\n", None),
            (
                "Received: from a\r\n by b;\r\n\tSat, 03 Jan 1970 00:00:00 +0000 (UTC)\r\nReceived: x; Fri, 02 Jan 1970 \
                 00:00:00 +0000\r\nDate: Fri, 02 Jan 1970 00:00:00 +0000\r\n\r\n",
                Some(2 * day),
            ),
            ("Received: nonsense\nDATE : 2 Jan 1970 00:00 +0000\n", None),
            ("Subject: x\nReceived: a; tomorrow\n", None),
            ("", None),
        ] {
            assert_eq!(date_of(header.as_bytes()), expected, "{header}");
        }
    }
}
