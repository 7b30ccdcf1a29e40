//! Into a mailbox at an IMAP server, by APPEND, each message once.
//!
//! Before APPEND the intent is durable, with the mailbox's UIDVALIDITY and UIDNEXT. If the answer is lost, the message is
//! there under a UID from that one on, or nowhere: the next pass looks at those, by size, header digest and then all bytes,
//! and appends it only if it is not among them. SEARCH is not used: too many servers answer it wrongly.

mod probe;
mod response;
mod session;

use std::sync::Arc;

use tokio::task::JoinSet;
use tracing::{debug, info};

use super::error::ForwardError;
use super::letter::Letter;
use super::pass::{Pass, words};
use crate::account::{AccountName, CredentialSource, ImapDestination};
use crate::client::Redactor;
use crate::oauth::refresh::{TokenContext, TokenOf, access_token};
use crate::secret::Secret;
use crate::state::record::{AppendIntent, ForwardRecord, MailboxUid};
use crate::threads::NotDone;
pub(super) use probe::probe;
use response::Condition;
use session::{Appended, Selected, Session};

/// Another connection is worth its login where so many messages wait for each.
const FOR_EACH: usize = 8;

/// So many messages are under way on a connection where the server takes them without a word in between.
const MOST_AHEAD: usize = 32;

/// Takes on what waits, over several connections if there is much.
pub(super) async fn deliver(pass: &Arc<Pass>, to: &ImapDestination) -> Result<(), ForwardError> {
    let secret = secret(pass, to).await?;
    let redactor = Arc::new(Redactor::new(&to.username, &secret));
    let appended = deliver_with(pass, to, &secret, &redactor).await;
    appended.map_err(|e| e.without_secrets(&redactor))
}

async fn deliver_with(
    pass: &Arc<Pass>,
    to: &ImapDestination,
    secret: &Secret,
    redactor: &Arc<Redactor>,
) -> Result<(), ForwardError> {
    let mut first = Worker::open(pass, to, secret, redactor).await?;
    let mut others = JoinSet::new();
    let wanted = (pass.left() / FOR_EACH).min(to.connections.saturating_sub(1));
    // What was left open is looked for by this connection alone: two might take the same message for theirs. So it is
    // where only a look shows under which UID a message has arrived.
    let wanted = if first.session.has("UIDPLUS") { wanted } else { 0 };
    let mut open = first.look_for_open_ones().await;
    if open.is_ok() {
        for _ in 0..wanted {
            let (pass, to, secret, redactor) = (Arc::clone(pass), to.clone(), secret.clone(), Arc::clone(redactor));
            others.spawn(async move {
                match Worker::open(&pass, &to, &secret, &redactor).await {
                    Ok(worker) => worker.run().await,
                    // The server may allow fewer connections than we would like.
                    Err(e) => {
                        debug!("another connection could not be had: {}", e.without_secrets(&redactor));
                        Ok(())
                    }
                }
            });
        }
        open = first.run().await;
    }
    if open.is_err() {
        pass.end();
    }
    let mut end = open;
    while let Some(ended) = others.join_next().await {
        let ended = ended.map_err(NotDone::from).map_err(|e| ForwardError::Work(e.doing("append messages")));
        end = end.and(ended.and_then(|ended| ended));
    }
    end
}

async fn secret(pass: &Pass, to: &ImapDestination) -> Result<Secret, ForwardError> {
    let context = &pass.context;
    let CredentialSource::OAuth(settings) = &to.credential else {
        return Ok(to.credential.obtain(&context.credentials).await?);
    };
    let token_context = TokenContext {
        dialer: Arc::clone(&context.dialer),
        disk: Arc::clone(&context.disk),
        clock: Arc::clone(&context.clock),
        state_dir: context.state_dir.clone(),
        credentials: context.credentials.clone(),
        holder: context.holder.clone(),
    };
    let account = sign_in_name(&pass.name);
    let (username, settings, route) = (to.username.clone(), Arc::clone(settings), to.endpoint.route.clone());
    let of = TokenOf { account, username, settings, route };
    // A task of its own: it goes on when nobody waits for it any more.
    let tokens = tokio::spawn(access_token(token_context, of, None)).await;
    Ok(tokens.map_err(|e| ForwardError::Work(NotDone::from(e).doing("refresh the access token")))??.access)
}

/// The name under which the tokens of an account's destination are kept.
#[must_use]
pub fn sign_in_name(account: &AccountName) -> AccountName {
    AccountName::new(&format!("{account}.forward")).unwrap_or_else(|_| account.clone())
}

