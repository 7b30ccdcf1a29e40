//! To a command of the user's, which reads a message from its standard input. No shell comes between.
//!
//! How it ends is what counts: 0 means that it has the message, for good. A command that says so before what it has done
//! would survive a power cut is beyond what we can promise.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use super::error::{CommandFailure, ForwardError};
use super::letter::{Letter, delivery_id, file};
use super::pass::{Pass, words};
use crate::subprocess::{NoEnd, Running, Tail};
use crate::text;
use crate::watch::blocking;

/// A command has so long for one message.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// What an exit status says: `sysexits.h`, and what qmail's deliverers end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Delivered,
    Later,
    SetAside,
    /// The command itself is wrong, unless it is so for this message alone.
    Broken,
}

fn verdict(code: i32) -> Verdict {
    match code {
        // 99: delivered, and no further instruction is to be followed.
        0 | 99 => Verdict::Delivered,
        // EX_DATAERR, EX_NOUSER, EX_NOHOST, EX_UNAVAILABLE, EX_PROTOCOL, EX_NOPERM; 100: a permanent error.
        65 | 67 | 68 | 69 | 76 | 77 | 100 => Verdict::SetAside,
        // EX_USAGE, EX_CONFIG; what a shell says of a command that is not there, or not one.
        64 | 78 | 126 | 127 => Verdict::Broken,
        // EX_TEMPFAIL, 111, and whatever says nothing.
        _ => Verdict::Later,
    }
}

/// Gives the command one message after the other.
pub(super) async fn deliver(pass: &Arc<Pass>, command: &[OsString]) -> Result<(), ForwardError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    while let Some(message) = pass.next() {
        if pass.is_set_aside_for_breaks(&message).await? {
            continue;
        }
        let Some(letter) = pass.measure(message, String::new()).await? else { continue };
        let message = &letter.spooled;
        let (status, said) = match pass.watch(&message.name, run(pass, program, arguments, &letter)).await {
            Ok(ended) => ended,
            // Another message tells whether it is this one's fault.
            Err(e @ ForwardError::Command { failure: CommandFailure::Passing, .. }) => {
                pass.broke_off(message).await?;
                pass.doubts(message, e)?;
                continue;
            }
            Err(e @ ForwardError::Spool { .. }) => {
                pass.later(message, e)?;
                continue;
            }
            Err(e) => return Err(e),
        };
        let Some(code) = status.code() else {
            pass.later(message, failed(program, &format!("was ended by a signal{said}"), CommandFailure::Passing))?;
            continue;
        };
        let how = format!("ended with status {code}{said}");
        match verdict(code) {
            Verdict::Delivered => {
                let arrived = pass.arrived(&letter, None);
                pass.has_no_doubt();
                pass.record(vec![arrived]).await?;
            }
            Verdict::Later => pass.later(message, failed(program, &how, CommandFailure::Passing))?,
            Verdict::SetAside => pass.set_aside(message, &format!("{} {how}", name(program))).await?,
            Verdict::Broken => pass.doubts(message, failed(program, &how, CommandFailure::Lasting))?,
        }
    }
    Ok(())
}

fn name(program: &OsStr) -> String {
    text::value(&program.to_string_lossy())
}

fn failed(program: &OsStr, what: &str, failure: CommandFailure) -> ForwardError {
    ForwardError::Command { program: name(program), what: words(what), failure }
}

/// Runs the command with a message; its status, and the end of what it wrote to its standard error.
async fn run(
    pass: &Pass,
    program: &OsStr,
    arguments: &[OsString],
    letter: &Letter,
) -> Result<(ExitStatus, String), ForwardError> {
    let failed = |what: &str| failed(program, what, CommandFailure::Passing);
    let environment = [
        ("MAILFERRY_ACCOUNT", OsString::from(pass.name.as_str())),
        ("MAILFERRY_DELIVERY_ID", OsString::from(delivery_id(&letter.spooled.name))),
        ("MAILFERRY_SIZE", OsString::from(letter.spooled.size().to_string())),
    ];
    // The file itself, not a pipe: if mailferry is killed, a pipe would end early, and the command take that for the whole.
    let input = file(&letter.spooled);
    let running = match Running::start_fed(program, arguments, environment, &input).await {
        Ok(running) => running,
        Err(e) => return Err(not_started(program, &e, input).await),
    };
    let (mut output, mut errors) = (Tail::default(), Tail::default());
    let ended = running.follow(LIMIT, &mut output, &mut errors).await;
    let said = errors.text();
    let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
    match ended {
        Ok(status) => Ok((status, said)),
        Err(NoEnd::TimedOut) => Err(failed(&format!("was ended after {} s{said}", LIMIT.as_secs()))),
        Err(NoEnd::TooMuch) => Err(failed(&format!("printed too much{said}"))),
        Err(NoEnd::Lost(e)) => Err(failed(&format!("could not be followed: {}", text::system(&e)))),
    }
}

/// Where the program is missing, or may not be run, nobody has refused anything. It may be the message that cannot be read.
async fn not_started(program: &OsStr, why: &io::Error, input: PathBuf) -> ForwardError {
    let path = input.clone();
    if let Ok(Err(source)) = blocking(move || File::open(&input)).await {
        return ForwardError::Spool { path, source };
    }
    let is_missing = matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied);
    let failure = if is_missing { CommandFailure::NotThere } else { CommandFailure::Passing };
    failed(program, &format!("could not be started: {}", text::system(why)), failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_says_delivered_later_never_or_mend_me() {
        let all = |codes: &[i32]| codes.iter().map(|code| verdict(*code)).collect::<Vec<_>>();
        assert_eq!(all(&[0, 99]), [Verdict::Delivered; 2]);
        assert_eq!(all(&[65, 67, 68, 69, 76, 77, 100]), [Verdict::SetAside; 7]);
        assert_eq!(all(&[64, 78, 126, 127]), [Verdict::Broken; 4]);
        assert_eq!(all(&[1, 70, 71, 73, 74, 75, 111, 255]), [Verdict::Later; 8]);
    }
}
