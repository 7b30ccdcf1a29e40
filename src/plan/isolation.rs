//! Messages at which sessions of a poll broke and that wait for sessions of their own. PURE.
//!
//! Some servers have no unique-ids, and some change them with every session because they merely count. So such a
//! message is found again by its unique-id and size, or else by its number and size: numbers shift only when a session
//! ended by QUIT has deleted messages before it. If another message is mistaken for it all the same, it only waits its
//! turn: nothing is deleted or considered delivered because of this.

use std::collections::{HashMap, HashSet, VecDeque};

use super::turns::Turn;
use crate::plan::maildrop::{Listed, Maildrop};
use crate::pop3::MessageNumber;
use crate::state::entries::ListedAs;

/// The messages at which sessions of a poll broke.
#[derive(Debug, Clone, Default)]
pub struct IsolatedMessages {
    /// Those that wait for sessions of their own, the next one first.
    waiting: VecDeque<IsolatedMessage>,
    /// The one that has this session to itself. `None` once it is gone.
    current: Option<IsolatedMessage>,
    /// Those left alone for the rest of the poll: their own sessions broke, too, or they had one and have no unique-id.
    tried: Vec<IsolatedMessage>,
}

/// A message at which a session broke.
#[derive(Debug, Clone)]
struct IsolatedMessage {
    /// Its latest listing, with its current number.
    listed: Listed,
    /// It was listed under another unique-id before: the entry under the current one is about another message.
    is_renamed: bool,
}

/// An isolated message as a plan sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Isolation {
    /// When it may be handled.
    pub(super) turn: Turn,
    /// The entry under its unique-id is about another message.
    pub(super) is_renamed: bool,
}

impl IsolatedMessages {
    /// Notes that a session broke at this message. If it `was_tried` in a session of its own, it is left alone for the
    /// rest of the poll.
    pub fn add(&mut self, listed: &Listed, was_tried: bool) {
        let is_it = |one: &IsolatedMessage| one.listed.number == listed.number;
        let is_renamed = self.all().any(|one| is_it(one) && one.is_renamed);
        self.current.take_if(|current| is_it(current));
        if was_tried {
            self.waiting.retain(|waiting| !is_it(waiting));
        }
        let message = IsolatedMessage { listed: listed.clone(), is_renamed };
        match was_tried {
            _ if self.all().any(is_it) => {}
            false => self.waiting.push_back(message),
            // The state knows it by its unique-id, which other messages may share.
            true => self.tried.push(message),
        }
    }

    /// Sets the messages that wait, in this order, as they are listed now.
    pub fn wait(&mut self, messages: &[Listed]) {
        let renamed: HashSet<MessageNumber> =
            self.all().filter(|one| one.is_renamed).map(|one| one.listed.number).collect();
        let message =
            |listed: &Listed| IsolatedMessage { listed: listed.clone(), is_renamed: renamed.contains(&listed.number) };
        self.waiting = messages.iter().map(message).collect();
    }

    /// Returns how many wait for sessions of their own.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Gives the session that begins to the next one waiting.
    pub fn take_turn(&mut self) {
        self.current = self.waiting.pop_front();
    }

    /// Ends the session of the current one. If it is still there and has a unique-id, returns how it is listed.
    pub fn had_its_turn(&mut self) -> Option<ListedAs> {
        let had = self.current.take()?;
        let listed_as = ListedAs::of(&had.listed);
        if listed_as.is_none() {
            self.tried.push(had);
        }
        listed_as
    }

    /// Adjusts the numbers after the server has removed these messages at the end of a session.
    pub fn removed(&mut self, numbers: &[MessageNumber]) {
        let mut removed = numbers.to_vec();
        removed.sort_unstable();
        self.keep(|one| {
            let Err(before) = removed.binary_search(&one.listed.number) else { return false };
            let shifted = u32::try_from(before).ok().and_then(|before| one.listed.number.get().checked_sub(before));
            let Some(number) = shifted.and_then(MessageNumber::new) else { return false };
            one.listed.number = number;
            true
        });
    }

