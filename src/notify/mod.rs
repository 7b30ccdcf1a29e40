//! What a person should know without looking: [`decide`] finds it out after each poll, [`notification`] puts it into words, [`grouping`] tells
//! together what belongs together, [`command_runner`] runs the user's commands.

pub(crate) mod decide;

pub(crate) mod notification;

pub(crate) mod command_runner;

pub(crate) mod grouping;

pub(crate) use command_runner::CommandRunner;
pub(crate) use decide::{NotifyState, PollFacts, after_poll};
pub(crate) use notification::Notification;
