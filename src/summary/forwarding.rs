//! The result of forwarding in a few words, and what went wrong in sentences.

use std::fmt;

use crate::advice;
use crate::forward::{ForwardReport, SetAside, Waiting};
use crate::text::Count;

/// Returns how many messages wait for their destination, as a sentence without its full stop.
pub(crate) fn in_the_spool(messages: u64) -> String {
    let verb = if messages == 1 { "waits" } else { "wait" };
    format!("{} {verb} in the spool", Count(messages, "message"))
}

/// The result of forwarding, in a few words.
pub(crate) struct Forwarded<'a>(pub(crate) &'a ForwardReport);

impl fmt::Display for Forwarded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(f, "{} forwarded", report.forwarded)?;
        match report.waiting.messages {
            0 => {}
            1 => f.write_str(", 1 waits in the spool")?,
            waiting => write!(f, ", {waiting} wait in the spool")?,
        }
        match report.waiting.set_aside {
            0 => Ok(()),
            aside => write!(f, ", {aside} set aside"),
        }
    }
}

impl ForwardReport {
    /// Returns what went wrong, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(why) = self.why_not_forwarded() {
            let waiting = self.waiting_here();
            let wait = if waiting > 0 { format!(". {}", in_the_spool(waiting)) } else { String::new() };
            warnings.push(format!("{why}{wait}"));
        }
        let Waiting { set_aside, first_set_aside, .. } = &self.waiting;
        if *set_aside > 0 {
            let (they, stay) = if *set_aside == 1 { ("is", "It stays") } else { ("are", "They stay") };
            warnings.push(format!(
                "{} {they} set aside and not forwarded: {}. {stay} in the spool and on the server. {}",
                Count(*set_aside, "message"),
                SetAside::listed(first_set_aside, *set_aside),
                advice::after_setting_aside(&self.account, first_set_aside)
            ));
        }
        warnings
    }

    /// Returns why mail did not reach its destination, and what to do about it. Messages that are set aside have
    /// reasons of their own.
    #[must_use]
    pub fn why_not_forwarded(&self) -> Option<String> {
        let why = match self.failure_text() {
            None if self.waiting_here() > 0 => "there was no time for all of it".to_owned(),
            why => why?,
        };
        Some(self.told(&why))
    }

    /// Returns how many messages wait, unless another process is forwarding them.
    fn waiting_here(&self) -> u64 {
        if self.is_busy_elsewhere() { 0 } else { self.waiting.messages }
    }
}
