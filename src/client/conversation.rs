//! Conversations: commands, and the parts of their answers.

use std::ops::ControlFlow;

use super::{Client, ClientError};
use crate::pop3::{Command, CommandKind, Event, Response, Status};
use crate::watch;

/// A part of an answer, for [`Client::converse`].
#[derive(Debug)]
pub enum ResponsePart<'a> {
    /// A single-line answer or the first line of a multi-line one.
    Response(&'a Response),
    /// A line of CAPA, LIST or UIDL.
    Line(&'a [u8]),
    /// Whole lines of LIST or UIDL as received, after [`Client::take_lines_together`].
    Lines(&'a [u8]),
    /// The first octets of a line of CAPA, LIST or UIDL that is too long and is skipped.
    LongLine(&'a [u8]),
    /// A piece of the answer to RETR or TOP.
    Data(&'a [u8]),
    /// The end of a multi-line answer.
    End,
}

impl Client {
    /// Sends one command and waits for its single-line answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn exchange(&mut self, command: Command) -> Result<Response, ClientError> {
        self.ask(command)?;
        loop {
            if let Event::Response { response, .. } = self.event().await? {
                return Ok(response);
            }
        }
    }

    /// Sends commands, pipelined as far as the server allows, and passes each part of the answers on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn converse(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        mut on_event: impl FnMut(CommandKind, ResponsePart<'_>),
    ) -> Result<(), ClientError> {
        let on_event = |asked, part: ResponsePart<'_>| {
            on_event(asked, part);
            Ok(ControlFlow::Continue(()))
        };
        self.try_converse(commands, on_event).await
    }

    /// Like [`Client::converse`], but the listener may break: then no further command is sent, and the answers still in
    /// flight are read.
    ///
    /// # Errors
    /// [`ClientError`], including those of the listener: the session is over.
    pub async fn try_converse(
        &mut self,
        commands: impl IntoIterator<Item = Command>,
        mut on_event: impl FnMut(CommandKind, ResponsePart<'_>) -> Result<ControlFlow<()>, ClientError>,
    ) -> Result<(), ClientError> {
        let mut commands = commands.into_iter();
        let mut current = CommandKind::Greeting;
        let mut enough = false;
        loop {
            while !enough
                && self.outstanding() < self.window()
                && let Some(command) = commands.next()
            {
                self.ask(command)?;
            }
            if self.outstanding() == 0 {
                return Ok(());
            }
            let event = self.event().await?;
            watch::has_listed(listed(current, &event));
            if answers_about_one(&event) {
                watch::has_answered();
            }
            let heard = match event {
                Event::Response { to, response } => {
                    current = to;
                    on_event(to, ResponsePart::Response(&response))?
                }
                Event::Line(range) => on_event(current, ResponsePart::Line(self.bytes(range)))?,
                Event::Lines(range) => on_event(current, ResponsePart::Lines(self.bytes(range)))?,
                Event::LongLine(range) => on_event(current, ResponsePart::LongLine(self.bytes(range)))?,
                Event::Data(range) => on_event(current, ResponsePart::Data(self.bytes(range)))?,
                Event::End { to } => on_event(to, ResponsePart::End)?,
                Event::Challenge(_) | Event::BadChallenge => {
                    self.session.cancel_challenge()?;
                    ControlFlow::Continue(())
                }
                Event::Greeting(_) | Event::NeedInput => ControlFlow::Continue(()),
            };
            enough |= heard.is_break();
        }
    }
}

/// Returns how many octets of a header, or of an answer about a single message, this event brings; `current` is what is
/// being answered. Refusals and capabilities are no progress: a server may send them without end. What a line of a
/// listing is worth shows only when it is read ([`super::listing`]).
pub(super) fn listed(current: CommandKind, event: &Event) -> usize {
    match (current, event) {
        (CommandKind::Top(_), Event::Data(range)) => range.len(),
        (_, Event::Response { to: CommandKind::Uidl(Some(_)) | CommandKind::List(Some(_)), response })
            if response.status == Status::Ok =>
        {
            response.text.len()
        }
        _ => 0,
    }
}

/// Whether this event completes an answer about a single message: a header, a unique-id or a size. Refusals do not
/// count.
fn answers_about_one(event: &Event) -> bool {
    match event {
        Event::End { to: CommandKind::Top(_) } => true,
        Event::Response { to: CommandKind::Uidl(Some(_)) | CommandKind::List(Some(_)), response } => {
            response.status == Status::Ok
        }
        _ => false,
    }
}