/// A connection that appends.
struct Worker<'a> {
    pass: &'a Arc<Pass>,
    to: &'a ImapDestination,
    session: Session,
    selected: Selected,
    /// Hides the password in the server's words.
    redactor: Arc<Redactor>,
    /// What is true and not written yet: it goes with the next record.
    unwritten: Vec<ForwardRecord>,
    /// The next message, which cannot go together with those before it.
    held: Option<Letter>,
}

impl<'a> Worker<'a> {
    async fn open(
        pass: &'a Arc<Pass>,
        to: &'a ImapDestination,
        secret: &Secret,
        redactor: &Arc<Redactor>,
    ) -> Result<Self, ForwardError> {
        let mut session = Session::open(&pass.context.dialer, to, secret, pass.patience).await?;
        let selected = session.select(&to.mailbox).await?;
        let (redactor, unwritten) = (Arc::clone(redactor), Vec::new());
        Ok(Self { pass, to, session, selected, redactor, unwritten, held: None })
    }

    /// Deals with the messages whose APPEND was under way when an earlier pass ended; they come first.
    async fn look_for_open_ones(&mut self) -> Result<(), ForwardError> {
        while let Some(message) = self.pass.next() {
            let intent = self.pass.progress(&message.name).await.and_then(|progress| progress.intent);
            let Some(intent) = intent else {
                self.pass.put_back(message);
                return Ok(());
            };
            let Some(letter) = self.pass.measure(message, String::new()).await? else { continue };
            match self.find(&letter, &intent).await? {
                Some(uid) => {
                    info!("{}: a message whose answer was lost has arrived", self.pass.name);
                    let arrived = self.pass.arrived(&letter, Some(uid));
                    self.pass.record(vec![arrived]).await?;
                }
                None => self.deliver(letter).await?,
            }
            // Each look needs to know of the ones before.
            self.write().await?;
        }
        Ok(())
    }

    /// Appends until nothing is left.
    async fn run(mut self) -> Result<(), ForwardError> {
        let end = loop {
            match self.next_letters().await {
                Ok(letters) if letters.is_empty() => break Ok(()),
                Ok(letters) => {
                    if let Err(e) = self.deliver_all(letters).await {
                        break Err(e);
                    }
                }
                Err(e) => break Err(e),
            }
        };
        let written = self.write().await;
        if end.is_ok() {
            self.session.log_out().await;
        } else {
            self.pass.end();
        }
        end.and(written)
    }

    /// The next messages: several, where the server takes them without a word in between and tells where each has gone. None
    /// at the end.
    async fn next_letters(&mut self) -> Result<Vec<Letter>, ForwardError> {
        let mut letters = Vec::new();
        while letters.len() < MOST_AHEAD {
            let letter = match self.held.take() {
                Some(letter) => letter,
                None => match self.pass.next() {
                    Some(message) => match self.pass.measure(message, String::new()).await? {
                        Some(letter) => letter,
                        None => continue,
                    },
                    None => break,
                },
            };
            let is_taken = self.session.append_limit().is_none_or(|limit| letter.size <= limit);
            if self.session.sends_ahead(&letter) && self.session.has("UIDPLUS") && is_taken {
                letters.push(letter);
            } else if letters.is_empty() {
                return Ok(vec![letter]);
            } else {
                self.held = Some(letter);
                break;
            }
        }
        Ok(letters)
    }

    /// Appends these, one behind the other, and waits for the answers then. Their intents are durable before the first one
    /// leaves, so each that is not answered is looked for like one that went alone.
    async fn deliver_all(&mut self, letters: Vec<Letter>) -> Result<(), ForwardError> {
        if letters.len() < 2 {
            for letter in letters {
                self.deliver(letter).await?;
            }
            return Ok(());
        }
        let intents: Vec<AppendIntent> = letters.iter().map(|letter| self.intent(letter)).collect();
        self.unwritten.extend(intents.iter().cloned().map(ForwardRecord::Intent));
        self.write().await?;
        let (answers, mut end) = self.session.append_all(&self.to.mailbox, &self.to.flags, &letters).await;
        for ((letter, intent), answer) in letters.iter().zip(&intents).zip(answers) {
            let dealt_with = match answer {
                Some(Appended::Yes(uid)) => self.on_arrival(letter, intent, uid).await,
                Some(Appended::No(condition)) => self.on_refusal(letter, &condition).await,
                None => Ok(()),
            };
            end = end.and(dealt_with);
        }
        end
    }

