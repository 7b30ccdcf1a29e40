//! `mailferry console`: a logged-in POP3 prompt. It sends what is typed and shows the responses, made safe for a
//! terminal. It does not touch the state; what it deletes, the user has asked to delete.

mod input;
mod request;
mod shown;

use std::sync::Arc;

use super::arguments::{Arguments, Console};
use super::output::{say, stderr_line};
use super::prepare;
use super::wrapped::{say_sentence, stderr_sentence};
use crate::account::{Account, AccountName};
use crate::advice::commands::console as advice;
use crate::client::login::{CachedCapabilities, log_in};
use crate::client::{ByHand, Client, ClientError, Redactor, ResponsePart};
use crate::config::{Config, Environment};
use crate::exit::ExitStatus;
use crate::poll::{PollContext, PollError, credential};
use crate::pop3::{Capabilities, Command, MessageNumber, Status};
use crate::state::hold::hold;
use crate::text::{Count, words_in};
use crate::threads::{NotDone, blocking};
use input::{Input, Line};
use request::{Request, help};
use shown::Shown;
use tokio_util::sync::CancellationToken;

/// Runs the command.
pub(super) async fn run(arguments: &Arguments, options: &Console) -> ExitStatus {
    let environment = Environment::from_process();
    let prepared = prepare::configuration(arguments, &environment).and_then(|config: Config| {
        let context = prepare::context(arguments, &environment, &config, "console")?;
        Ok((config, context))
    });
    let (config, context) = match prepared {
        Ok(prepared) => prepared,
        Err(e) => {
            stderr_line(super::rendered(&e));
            return ExitStatus::Config;
        }
    };
    let account =
        match config.select(std::slice::from_ref(&options.account)).map(|found| found.first().copied().cloned()) {
            Ok(Some(account)) => account,
            Ok(None) => return ExitStatus::Usage,
            Err(e) => {
                stderr_line(format_args!("mailferry: {e}"));
                return ExitStatus::Usage;
            }
        };
    match talk(&context, &account, arguments, options).await {
        Ok(status) => status,
        Err(e) => {
            stderr_sentence(format_args!(
                "{}: {}",
                account.name,
                crate::advice::told_without_waiting(&e, &account.name)
            ));
            e.exit_status()
        }
    }
}

/// Logs in and runs commands until the user quits.
async fn talk(
    context: &PollContext,
    account: &Account,
    arguments: &Arguments,
    options: &Console,
) -> Result<ExitStatus, PollError> {
    let (disk, dir, name, holder) =
        (Arc::clone(&context.disk), context.state_dir.clone(), account.name.clone(), context.holder.clone());
    // The account's lock: servers let in one session at a time, so no other mailferry may poll meanwhile.
    let _held = blocking(move || hold(&*disk, &dir, &name, &holder)).await.map_err(|e| e.doing("take the lock"))??;
    let obtained = credential::obtain(context, account, None, &CancellationToken::new()).await?;
    let password = obtained.credential.secret();
    let cached = CachedCapabilities { one_at_a_time: true, ..CachedCapabilities::default() };
    let logged_in = log_in(&*context.dialer, account, password, &cached).await?;
    let mut client = logged_in.client;
    // CAPA is sent again after the login: some servers announce only now what they do at QUIT.
    let capabilities = announced(&mut client).await?.or(logged_in.capabilities);
    let takes_away = capabilities.as_ref().is_some_and(Capabilities::removes_what_was_retrieved);
    let input = Input::new();
    let talk = Talk {
        account: account.name.clone(),
        interactive: input.is_terminal(),
        yes: options.yes,
        redactor: Redactor::new(&account.username, password),
        marked: Vec::new(),
        failed: ExitStatus::Ok,
        takes_away,
    };
    if talk.interactive && !arguments.quiet {
        let user = words_in(account.username.as_bytes());
        say_sentence(format_args!(
            "Logged in as {user} at {} with {}.",
            account.endpoint.host,
            logged_in.method.in_words()
        ));
        say_sentence(advice::HELP);
    }
    talk.run(client, input, &format!("{}> ", account.name)).await.map_err(PollError::from)
}

/// Asks for the server's capabilities after the login.
async fn announced(client: &mut Client) -> Result<Option<Capabilities>, ClientError> {
    let mut capabilities = None;
    client
        .converse([Command::Capa], |_, part| match part {
            ResponsePart::Response(response) if response.status == Status::Ok => {
                capabilities = Some(Capabilities::new());
            }
            ResponsePart::Line(line) => {
                if let Some(capabilities) = &mut capabilities {
                    Capabilities::add_line(capabilities, line);
                }
            }
            _ => {}
        })
        .await?;
    Ok(capabilities)
}

/// A session at the prompt.
struct Talk {
    /// The account.
    account: AccountName,
    /// Whether a user is at a terminal: then there is a prompt, and questions are asked.
    interactive: bool,
    /// Whether DELE is sent without asking.
    yes: bool,
    /// Hides the password in the server's responses.
    redactor: Redactor,
    /// The messages marked as deleted, which go at QUIT.
    marked: Vec<MessageNumber>,
    /// The exit status: that of the first failure, if nobody is at a terminal to see it.
    failed: ExitStatus,
    /// Whether QUIT also deletes what was retrieved.
    takes_away: bool,
}

