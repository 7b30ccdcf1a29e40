//! The messages that a server refuses to send: counts them and decides when to give up.
//!
//! Some servers refuse everything once a daily limit is reached, and say so for each message. A refusal that mentions a
//! limit waits for the next response: if that is another such refusal, or if there is none, it concerns all messages.

use crate::plan::maildrop::Listed;
use crate::pop3::{Response, is_download_limit};
use crate::state::entries::ListedAs;

/// After this many refusals in a row the newest messages are requested first: new mail must not wait behind thousands
/// of messages that cannot be retrieved.
const NEWEST_FIRST: u32 = 100;

/// After this many refusals in a row no further message is requested in this session.
const GIVE_UP: u32 = 300;

/// The refusals of a session.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// How many came in a row.
    in_a_row: u32,
    /// How many came in all, not counting those because of a limit.
    count: u64,
    /// The unique-ids and sizes of those in `count`; the octets of the unique-ids are shared with the listing.
    listed_as: Vec<ListedAs>,
    /// A message refused because of a limit, until the next response shows whether that concerns all messages.
    limited: Option<(Listed, Response)>,
    /// The limit because of which the server gives no more messages for now.
    limit: Option<Limit>,
}

/// A limit because of which the server gives no more messages for now.
#[derive(Debug)]
pub(super) struct Limit {
    /// The server's first response that mentioned it.
    pub(super) response: Response,
    /// The message requested then, if it has a unique-id. It may be larger than the limit.
    pub(super) first: Option<ListedAs>,
    /// How many messages it refused this way.
    pub(super) messages: u64,
}

impl Refusals {
    /// Notes a refused message. Refusals of single messages are reported with `tell`. Returns true if from now on the
    /// newest messages should be requested first.
    pub(super) fn refused(&mut self, listed: Listed, response: &Response, tell: impl Fn(&Listed, &Response)) -> bool {
        if !is_download_limit(response) {
            let turns = self.limited_was_alone(&tell);
            tell(&listed, response);
            return self.count(&listed) || turns;
        }
        if let Some(limit) = &mut self.limit {
            limit.messages += 1;
        } else if let Some((first, response)) = self.limited.take() {
            self.limit = Some(Limit { response, first: ListedAs::of(&first), messages: 2 });
        } else {
            self.limited = Some((listed, response.clone()));
        }
        false
    }

    /// Notes a message that came: a refusal because of a limit just before it concerned one message only. Returns true
    /// as above.
    pub(super) fn came(&mut self, tell: impl Fn(&Listed, &Response)) -> bool {
        let turns = self.limited_was_alone(&tell);
        self.in_a_row = 0;
        turns
    }

    /// Notes that no further response will come.
    pub(super) fn end(&mut self) {
        if let Some((first, response)) = self.limited.take() {
            self.limit = Some(Limit { response, first: ListedAs::of(&first), messages: 1 });
        }
    }

    fn limited_was_alone(&mut self, tell: &impl Fn(&Listed, &Response)) -> bool {
        let Some((listed, response)) = self.limited.take() else { return false };
        tell(&listed, &response);
        self.count(&listed)
    }

    fn count(&mut self, listed: &Listed) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.count += 1;
        self.listed_as.extend(ListedAs::of(listed));
        self.in_a_row == NEWEST_FIRST
    }

    /// Returns how many single messages were refused.
    pub(super) fn alone(&self) -> u64 {
        self.count
    }

    /// Returns their unique-ids and sizes, leaving out messages without a unique-id.
    pub(super) fn listed_as(&self) -> &[ListedAs] {
        &self.listed_as
    }

    /// Returns the limit because of which the server gives no more messages for now.
    pub(super) fn limit(&self) -> Option<&Limit> {
        self.limit.as_ref()
    }

    /// Returns how many messages were not given because of the limit.
    pub(super) fn not_given(&self) -> u64 {
        self.limit.as_ref().map_or(0, |limit| limit.messages)
    }

    /// Whether requesting more messages is pointless.
    pub(super) fn are_too_many(&self) -> bool {
        self.in_a_row >= GIVE_UP || self.limit.is_some()
    }

    /// Whether so many were refused in a row that the rest was not requested.
    pub(super) fn gave_up(&self) -> bool {
        self.in_a_row >= GIVE_UP
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::{MessageNumber, Status, UniqueId};

    fn says(text: &str) -> Response {
        Response { status: Status::Err, code: None, text: text.to_owned(), decoded: None, unique_id: None }
    }

    fn listed(n: u32) -> Listed {
        let number = MessageNumber::new(n).unwrap();
        Listed { number, unique_id: UniqueId::new(format!("u{n}").as_bytes()).ok(), reported_size: None }
    }

    fn refuse(refusals: &mut Refusals, n: u32) -> bool {
        refusals.refused(listed(n), &says("no"), |_, _| {})
    }

    fn limit(refusals: &mut Refusals, n: u32) {
        let told = |_: &Listed, _: &Response| panic!("told");
        assert!(!refusals.refused(listed(n), &says("Download exceed"), told));
    }

    #[test]
    fn refusals_in_a_row_turn_it_round_once_and_end_it() {
        let mut refusals = Refusals::default();
        let turned: Vec<u32> = (1..GIVE_UP).filter(|n| refuse(&mut refusals, *n)).collect();
        assert_eq!(turned, [NEWEST_FIRST]);
        assert!(!refusals.are_too_many());
        refusals.came(|_, _| {});
        assert!((1..GIVE_UP).filter(|n| refuse(&mut refusals, 1000 + n)).count() == 1);
        assert!(!refusals.are_too_many());
        refuse(&mut refusals, 9999);
        assert!(refusals.are_too_many() && refusals.gave_up());
    }

    #[test]
    fn all_are_counted_and_known() {
        let mut refusals = Refusals::default();
        (1..=1000).for_each(|n| _ = refuse(&mut refusals, n));
        assert_eq!((refusals.alone(), refusals.listed_as().len()), (1000, 1000));
    }

    #[test]
    fn words_of_a_limit_are_about_all_unless_something_else_comes_behind_them() {
        for others in [0, 1, 2] {
            let mut refusals = Refusals::default();
            (0..=others).for_each(|n| limit(&mut refusals, n + 1));
            assert_eq!((refusals.alone(), refusals.are_too_many()), (0, others > 0));
            refusals.end();
            assert_eq!((refusals.alone(), refusals.not_given()), (0, u64::from(others) + 1));
            assert_eq!(refusals.limit().unwrap().first, ListedAs::of(&listed(1)));
        }
        let told = std::cell::Cell::new(0);
        let tell = |_: &Listed, _: &Response| told.set(told.get() + 1);
        let mut refusals = Refusals::default();
        limit(&mut refusals, 1);
        refusals.came(tell);
        limit(&mut refusals, 2);
        refusals.refused(listed(3), &says("no"), tell);
        refusals.end();
        assert_eq!((told.get(), refusals.alone(), refusals.not_given()), (3, 3, 0));
    }
}
