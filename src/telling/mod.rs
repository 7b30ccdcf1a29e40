//! What a person should know without looking: [`decide`] finds it out after each poll, [`news`] puts it into words, [`run`]
//! runs the user's commands.

pub mod decide;

pub mod news;

pub mod run;

pub use decide::{Ended, Facts, Told, after_poll};
pub use news::News;
pub use run::Teller;
