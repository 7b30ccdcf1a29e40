//! Checks that the server's answers belong to our commands. PURE.
//!
//! A message that ends in the wrong place may be followed by a line that looks like an answer, and shift all answers by
//! one. So after the messages something is asked that no other command answers: STAT, which must report the number of
//! messages from the start of the session. Some servers update that count during the session, adding new messages or
//! leaving out retrieved ones; they are asked for the unique-id of one message instead. If STAT gave no count, NOOP has
//! to do.
//!
//! If sizes are asked for beside the messages, the answer to the last LIST looks like one to STAT except for the total
//! size, so that must match, too. The same holds after headers, whose answers decide what is recorded. And before
//! messages are deleted: where another message has taken the place of one during the session, though no server may let
//! that happen (RFC 1939, section 4), the numbers no longer mean what was retrieved under them. There a unique-id that the
//! server does not tell is no reason to end the session.
//!
//! The first line of a message may pass for the answer to NOOP and, on some servers, which put its number and size
//! there, for one to STAT with another total. Such an answer is not certain: a later one, if only that to QUIT, must
//! also come in order.

use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::{
    Command, CommandKind, DropListing, FramingError, MessageNumber, ReportedSize, Response, Status, UniqueId,
};

/// What the correct answers are.
#[derive(Debug, Clone)]
pub(crate) struct InStep {
    /// The number of messages that STAT reported at the start of the session, if it did.
    count: Option<u32>,
    /// The total size that it reported.
    octets: Option<ReportedSize>,
    /// Whether the total must match as well.
    sum: Sum,
    /// Whether only the right command can have produced the last answer.
    is_sure: bool,
    /// The message that was asked for last, if its unique-id is known.
    last: Option<(MessageNumber, UniqueId)>,
    /// The message whose unique-id was asked for because STAT's answer did not match.
    asked: Option<(MessageNumber, UniqueId)>,
    /// Whether STAT's last answer had the right number of messages.
    is_number_right: bool,
}

/// Whether the total size that STAT reports must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sum {
    /// No: the number of messages is enough.
    Ignored,
    /// If not, the unique-id of a message must, if the server tells it.
    OrUniqueId,
    /// If not, the unique-id of a message must.
    Needed,
}

impl InStep {
    /// Expects what STAT reported at the start of the session.
    pub(crate) fn new(told: Option<DropListing>) -> Self {
        let (count, octets) = told.map(|told| (told.count, told.reported_size)).unzip();
        Self { count, octets, sum: Sum::Ignored, is_sure: false, last: None, asked: None, is_number_right: false }
    }

    /// Expects what follows headers, the last of which is that of `last`.
    pub(crate) fn behind_headers(maildrop: &Maildrop, last: Option<MessageNumber>) -> Self {
        let mut in_step = Self::new(maildrop.told);
        in_step.wants_the_sum();
        let place =
            |number: MessageNumber| maildrop.messages.binary_search_by_key(&number, |listed| listed.number).ok();
        let last = last.and_then(place).and_then(|place| maildrop.messages.get(place));
        last.into_iter().for_each(|listed| in_step.retrieves(listed));
        in_step
    }

    /// Makes the total size count: other commands in flight have answers like STAT's, except for the total.
    pub(crate) fn wants_the_sum(&mut self) {
        self.sum = Sum::Needed;
    }

    /// Makes the total size count, because messages are to be deleted by their numbers.
    pub(crate) fn leads_to_deletions(&mut self) {
        self.sum = self.sum.max(Sum::OrUniqueId);
    }

    /// Whether only the right command can have produced the last answer. If not, a later answer decides.
    pub(crate) fn is_sure(&self) -> bool {
        self.is_sure
    }

    /// Records that this message is being asked for.
    pub(crate) fn retrieves(&mut self, listed: &Listed) {
        let named = listed.unique_id.as_ref().map(|unique_id| (listed.number, unique_id.clone()));
        self.last = named.or(self.last.take());
    }

    /// Returns the command to ask first.
    pub(crate) fn first_command(&self) -> Command {
        if self.count.is_some() { Command::Stat } else { Command::Noop }
    }

    /// Whether that command may be asked between messages, because no other command has the same answer.
    pub(crate) fn tells_between_messages(&self) -> bool {
        self.count.is_some()
    }

