//! Notifications of what the user should know without looking: [`decide`] finds it out after each poll,
//! [`notification`] words it, [`grouping`] combines what many accounts have in common, and [`command_runner`] runs the
//! user's commands in the order of [`lines`].

pub(crate) mod decide;

pub(crate) mod notification;

pub(crate) mod command_runner;

mod lines;

pub(crate) mod grouping;

pub(crate) use command_runner::CommandRunner;
pub(crate) use decide::{NotifyState, PollFacts, after_poll};
pub(crate) use notification::Notification;
