//! What a person should know without looking: [`decide`] finds it out after each poll, [`notification`] puts it into words, [`command_runner`]
//! runs the user's commands.

pub mod decide;

pub mod notification;

pub mod command_runner;

pub use command_runner::CommandRunner;
pub use decide::{Ended, NotifyState, PollFacts, after_poll};
pub use notification::Notification;