impl Talk {
    async fn run(mut self, mut client: Client, mut input: Input, prompt: &str) -> Result<ExitStatus, ClientError> {
        loop {
            let (read, prompt) = (input, prompt.to_owned());
            let (back, read) = match blocking(move || read.line(prompt)).await {
                Ok(read) => read,
                Err(e) => return self.no_input(client, e).await,
            };
            input = back;
            let line = match read {
                Line::Text(line) => line,
                Line::Again => continue,
                Line::End => return self.end_without_quit(client).await,
            };
            let request = match Request::read(&line) {
                Ok(None) => continue,
                Ok(Some(request)) => request,
                Err(wrong) => {
                    self.fail(ExitStatus::Usage, &advice::not_sent(&wrong));
                    continue;
                }
            };
            input.remember(&line);
            match request {
                Request::Help => say(help()),
                Request::Quit => return self.quit(client).await,
                Request::Delete(number) => {
                    let answer;
                    (input, answer) = match self.ask_before(input, number).await {
                        Ok(answered) => answered,
                        Err(e) => return self.no_input(client, e).await,
                    };
                    if answer {
                        self.delete(&mut client, number).await?;
                    }
                }
                Request::Send(command) => self.send(&mut client, command).await?,
            }
        }
    }

    /// Sends a command and shows the response.
    async fn send(&mut self, client: &mut Client, command: Command) -> Result<(), ClientError> {
        let (reset, retrieves) = (matches!(command, Command::Rset), matches!(command, Command::Retr(_)));
        let mut shown = Shown::new(&command, &self.redactor);
        client.converse([command], |_, part| shown.part(&part)).await?;
        let refused = shown.was_refused();
        if refused {
            self.note_failure(ExitStatus::Partial);
        } else if reset {
            self.marked.clear();
        } else if retrieves && self.takes_away {
            self.takes_away = false;
            stderr_sentence(advice::KEEP);
        }
        Ok(())
    }

    /// Asks whether the user really wants to delete the message.
    async fn ask_before(&mut self, input: Input, number: MessageNumber) -> Result<(Input, bool), NotDone> {
        if self.yes {
            return Ok((input, true));
        }
        if !self.interactive {
            self.fail(ExitStatus::Usage, &advice::delete_unasked(number, &self.account));
            return Ok((input, false));
        }
        let question = format!("Delete message {number} on the server at QUIT? [y/N] ");
        let (input, answer) = blocking(move || input.line(question)).await?;
        let yes =
            matches!(&answer, Line::Text(text) if matches!(text.trim().to_ascii_lowercase().as_str(), "y" | "yes"));
        if !yes {
            say("not marked");
        }
        Ok((input, yes))
    }

    async fn delete(&mut self, client: &mut Client, number: MessageNumber) -> Result<(), ClientError> {
        let response = client.delete_by_hand(&ByHand::confirmed(number)).await?;
        shown::status(&response, &self.redactor);
        if response.status == Status::Ok {
            self.marked.push(number);
            if self.interactive {
                say(advice::UNDO);
            }
        } else {
            self.note_failure(ExitStatus::Partial);
        }
        Ok(())
    }

    async fn quit(mut self, client: Client) -> Result<ExitStatus, ClientError> {
        let marked = self.marked.len();
        let done = client.quit().await?;
        if !done {
            self.fail(ExitStatus::Partial, "the server refused QUIT: what was marked may still be there");
        } else if marked > 0 {
            say(format_args!("+OK, {} deleted", Count::of(marked, "message")));
        } else {
            say("+OK");
        }
        Ok(self.status())
    }

    /// Handles the end of the input without QUIT: nobody has confirmed that the marked messages are to go.
    async fn end_without_quit(mut self, mut client: Client) -> Result<ExitStatus, ClientError> {
        if !self.marked.is_empty() {
            let reset = client.exchange(Command::Rset).await?;
            if reset.status != Status::Ok {
                // Closing the connection without QUIT discards the marks.
                stderr_line("the session is closed without QUIT, so nothing is deleted");
                return Ok(self.status());
            }
            self.fail(ExitStatus::Partial, "ended without QUIT: nothing was deleted");
        }
        client.quit().await?;
        Ok(self.status())
    }

    /// Ends the session because the system has no thread to read input with.
    async fn no_input(self, client: Client, error: NotDone) -> Result<ExitStatus, ClientError> {
        drop(client);
        stderr_line(format_args!("mailferry: {error}"));
        Ok(ExitStatus::Temporary)
    }

    fn fail(&mut self, status: ExitStatus, words: &str) {
        stderr_sentence(words);
        self.note_failure(status);
    }

    fn note_failure(&mut self, status: ExitStatus) {
        if self.failed == ExitStatus::Ok {
            self.failed = status;
        }
    }

    /// Returns the exit status: success at a terminal, where the user has seen every failure.
    fn status(&self) -> ExitStatus {
        if self.interactive { ExitStatus::Ok } else { self.failed }
    }
}
