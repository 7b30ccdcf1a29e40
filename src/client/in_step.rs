//! Whether the server's answers belong to our commands. PURE.
//!
//! A line in a message that looks like the answer to something else, behind an end in the wrong place, would shift all
//! answers by one. So what is asked behind the messages is something that nothing else answers: STAT, with the number of
//! messages that the session began with. Some servers count while the session goes on, what has come meanwhile or without
//! what was retrieved; they are asked for the unique-id of one message. Where STAT tells nothing, NOOP must do.
//!
//! Where sizes are asked for beside the messages, the answer to the LIST of the last one looks like STAT's, but for the sum
//! of the sizes: then that has to be the one that the session began with, too. So it has behind headers, whose answers decide
//! what is written down.
//!
//! The first line of a message may pass for the answer to NOOP, and on some servers, which tell its number and size, for one
//! to STAT with another sum. Such an answer is not sure: one behind it has to come in order, too, if only that to QUIT.

use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{Command, CommandKind, DropListing, FramingError, MessageNumber, Response, Status, UniqueId};

/// What the right answers are.
#[derive(Debug, Clone)]
pub(crate) struct InStep {
    /// The number of messages that STAT told when the session began, if it did.
    count: Option<u32>,
    /// The sum of their sizes that it told.
    octets: Option<u64>,
    /// The sum has to be the same.
    wants_the_sum: bool,
    /// Nothing but the right command gives the answer that came last.
    is_sure: bool,
    /// The message that was asked for last, if the listing told its unique-id.
    last: Option<(MessageNumber, UniqueId)>,
    /// The one whose unique-id was asked for because STAT told something else.
    asked: Option<(MessageNumber, UniqueId)>,
}

impl InStep {
    /// In a session in which STAT told this when it began.
    pub(crate) fn new(told: Option<DropListing>) -> Self {
        let (count, octets) = told.map(|told| (told.count, told.reported_size)).unzip();
        Self { count, octets, wants_the_sum: false, is_sure: false, last: None, asked: None }
    }

    /// Behind headers, the last of which is that of one of these messages.
    pub(crate) fn behind_headers(maildrop: &Maildrop, last: Option<MessageNumber>) -> Self {
        let mut in_step = Self::new(maildrop.told);
        in_step.wants_the_sum();
        let place =
            |number: MessageNumber| maildrop.messages.binary_search_by_key(&number, |listed| listed.number).ok();
        let last = last.and_then(place).and_then(|place| maildrop.messages.get(place));
        last.into_iter().for_each(|listed| in_step.retrieves(listed));
        in_step
    }

    /// What else is asked may be answered as STAT is, but for the sum of the sizes.
    pub(crate) fn wants_the_sum(&mut self) {
        self.wants_the_sum = true;
    }

    /// Whether nothing but the right command gives the answer that came last. If not, it tells once a later one has come.
    pub(crate) fn is_sure(&self) -> bool {
        self.is_sure
    }

    /// This one is asked for.
    pub(crate) fn retrieves(&mut self, listed: &Listed) {
        let named = listed.unique_id.as_ref().map(|unique_id| (listed.number, unique_id.clone()));
        self.last = named.or(self.last.take());
    }

    /// What is asked first.
    pub(crate) fn question(&self) -> Command {
        if self.count.is_some() { Command::Stat } else { Command::Noop }
    }

    /// Whether that may be asked between messages: what nothing else answers.
    pub(crate) fn tells_between_messages(&self) -> bool {
        self.count.is_some()
    }

