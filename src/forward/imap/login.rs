//! Logging in to an IMAP server.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::zeroize::Zeroizing;

use super::response::{Condition, Kind, Line};
use super::session::{Session, refusal};
use crate::account::{AuthChoice, ImapDestination};
use crate::forward::error::ForwardError;
use crate::forward::pass::words;
use crate::sasl;
use crate::secret::Secret;

/// How many questions the server may ask before it answers.
const MOST_QUESTIONS: u32 = 10;

/// What the log shows in place of names and secrets.
const HIDDEN: &str = "[...]";

impl Session {
    /// Logs in.
    pub(super) async fn log_in(&mut self, to: &ImapDestination, secret: &Secret) -> Result<(), ForwardError> {
        match self.mechanism(to, secret)? {
            Some((mechanism, response)) => self.authenticate(mechanism, &response).await,
            None => self.log_in_by_login(to, secret).await,
        }
    }

    /// Returns the SASL mechanism to log in with, and its initial response. None if LOGIN is to be used.
    fn mechanism(&self, to: &ImapDestination, secret: &Secret) -> Result<Option<(&'static str, Secret)>, ForwardError> {
        let endpoint = &to.endpoint;
        let unsendable = |e: sasl::SaslError| ForwardError::Login { response: e.to_string() };
        let offers = |mechanism: &str| self.has(mechanism);
        Ok(Some(match to.auth {
            AuthChoice::OAuthBearer => {
                let response = sasl::oauthbearer(&to.username, secret, &endpoint.host, endpoint.port);
                ("OAUTHBEARER", response.map_err(unsendable)?)
            }
            AuthChoice::XOAuth2 => ("XOAUTH2", sasl::xoauth2(&to.username, secret).map_err(unsendable)?),
            _ if to.uses_token && offers("AUTH=OAUTHBEARER") && !offers("AUTH=XOAUTH2") => {
                let response = sasl::oauthbearer(&to.username, secret, &endpoint.host, endpoint.port);
                ("OAUTHBEARER", response.map_err(unsendable)?)
            }
            _ if to.uses_token => ("XOAUTH2", sasl::xoauth2(&to.username, secret).map_err(unsendable)?),
            AuthChoice::Plain => ("PLAIN", sasl::plain_response(&to.username, secret)),
            AuthChoice::Auto if offers("AUTH=PLAIN") => ("PLAIN", sasl::plain_response(&to.username, secret)),
            _ => return Ok(None),
        }))
    }

    async fn authenticate(&mut self, mechanism: &str, response: &Secret) -> Result<(), ForwardError> {
        const DOING: &str = "log in";
        let encoded = Zeroizing::new(BASE64_STANDARD.encode(response.expose()));
        let at_once = self.has("SASL-IR");
        let command = match at_once {
            true => Zeroizing::new(format!("AUTHENTICATE {mechanism} {}", encoded.as_str())),
            false => Zeroizing::new(format!("AUTHENTICATE {mechanism}")),
        };
        let shown = if at_once { format!("AUTHENTICATE {mechanism} {HIDDEN}") } else { command.to_string() };
        self.command_shown_as(DOING, &command, &shown).await?;
        let (mut sent, mut questions) = (at_once, 0);
        loop {
            match self.next_line(DOING).await? {
                Line::Continue if questions == MOST_QUESTIONS => {
                    let what = "+ again and again".to_owned();
                    return Err(ForwardError::Protocol { doing: DOING, what });
                }
                Line::Continue if !sent => {
                    sent = true;
                    self.dialogue.line('C', || HIDDEN);
                    let line = Zeroizing::new(format!("{}\r\n", encoded.as_str()));
                    self.send(DOING, line.as_bytes()).await?;
                }
                // The server tells why it refused a token, and an empty response asks it to end.
                Line::Continue => {
                    questions += 1;
                    self.send(DOING, b"\r\n").await?;
                }
                Line::Tagged(_, done) => return logged_in(&done),
                Line::Condition(_) | Line::Data(_) => {}
            }
        }
    }

    async fn log_in_by_login(&mut self, to: &ImapDestination, secret: &Secret) -> Result<(), ForwardError> {
        const DOING: &str = "log in";
        if self.has("LOGINDISABLED") {
            return Err(ForwardError::Login { response: "LOGINDISABLED".to_owned() });
        }
        let tag = self.next_tag();
        self.dialogue.line('C', || format!("{tag} LOGIN {HIDDEN} {HIDDEN}"));
        let quotable = |octets: &[u8]| octets.iter().all(|c| matches!(c, b' '..=b'~'));
        let mut line = Zeroizing::new(format!("{tag} LOGIN").into_bytes());
        for argument in [to.username.as_bytes(), secret.expose()] {
            line.push(b' ');
            if quotable(argument) {
                line.push(b'"');
                for octet in argument {
                    if matches!(octet, b'"' | b'\\') {
                        line.push(b'\\');
                    }
                    line.push(*octet);
                }
                line.push(b'"');
            } else {
                line.extend_from_slice(format!("{{{}}}\r\n", argument.len()).as_bytes());
                self.send(DOING, &line).await?;
                line.clear();
                if let Some(refused) = self.continuation(DOING).await? {
                    return Err(login_refused(&refused));
                }
                line.extend_from_slice(argument);
            }
        }
        line.extend_from_slice(b"\r\n");
        self.send(DOING, &line).await?;
        logged_in(&self.answer(DOING, |_| {}).await?)
    }
}

fn logged_in(done: &Condition) -> Result<(), ForwardError> {
    if done.kind == Kind::Ok {
        return Ok(());
    }
    // Some servers are out of room or under maintenance for now (RFC 5530).
    let later = ["UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT"].iter().any(|code| done.code(code).is_some())
        || done.text.to_ascii_lowercase().contains("too many");
    if later { Err(refusal("log in", done)) } else { Err(login_refused(done)) }
}

fn login_refused(condition: &Condition) -> ForwardError {
    ForwardError::Login { response: words(&condition.words()) }
}