    /// Finds the messages in the listing of a new session and updates their sizes. One that is not listed is dropped.
    pub fn meet(&mut self, maildrop: &Maildrop) {
        if self.is_empty() {
            return;
        }
        let at = |number: MessageNumber| {
            let place = maildrop.messages.binary_search_by_key(&number, |listed| listed.number).ok()?;
            maildrop.messages.get(place)
        };
        let is_listed_so = |one: &&IsolatedMessage| at(one.listed.number) == Some(&one.listed);
        let mut found: HashSet<MessageNumber> = self.all().filter(is_listed_so).map(|one| one.listed.number).collect();
        let others = self.all().filter(|one| !is_listed_so(one));
        let mut by_name: HashMap<ListedAs, VecDeque<&Listed>> =
            others.filter_map(|one| Some((ListedAs::of(&one.listed)?, VecDeque::new()))).collect();
        let listing = if by_name.is_empty() { &[] } else { maildrop.messages.as_slice() };
        for listed in listing {
            let alike = ListedAs::of(listed).filter(|_| !found.contains(&listed.number));
            if let Some(alike) = alike.and_then(|name| by_name.get_mut(&name)) {
                alike.push_back(listed);
            }
        }
        self.keep(|one| {
            if is_listed_so(&&*one) {
                return true;
            }
            let Listed { number, unique_id, reported_size } = &one.listed;
            let alike = ListedAs::of(&one.listed).and_then(|name| by_name.get_mut(&name)?.pop_front());
            let is_there = |listed: &&Listed| {
                let is_named = listed.unique_id.is_some() == unique_id.is_some();
                let is_same = unique_id.is_some() && listed.unique_id == *unique_id;
                is_named && (is_same || listed.reported_size == *reported_size) && !found.contains(number)
            };
            let Some(listed) = alike.or_else(|| at(*number).filter(is_there)) else { return false };
            found.insert(listed.number);
            one.is_renamed |= listed.unique_id != *unique_id;
            one.listed = listed.clone();
            true
        });
    }

    /// Returns when each message may be handled, by its number in the session that was met.
    pub(super) fn by_number(&self) -> HashMap<MessageNumber, Isolation> {
        let have =
            |turn| move |one: &IsolatedMessage| (one.listed.number, Isolation { turn, is_renamed: one.is_renamed });
        let tried = self.tried.iter().map(have(Turn::Tried));
        let waiting = self.waiting.iter().map(have(Turn::OtherSession));
        tried.chain(waiting).chain(self.current.iter().map(have(Turn::Now))).collect()
    }

    fn all(&self) -> impl Iterator<Item = &IsolatedMessage> {
        self.current.iter().chain(&self.waiting).chain(&self.tried)
    }