    fn intent(&self, letter: &Letter) -> AppendIntent {
        AppendIntent {
            name: letter.spooled.name.clone(),
            mailbox: self.mailbox(),
            uid_validity: self.selected.validity,
            uid_next: self.selected.next,
        }
    }

    async fn write(&mut self) -> Result<(), ForwardError> {
        let unwritten = std::mem::take(&mut self.unwritten);
        self.pass.record(unwritten).await
    }

    async fn deliver(&mut self, letter: Letter) -> Result<(), ForwardError> {
        if let Some(limit) = self.session.append_limit().filter(|limit| letter.size > *limit) {
            let why = format!("it has {} octets, and the server takes {limit} (APPENDLIMIT)", letter.size);
            return self.pass.set_aside(&letter.spooled, &why).await;
        }
        if u32::try_from(letter.size).is_err() {
            return self.pass.set_aside(&letter.spooled, "it is larger than 4 GiB").await;
        }
        let intent = self.intent(&letter);
        self.unwritten.push(ForwardRecord::Intent(intent.clone()));
        self.write().await?;
        match self.session.append(&self.to.mailbox, &self.to.flags, &letter).await? {
            Appended::Yes(uid) => self.on_arrival(&letter, &intent, uid).await,
            Appended::No(condition) => self.on_refusal(&letter, &condition).await,
        }
    }

    async fn on_arrival(
        &mut self,
        letter: &Letter,
        intent: &AppendIntent,
        uid: Option<MailboxUid>,
    ) -> Result<(), ForwardError> {
        let uid = match uid {
            Some(uid) => Some(uid),
            // Which message it is has to be known, so that it is not taken for another one with the same bytes.
            None => {
                // Those before it have to be known.
                self.write().await?;
                self.find(letter, intent).await?
            }
        };
        if let Some(uid) = uid
            && self.session.has("X-GM-EXT-1")
            && !self.session.of_size(uid.uid, letter.size).await?.contains(&uid.uid)
        {
            // Gmail takes a message for another one that has the same Message-ID, and keeps that one.
            let why = "the destination has taken it for another message of another size, with the same Message-ID";
            return self.pass.set_aside(&letter.spooled, why).await;
        }
        let arrived = self.pass.arrived(letter, uid);
        self.unwritten.push(arrived);
        match uid {
            Some(uid) if uid.validity == self.selected.validity => {
                self.selected.next = self.selected.next.max(uid.uid.saturating_add(1));
            }
            // The mailbox has been made anew.
            Some(_) => self.selected = self.session.select(&self.to.mailbox).await?,
            None => {}
        }
        Ok(())
    }

    async fn on_refusal(&mut self, letter: &Letter, condition: &Condition) -> Result<(), ForwardError> {
        const DOING: &str = "append a message";
        let (message, said) = (&letter.spooled, self.redactor.hide(&words(&condition.words())));
        match judge(condition) {
            Judgement::Full => {
                self.pass.record(vec![ForwardRecord::Released(message.name.clone())]).await?;
                Err(ForwardError::Full { response: said })
            }
            Judgement::TooLarge => self.pass.set_aside(message, &said).await,
            Judgement::Destination { lasting } => {
                self.pass.record(vec![ForwardRecord::Released(message.name.clone())]).await?;
                Err(ForwardError::Refused { doing: DOING, response: said, lasting })
            }
            Judgement::Message => self.pass.refused(message, DOING, &said).await,
        }
    }

    /// The mailbox in the words that tell an intent's from another one.
    fn mailbox(&self) -> String {
        let endpoint = &self.to.endpoint;
        format!("{} {} {} {}", endpoint.host, endpoint.port, self.to.username, self.to.mailbox)
    }

    /// Looks for a message whose APPEND may have come to its end. None: it has not arrived.
    async fn find(&mut self, letter: &Letter, intent: &AppendIntent) -> Result<Option<MailboxUid>, ForwardError> {
        if intent.mailbox != self.mailbox() {
            // Nobody can look there any more. It is appended where mail goes now.
            return Ok(None);
        }
        let (validity, header) = (self.selected.validity, letter.header);
        if intent.uid_validity != validity {
            return self.find_anywhere(letter).await;
        }
        for uid in self.session.of_size(intent.uid_next, letter.size).await? {
            let uid = MailboxUid { validity, uid };
            // Others may have the same header and size. The bytes are only looked at where the header fits.
            if !self.pass.knows(uid).await
                && self.session.header_of(uid.uid).await? == Some(header)
                && self.has_the_bytes_of(uid.uid, letter).await?
            {
                return Ok(Some(uid));
            }
        }
        Ok(None)
    }

