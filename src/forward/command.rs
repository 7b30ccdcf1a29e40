//! Forwards mail to a command of the user's, which reads a message from its standard input. No shell is involved.
//!
//! Only the exit status counts: 0 means that the command has the message for good. We cannot guard against a command
//! that says so before its work would survive a power cut.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::arrived::Arrived;
use super::error::{CommandFailure, ForwardError};
use super::letter::{Letter, delivery_id, file};
use super::pass::{Pass, words};
use super::probe::find_program;
use crate::subprocess::{NoEnd, Running, Tail};
use crate::text;
use crate::watch::blocking;

/// How long a command may take for one message.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// What follows if a command does not say that it has the message, by `sysexits.h` and the conventions of qmail's
/// delivery programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Later,
    SetAside,
    /// The command itself is wrong, unless it fails like this for one message only.
    Broken,
}

fn verdict(code: i32) -> Verdict {
    match code {
        // EX_DATAERR, EX_NOUSER, EX_NOHOST, EX_UNAVAILABLE, EX_PROTOCOL, EX_NOPERM; 100: a permanent error.
        65 | 67 | 68 | 69 | 76 | 77 | 100 => Verdict::SetAside,
        // EX_USAGE, EX_CONFIG; 126 and 127 are a shell's for a command that cannot be run or was not found.
        64 | 78 | 126 | 127 => Verdict::Broken,
        // EX_TEMPFAIL, 111, and every status without a meaning of its own.
        _ => Verdict::Later,
    }
}

/// Runs the command for one message after the other.
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
            // Another message shows whether this one is at fault.
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
        if let Some(arrived) = Arrived::by_exit_status(&letter, status) {
            let arrived = pass.arrived(arrived);
            pass.record(vec![arrived]).await?;
            pass.accepts().await?;
            continue;
        }
        let Some(code) = status.code() else {
            let how = format!("was ended by signal {}{said}", status.signal().unwrap_or_default());
            pass.later(message, failed(program, &how, CommandFailure::Passing))?;
            continue;
        };
        let how = format!("ended with status {code}{said}");
        match verdict(code) {
            Verdict::Later => pass.later(message, failed(program, &how, CommandFailure::Passing))?,
            Verdict::SetAside => pass.refuses_for_good(message, &format!("{} {how}", name(program)))?,
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

/// Runs the command with a message. Returns its status and the end of its standard error.
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
    // The file itself, not a pipe: if mailferry is killed, a pipe ends early, and the command would take that for the
    // whole message.
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

/// Explains why the command did not start. A program that is missing or may not be run has refused nothing, and the
/// cause may be a message file that cannot be read.
async fn not_started(program: &OsStr, why: &io::Error, input: PathBuf) -> ForwardError {
    let (path, word) = (input.clone(), program.to_owned());
    let look = move || (File::open(&input), find_program(&word).is_some());
    let (opened, is_there) = blocking(look).await.unwrap_or_else(|e| (Err(e.into()), false));
    if let Err(source) = opened {
        return ForwardError::Spool { path, source };
    }
    let failure = match Errno::from_io_error(why) {
        Some(Errno::NOENT) if is_there => CommandFailure::NoProgram,
        Some(Errno::NOENT) => CommandFailure::NotThere,
        Some(Errno::ACCESS | Errno::PERM) => CommandFailure::NotExecutable,
        Some(Errno::NOEXEC) => CommandFailure::NoProgram,
        _ => CommandFailure::Passing,
    };
    failed(program, &format!("could not be started: {}", text::system(why)), failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_says_later_never_or_mend_me() {
        let all = |codes: &[i32]| codes.iter().map(|code| verdict(*code)).collect::<Vec<_>>();
        assert_eq!(all(&[65, 67, 68, 69, 76, 77, 100]), [Verdict::SetAside; 7]);
        assert_eq!(all(&[64, 78, 126, 127]), [Verdict::Broken; 4]);
        assert_eq!(all(&[1, 70, 71, 73, 74, 75, 111, 255]), [Verdict::Later; 8]);
    }
}