    /// Drops the messages for which `is_kept` returns false.
    fn keep(&mut self, mut is_kept: impl FnMut(&mut IsolatedMessage) -> bool) {
        self.current.take_if(|one| !is_kept(one));
        self.waiting.retain_mut(&mut is_kept);
        self.tried.retain_mut(&mut is_kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop3::{ReportedSize, UniqueId};

    fn number(n: u32) -> MessageNumber {
        MessageNumber::new(n).unwrap()
    }

    /// A message without a unique-id.
    fn nameless(n: u32, size: u64) -> Listed {
        Listed { number: number(n), unique_id: None, reported_size: Some(ReportedSize::new(size)) }
    }

    fn named(n: u32, unique_id: &str, size: u64) -> Listed {
        Listed { unique_id: UniqueId::new(unique_id.as_bytes()).ok(), ..nameless(n, size) }
    }

    fn maildrop(messages: &[Listed]) -> Maildrop {
        Maildrop { messages: messages.to_vec(), ..Maildrop::default() }
    }

    /// Returns when these messages, which are all that is listed, may be handled; `None` for one that is not isolated.
    fn turns<const N: usize>(isolated: &mut IsolatedMessages, messages: &[Listed; N]) -> [Option<Turn>; N] {
        isolated.meet(&maildrop(messages));
        let by_number = isolated.by_number();
        std::array::from_fn(|place| by_number.get(&messages[place].number).map(|isolation| isolation.turn))
    }

    const NOW: Option<Turn> = Some(Turn::Now);
    const LATER: Option<Turn> = Some(Turn::OtherSession);
    const NEVER: Option<Turn> = Some(Turn::Tried);

    #[test]
    fn each_has_a_session_of_its_own_in_its_turn_and_no_second_one() {
        let mut isolated = IsolatedMessages::default();
        isolated.add(&nameless(3, 30), false);
        isolated.add(&nameless(1, 10), false);
        isolated.add(&nameless(5, 50), true);
        let all = [nameless(1, 10), nameless(2, 20), nameless(3, 30), nameless(5, 50)];
        assert_eq!(turns(&mut isolated, &all), [LATER, None, LATER, NEVER]);
        isolated.take_turn();
        assert_eq!(turns(&mut isolated, &all), [LATER, None, NOW, NEVER]);
        assert_eq!(isolated.had_its_turn(), None);
        isolated.take_turn();
        assert_eq!((turns(&mut isolated, &all), isolated.waiting()), ([NOW, None, NEVER, NEVER], 0));
        isolated.add(&nameless(1, 10), true);
        assert_eq!((turns(&mut isolated, &all), isolated.had_its_turn()), ([NEVER, None, NEVER, NEVER], None));
    }

    #[test]
    fn the_turn_of_one_that_goes_with_its_session_is_not_that_of_the_next() {
        let mut isolated = IsolatedMessages::default();
        isolated.add(&nameless(1, 10), false);
        isolated.add(&nameless(2, 20), false);
        isolated.take_turn();
        isolated.removed(&[number(1)]);
        isolated.had_its_turn();
        isolated.take_turn();
        assert_eq!((isolated.waiting(), turns(&mut isolated, &[nameless(1, 20)])), (0, [NOW]));
        isolated.removed(&[]);
        isolated.had_its_turn();
        assert_eq!(turns(&mut isolated, &[nameless(1, 20)]), [NEVER]);
    }

    #[test]
    fn numbers_shift_by_what_was_removed_before_them() {
        let mut isolated = IsolatedMessages::default();
        for (n, size) in [(2, 20), (4, 40), (6, 60)] {
            isolated.add(&nameless(n, size), false);
        }
        isolated.removed(&[number(5), number(1), number(3), number(4), number(7)]);
        assert_eq!(isolated.waiting(), 2, "4 is gone");
        assert_eq!(turns(&mut isolated.clone(), &[nameless(1, 20), nameless(2, 60)]), [LATER, LATER]);
        assert_eq!(turns(&mut isolated.clone(), &[nameless(1, 21), nameless(2, 60)]), [None, LATER], "another size");
        assert_eq!(turns(&mut isolated, &[named(1, "a", 20), nameless(2, 60)]), [None, LATER], "it has a name");
    }

    #[test]
    fn one_is_found_by_its_unique_id_or_where_that_is_not_listed_by_its_number() {
        let mut isolated = IsolatedMessages::default();
        isolated.add(&named(2, "b", 20), false);
        isolated.add(&named(4, "d", 40), false);
        let mut moved = isolated.clone();
        let listing = [named(1, "b", 20), named(2, "x", 20), named(3, "y", 40), named(4, "d", 41)];
        assert_eq!(turns(&mut moved, &listing), [LATER, None, None, LATER], "its size may be told anew");
        let renamed = |isolated: &IsolatedMessages, n| isolated.by_number().get(&number(n)).map(|one| one.is_renamed);
        assert_eq!(renamed(&moved, 1), Some(false));
        isolated.removed(&[number(1)]);
        let counted = [named(1, "a", 20), named(2, "b", 30), named(3, "c", 40)];
        assert_eq!(turns(&mut isolated, &counted), [LATER, None, LATER]);
        assert_eq!((renamed(&isolated, 1), renamed(&isolated, 3)), (Some(true), Some(true)));
        isolated.take_turn();
        isolated.wait(&counted[2..]);
        assert_eq!(renamed(&isolated, 3), Some(true), "that is kept as long as it waits");
        isolated.take_turn();
        assert_eq!(isolated.clone().had_its_turn(), ListedAs::of(&counted[2]));
        isolated.add(&counted[2], true);
        assert_eq!((turns(&mut isolated, &[named(3, "z", 40)]), isolated.had_its_turn()), ([NEVER], None));
    }

    #[test]
    fn two_that_are_listed_alike_are_two() {
        let mut isolated = IsolatedMessages::default();
        let alike = [named(1, "a", 10), named(2, "a", 10), named(3, "a", 10)];
        isolated.wait(&alike[1..]);
        isolated.take_turn();
        assert_eq!(turns(&mut isolated, &alike), [None, NOW, LATER]);
    }
}