    /// The same where the mailbox has got another UIDVALIDITY: the UIDs say nothing, and every message may be the one. Only a
    /// strong header and equal bytes show that it is, and only if there are more such messages than are known to have
    /// arrived before. In doubt it is appended again: a second copy is better than none.
    async fn find_anywhere(&mut self, letter: &Letter) -> Result<Option<MailboxUid>, ForwardError> {
        let (validity, header) = (self.selected.validity, letter.header);
        if !header.is_strong() {
            return Ok(None);
        }
        let mut others = self.pass.arrived_before(validity, header).await;
        for uid in self.session.of_size(1, letter.size).await? {
            let uid = MailboxUid { validity, uid };
            if self.pass.knows(uid).await
                || self.session.header_of(uid.uid).await? != Some(header)
                || !self.has_the_bytes_of(uid.uid, letter).await?
            {
                continue;
            }
            if others == 0 {
                return Ok(Some(uid));
            }
            others -= 1;
        }
        Ok(None)
    }

    /// Whether a message of the mailbox has exactly the bytes of a letter.
    async fn has_the_bytes_of(&mut self, uid: u32, letter: &Letter) -> Result<bool, ForwardError> {
        let ours = letter.digest().await.map_err(|source| {
            let path = super::letter::place(&letter.spooled).to_owned();
            ForwardError::Spool { path, source }
        })?;
        Ok(self.session.whole_of(uid).await? == Some(ours))
    }
}

/// What a refused APPEND is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    /// A quota, or a limit for a day.
    Full,
    /// The message is too large for ever.
    TooLarge,
    /// The mailbox or the server.
    Destination { lasting: bool },
    /// The message, as far as anybody can tell.
    Message,
}

fn judge(condition: &Condition) -> Judgement {
    let has = |codes: &[&str]| codes.iter().any(|code| condition.code(code).is_some());
    let text = condition.text.to_ascii_lowercase();
    if has(&["TOOBIG"]) || ["too large", "too big", "maximum message size"].iter().any(|part| text.contains(part)) {
        Judgement::TooLarge
    } else if is_full(condition) {
        Judgement::Full
    } else if has(&["TRYCREATE", "NONEXISTENT", "NOPERM", "CONTACTADMIN"]) {
        Judgement::Destination { lasting: true }
    } else if has(&["UNAVAILABLE", "INUSE", "SERVERBUG", "EXPIRED", "AUTHENTICATIONFAILED"]) {
        Judgement::Destination { lasting: false }
    } else {
        Judgement::Message
    }
}

/// Whether a refusal says that nothing more is taken for now: by its code (RFC 5530, RFC 9208), or in the words that large
/// providers have for a quota and for what may be uploaded in a day.
fn is_full(condition: &Condition) -> bool {
    let text = condition.text.to_ascii_lowercase();
    let says = ["quota", "bandwidth limit", "limit exceeded", "exceeded", "rate limit", "throttled"];
    ["OVERQUOTA", "LIMIT", "THROTTLED"].iter().any(|code| condition.code(code).is_some())
        || says.iter().any(|part| text.contains(part))
}

#[cfg(test)]
mod tests {
    use super::response::{Line, line};
    use super::*;

    #[test]
    fn a_refusal_is_about_the_message_or_about_the_destination() {
        for (said, judged) in [
            ("NO [OVERQUOTA] Quota exceeded", Judgement::Full),
            ("NO [LIMIT] later", Judgement::Full),
            ("NO Account exceeded command or bandwidth limits. x", Judgement::Full),
            ("NO [TOOBIG] Message too large", Judgement::TooLarge),
            ("BAD maximum message size exceeded", Judgement::TooLarge),
            ("NO [TRYCREATE] Mailbox doesn't exist", Judgement::Destination { lasting: true }),
            ("NO [UNAVAILABLE] Internal error", Judgement::Destination { lasting: false }),
            ("NO Message contains NULs", Judgement::Message),
            ("BAD Invalid arguments", Judgement::Message),
        ] {
            let Some(Line::Tagged(_, condition)) = line(format!("a {said}").as_bytes()) else { panic!("{said}") };
            assert_eq!(judge(&condition), judged, "{said}");
        }
    }
}