    /// Checks an answer. Returns the command to ask next to be sure, or None if the answer is right.
    pub(crate) fn on_response(
        &mut self,
        to: CommandKind,
        response: &Response,
    ) -> Result<Option<Command>, FramingError> {
        let out_of_step = || FramingError::out_of_step(to, &response.text);
        let listing = || DropListing::parse(&response.text).ok().filter(|_| response.status == Status::Ok);
        match to {
            CommandKind::Stat => {
                let listing = listing();
                let has_the_sum = listing.is_some_and(|listing| Some(listing.reported_size) == self.octets);
                self.is_number_right = listing.is_some_and(|listing| Some(listing.count) == self.count);
                let sum_will_do = match self.sum {
                    Sum::Ignored => true,
                    Sum::OrUniqueId => has_the_sum || self.last.is_none(),
                    Sum::Needed => has_the_sum,
                };
                if self.is_number_right && sum_will_do {
                    self.is_sure = has_the_sum;
                    return Ok(None);
                }
                // A refusal or another number may be STAT's answer; any other text cannot be.
                let may_be = listing.is_some() || response.status == Status::Err;
                let asked = self.last.clone().filter(|_| may_be).ok_or_else(out_of_step)?;
                let number = asked.0;
                self.asked = Some(asked);
                Ok(Some(Command::Uidl(Some(number))))
            }
            CommandKind::Uidl(_) => {
                if self.is_number_right && self.sum == Sum::OrUniqueId && response.status == Status::Err {
                    self.is_sure = false;
                    return Ok(None);
                }
                let asked = self.asked.as_ref().map(|(_, unique_id)| unique_id);
                if asked.is_none() || response.unique_id.as_deref() != asked {
                    return Err(out_of_step());
                }
                self.is_sure = true;
                // "+OK 4 400" may be STAT's answer. Then the next answer is that to UIDL, not that to NOOP.
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

    const STAT: Option<DropListing> = Some(DropListing { count: 4, reported_size: ReportedSize::new(1000) });

    const NAMES: [&[u8]; 2] = [b"abc", b"400"];

    /// A status line, as the session parses it in answer to this command.
    fn response(to: CommandKind, line: &str) -> Response {
        let status = if line.starts_with("+OK") { Status::Ok } else { Status::Err };
        let text = line.split_once(' ').map_or("", |(_, text)| text).to_owned();
        let named = text.strip_prefix("4 ").filter(|_| matches!(to, CommandKind::Uidl(_)));
        let unique_id = named.and_then(|name| UniqueId::new(name.as_bytes()).ok());
        Response { status, code: None, text, decoded: None, unique_id: unique_id.map(Box::new) }
    }

    /// What is asked next after these answers, which are about the fourth of four messages.
    fn next_after(name: &[u8], answers: &[(CommandKind, &str)]) -> Result<Option<CommandKind>, FramingError> {
        let number = MessageNumber::new(4).unwrap();
        let mut in_step = InStep::new(STAT);
        in_step.retrieves(&Listed { number, unique_id: UniqueId::new(name).ok(), reported_size: None });
        let mut next = Ok(None);
        for (to, line) in answers {
            next = in_step.on_response(*to, &response(*to, line));
        }
        next.map(|next| next.map(|command| command.kind()))
    }

    #[test]
    fn what_nothing_else_answers_is_asked_where_stat_told_a_number() {
        assert_eq!(InStep::new(STAT).first_command().kind(), CommandKind::Stat);
        assert_eq!(InStep::new(None).first_command().kind(), CommandKind::Noop);
    }

    #[test]
    fn the_number_that_the_session_began_with_is_enough() {
        for name in NAMES {
            assert_eq!(next_after(name, &[(CommandKind::Stat, "+OK 4 400")]), Ok(None));
        }
    }

    #[test]
    fn another_number_or_a_refusal_is_borne_out_by_a_unique_id() {
        let uidl = CommandKind::Uidl(MessageNumber::new(4));
        for stat in ["+OK 5 500", "+OK 0 0", "-ERR not now"] {
            for name in NAMES {
                let (stat, right) = ((CommandKind::Stat, stat), format!("+OK 4 {}", name.escape_ascii()));
                assert_eq!(next_after(name, &[stat]), Ok(Some(uidl)));
                for wrong in ["+OK", "+OK 4 4000", "-ERR", "+OK 4 abcd"] {
                    assert!(next_after(name, &[stat, (uidl, wrong)]).is_err(), "{wrong}");
                }
                let next = next_after(name, &[stat, (uidl, &right)]);
                assert_eq!(next, Ok((name == b"400").then_some(CommandKind::Noop)));
                let noop = |answer| next_after(name, &[stat, (uidl, &right), (CommandKind::Noop, answer)]);
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
        let mut next_after =
            |to, line| beside.on_response(to, &response(to, line)).map(|next| next.map(|next| next.kind()));
        let uidl = CommandKind::Uidl(Some(number));
        assert_eq!(next_after(CommandKind::Stat, "+OK 4 1000"), Ok(None));
        assert_eq!(next_after(CommandKind::Stat, "+OK 4 400"), Ok(Some(uidl)), "it may have counted anew");
        assert_eq!(next_after(uidl, "+OK 4 abc"), Ok(None));
        assert_eq!(next_after(CommandKind::Stat, "+OK 4 400"), Ok(Some(uidl)));
        assert!(next_after(uidl, "+OK 400 octets").is_err(), "that is the answer to RETR");
    }

    #[test]
    fn before_deletions_another_sum_needs_a_unique_id_where_there_is_one() {
        let (stat, uidl) = (CommandKind::Stat, CommandKind::Uidl(MessageNumber::new(4)));
        let listed = |unique_id: Option<&[u8]>| Listed {
            number: MessageNumber::new(4).unwrap(),
            unique_id: unique_id.map(|unique_id| UniqueId::new(unique_id).unwrap()),
            reported_size: None,
        };
        let after = |unique_id, answers: &[(CommandKind, &str)]| {
            let mut in_step = InStep::new(STAT);
            in_step.leads_to_deletions();
            in_step.retrieves(&listed(unique_id));
            let mut next = Ok(None);
            for (to, line) in answers {
                next = in_step.on_response(*to, &response(*to, line));
            }
            next.map(|next| (next.map(|command| command.kind()), in_step.is_sure()))
        };
        let named = Some(&b"abc"[..]);
        assert_eq!(after(named, &[(stat, "+OK 4 1000")]), Ok((None, true)));
        assert_eq!(after(named, &[(stat, "+OK 4 999")]), Ok((Some(uidl), false)));
        assert_eq!(after(named, &[(stat, "+OK 4 999"), (uidl, "+OK 4 abc")]), Ok((None, true)));
        assert!(after(named, &[(stat, "+OK 4 999"), (uidl, "+OK 4 abcd")]).is_err(), "another message has its number");
        assert_eq!(after(named, &[(stat, "+OK 4 999"), (uidl, "-ERR no")]), Ok((None, false)));
        assert!(after(named, &[(stat, "+OK 5 999"), (uidl, "-ERR no")]).is_err(), "nothing is right");
        assert_eq!(after(None, &[(stat, "+OK 4 999")]), Ok((None, false)), "there is nothing to ask for");
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
                in_step.on_response(*to, &response(*to, line)).unwrap();
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
            let mut maildrop = Maildrop::default();
            (maildrop.messages, maildrop.told) = (vec![listed.clone()], told);
            InStep::behind_headers(&maildrop, Some(number))
        };
        let next_after = |in_step: &mut InStep, to, line| {
            in_step.on_response(to, &response(to, line)).map(|next| next.map(|next| next.kind()))
        };
        let mut told = behind(STAT);
        assert_eq!(told.first_command().kind(), CommandKind::Stat);
        assert_eq!(next_after(&mut told.clone(), CommandKind::Stat, "+OK 4 1000"), Ok(None));
        assert!(next_after(&mut told.clone(), CommandKind::Stat, "+OK").is_err());
        assert_eq!(next_after(&mut told, CommandKind::Stat, "+OK 4 400"), Ok(Some(uidl)));
        assert_eq!(behind(None).first_command().kind(), CommandKind::Noop);
    }

    #[test]
    fn what_is_no_answer_to_stat_shows_that_they_are_not() {
        for other in ["+OK", "+OK 4", "+OK 4 messages", "+OK\t4"] {
            assert!(next_after(b"abc", &[(CommandKind::Stat, other)]).is_err(), "{other}");
        }
        let mut nameless = InStep::new(STAT);
        assert!(nameless.on_response(CommandKind::Stat, &response(CommandKind::Stat, "+OK 5 500")).is_err());
    }
}
