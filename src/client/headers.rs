//! Fetches headers verbatim, by TOP n 0 (RFC 1939, section 7), where their text decides something.

use std::ops::ControlFlow;
use std::time::Instant;

use super::error::TooLong;
use super::in_step::InStep;
use super::listing::{HEADER, LOOKING, MOST_HEADERS_REFUSED, up_to};
use super::{Client, ClientError, ResponsePart, header_flight};
use crate::pop3::{CommandKind, MessageNumber, Status};

/// What the server showed of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown<'a> {
    /// The header, with the empty line after it if the server sends one.
    Header(&'a [u8]),
    /// It is longer than the limit.
    TooLong,
    /// The server refused.
    Refused,
}

/// Asks for the headers of these messages and passes each one to `each`. Headers that are no longer asked for, because
/// the server refused hundreds in a row or an hour has passed, are left out. If this fails, what was passed on must be
/// discarded.
///
/// # Errors
/// [`ClientError`], also if the answers were out of step.
pub(crate) async fn headers(
    client: &mut Client,
    numbers: &[MessageNumber],
    most: usize,
    in_step: Option<InStep>,
    mut each: impl FnMut(MessageNumber, Shown<'_>),
) -> Result<(), ClientError> {
    let mut header: Vec<u8> = Vec::new();
    let (mut octets, mut refused) = (0_u64, 0);
    let begun = Instant::now();
    let on_event = |asked, part: ResponsePart<'_>| {
        match (asked, part) {
            (CommandKind::Top(number), ResponsePart::Response(response)) if response.status == Status::Err => {
                refused += 1;
                each(number, Shown::Refused);
            }
            (CommandKind::Top(number), ResponsePart::Data(bytes)) => {
                octets = octets.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                if octets > HEADER {
                    return Err(ClientError::TooLong(TooLong::header(number, octets, HEADER)));
                }
                let room = most.saturating_sub(header.len());
                header.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            }
            (CommandKind::Top(number), ResponsePart::End) => {
                let is_whole = u64::try_from(header.len()).is_ok_and(|kept| kept == octets);
                each(number, if is_whole { Shown::Header(&header) } else { Shown::TooLong });
                (octets, refused) = (0, 0);
                header.clear();
            }
            _ => {}
        }
        let enough = begun.elapsed() > LOOKING;
        Ok(if enough { ControlFlow::Break(()) } else { up_to(MOST_HEADERS_REFUSED, refused) })
    };
    header_flight::ask(client, numbers, in_step, on_event).await
}