    /// Hears an answer. None: it is the right one; Some: that has to be asked to be sure.
    pub(crate) fn hear(&mut self, to: CommandKind, response: &Response) -> Result<Option<Command>, FramingError> {
        let out_of_step = || FramingError::out_of_step(to, &response.text);
        let listing = || DropListing::parse(&response.text).ok().filter(|_| response.status == Status::Ok);
        match to {
            CommandKind::Stat => {
                let listing = listing();
                let has_the_sum = listing.is_some_and(|listing| Some(listing.reported_size) == self.octets);
                let is_it =
                    |listing: DropListing| Some(listing.count) == self.count && (has_the_sum || !self.wants_the_sum);
                if listing.is_some_and(is_it) {
                    self.is_sure = has_the_sum;
                    return Ok(None);
                }
                // A refusal and another number may be STAT's answer, any other words are none.
                let may_be = listing.is_some() || response.status == Status::Err;
                let asked = self.last.clone().filter(|_| may_be).ok_or_else(out_of_step)?;
                let number = asked.0;
                self.asked = Some(asked);
                Ok(Some(Command::Uidl(Some(number))))
            }
            CommandKind::Uidl(_) => {
                let asked = self.asked.as_ref().map(|(_, unique_id)| unique_id);
                if asked.is_none() || response.unique_id.as_deref() != asked {
                    return Err(out_of_step());
                }
                self.is_sure = true;
                // "+OK 4 400" may be STAT's answer. Then the next one is this one's, and not that to NOOP.
                Ok(listing().map(|_| Command::Noop))
            }
            CommandKind::Noop if self.asked.is_some() && listing().is_some() => Err(out_of_step()),
            CommandKind::Noop => {
                self.is_sure = self.asked.is_some();
                Ok(None)
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: Option<DropListing> = Some(DropListing { count: 4, reported_size: 1000 });

    const NAMES: [&[u8]; 2] = [b"abc", b"400"];

    /// A status line, as the session reads it in answer to this.
    fn response(to: CommandKind, line: &str) -> Response {
        let status = if line.starts_with("+OK") { Status::Ok } else { Status::Err };
        let text = line.split_once(' ').map_or("", |(_, text)| text).to_owned();
        let named = text.strip_prefix("4 ").filter(|_| matches!(to, CommandKind::Uidl(_)));
        let unique_id = named.and_then(|name| UniqueId::new(name.as_bytes()).ok());
        Response { status, code: None, text, decoded: None, unique_id: unique_id.map(Box::new) }
    }

    /// What is asked behind these answers, which are about the fourth of four messages.
    fn hear(name: &[u8], answers: &[(CommandKind, &str)]) -> Result<Option<CommandKind>, FramingError> {
        let number = MessageNumber::new(4).unwrap();
        let mut in_step = InStep::new(STAT);
        in_step.retrieves(&Listed { number, unique_id: UniqueId::new(name).ok(), reported_size: None });
        let mut next = Ok(None);
        for (to, line) in answers {
            next = in_step.hear(*to, &response(*to, line));
        }
        next.map(|question| question.map(|question| question.asked()))
    }

    #[test]
    fn what_nothing_else_answers_is_asked_where_stat_told_a_number() {
        assert_eq!(InStep::new(STAT).question().asked(), CommandKind::Stat);
        assert_eq!(InStep::new(None).question().asked(), CommandKind::Noop);
    }

    #[test]
    fn the_number_that_the_session_began_with_is_enough() {
        for name in NAMES {
            assert_eq!(hear(name, &[(CommandKind::Stat, "+OK 4 400")]), Ok(None));
        }
    }

    #[test]
    fn another_number_or_a_refusal_is_borne_out_by_a_unique_id() {
        let uidl = CommandKind::Uidl(MessageNumber::new(4));
        for stat in ["+OK 5 500", "+OK 0 0", "-ERR not now"] {
            for name in NAMES {
                let (stat, right) = ((CommandKind::Stat, stat), format!("+OK 4 {}", name.escape_ascii()));
                assert_eq!(hear(name, &[stat]), Ok(Some(uidl)));
                for wrong in ["+OK", "+OK 4 4000", "-ERR", "+OK 4 abcd"] {
                    assert!(hear(name, &[stat, (uidl, wrong)]).is_err(), "{wrong}");
                }
                let next = hear(name, &[stat, (uidl, &right)]);
                assert_eq!(next, Ok((name == b"400").then_some(CommandKind::Noop)));
                let noop = |answer| hear(name, &[stat, (uidl, &right), (CommandKind::Noop, answer)]);
                assert_eq!(noop("+OK"), Ok(None));
                assert!(
                    noop(&right).is_ok() == (name == b"abc"),
                    "what may have been STAT's answer is told by the next"
                );
            }
        }
    }

    #[test]
    fn the_answer_to_the_list_of_the_last_message_is_not_taken_for_that_to_stat() {
        let mut beside = InStep::new(STAT);
        beside.wants_the_sum();
        let number = MessageNumber::new(4).unwrap();
        beside.retrieves(&Listed { number, unique_id: UniqueId::new(b"abc").ok(), reported_size: None });
        let mut hear = |to, line| beside.hear(to, &response(to, line)).map(|next| next.map(|next| next.asked()));
        let uidl = CommandKind::Uidl(Some(number));
        assert_eq!(hear(CommandKind::Stat, "+OK 4 1000"), Ok(None));
        assert_eq!(hear(CommandKind::Stat, "+OK 4 400"), Ok(Some(uidl)), "it may have counted anew");
        assert_eq!(hear(uidl, "+OK 4 abc"), Ok(None));
        assert_eq!(hear(CommandKind::Stat, "+OK 4 400"), Ok(Some(uidl)));
        assert!(hear(uidl, "+OK 400 octets").is_err(), "that is the answer to RETR");
    }

    #[test]
    fn what_the_first_line_of_a_message_may_look_like_is_not_sure() {
        let number = MessageNumber::new(4).unwrap();
        let named = Listed { number, unique_id: UniqueId::new(b"abc").ok(), reported_size: None };
        let (stat, uidl, noop) = (CommandKind::Stat, CommandKind::Uidl(Some(number)), CommandKind::Noop);
        let counted_by_the_id = [(stat, "+OK 4 400"), (stat, "+OK 5 500"), (uidl, "+OK 4 abc")];
        for (told, answers, sure) in [
            (STAT, &[(stat, "+OK 4 1000")][..], true),
            (STAT, &[(stat, "+OK 4 400")], false),
            (STAT, &[(stat, "+OK 4 1000"), (stat, "+OK 4 400")], false),
            (STAT, &counted_by_the_id, true),
            (None, &[(noop, "+OK")], false),
            (None, &[(noop, "-ERR")], false),
        ] {
            let mut in_step = InStep::new(told);
            in_step.retrieves(&named);
            for (to, line) in answers {
                in_step.hear(*to, &response(*to, line)).unwrap();
            }
            assert_eq!(in_step.is_sure(), sure, "{answers:?}");
        }
    }

    #[test]
    fn behind_headers_the_sum_or_a_unique_id_tells() {
        let number = MessageNumber::new(4).unwrap();
        let listed = Listed { number, unique_id: UniqueId::new(b"abc").ok(), reported_size: None };
        let uidl = CommandKind::Uidl(Some(number));
        let behind = |told| {
            let maildrop = Maildrop { messages: vec![listed.clone()], told, ..Maildrop::default() };
            InStep::behind_headers(&maildrop, Some(number))
        };
        let hear = |in_step: &mut InStep, to, line| {
            in_step.hear(to, &response(to, line)).map(|next| next.map(|next| next.asked()))
        };
        let mut told = behind(STAT);
        assert_eq!(told.question().asked(), CommandKind::Stat);
        assert_eq!(hear(&mut told.clone(), CommandKind::Stat, "+OK 4 1000"), Ok(None));
        assert!(hear(&mut told.clone(), CommandKind::Stat, "+OK").is_err());
        assert_eq!(hear(&mut told, CommandKind::Stat, "+OK 4 400"), Ok(Some(uidl)));
        assert_eq!(behind(None).question().asked(), CommandKind::Noop);
    }

    #[test]
    fn what_is_no_answer_to_stat_shows_that_they_are_not() {
        for other in ["+OK", "+OK 4", "+OK 4 messages", "+OK\t4"] {
            assert!(hear(b"abc", &[(CommandKind::Stat, other)]).is_err(), "{other}");
        }
        let mut nameless = InStep::new(STAT);
        assert!(nameless.hear(CommandKind::Stat, &response(CommandKind::Stat, "+OK 5 500")).is_err());
    }
}
