//! Asks for headers in one flight, by TOP n 0 (RFC 1939, section 7).
//!
//! An answer that arrives twice would give every later message the header of another one. So where headers decide what
//! is recorded or deleted, the same flight ends with a command that shows whether the answers were in step.

use std::ops::ControlFlow;

use super::in_step::InStep;
use super::{Client, ClientError, ResponsePart};
use crate::pop3::{Command, CommandKind, MessageNumber};

/// Asks for these headers and, where that matters, then checks that the answers were in step.
pub(super) async fn ask(
    client: &mut Client,
    numbers: &[MessageNumber],
    mut in_step: Option<InStep>,
    mut on_header: impl FnMut(CommandKind, ResponsePart<'_>) -> Result<ControlFlow<()>, ClientError>,
) -> Result<(), ClientError> {
    let mut check = in_step.as_ref().map(InStep::first_command);
    let mut commands: Vec<Command> = numbers.iter().map(|&number| Command::Top { number, lines: 0 }).collect();
    commands.extend(check.clone());
    let mut heard = None;
    let on_event = |asked, part: ResponsePart<'_>| match (part, &mut in_step) {
        (ResponsePart::Response(response), Some(in_step)) if !matches!(asked, CommandKind::Top(_)) => {
            heard = Some(in_step.on_response(asked, response)?);
            Ok(ControlFlow::Continue(()))
        }
        (part, _) => on_header(asked, part),
    };
    let unmasked = |client: &Client, error| match error {
        ClientError::Framing(error) => client.masked(error),
        error => error,
    };
    client.try_converse(commands, on_event).await.map_err(|error| unmasked(client, error))?;
    // If not all headers were asked for, the check was not sent yet.
    check = heard.unwrap_or(check);
    while let Some((command, in_step)) = check.take().zip(in_step.as_mut()) {
        let kind = command.kind();
        let response = client.exchange(command).await?;
        check = in_step.on_response(kind, &response).map_err(|error| client.masked(error))?;
    }
    Ok(())
}
