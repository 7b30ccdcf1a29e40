//! Where an account's mail goes: its Maildir, the destination it is forwarded to, and the targets chosen by header.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Builder, Protocol, USERNAME_HELP};
use crate::account::{AuthChoice, Forward, ForwardTo, ImapDestination};
use crate::config::Span;
use crate::config::forward::{ForwardTable, ImapTable, ToTable};
use crate::config::multidrop::MultidropTable;
use crate::config::path;
use crate::config::problem::Problem;
use crate::config::rules::{self, RuleTable};
use crate::config::settings::Settings;
use crate::config::value::{At, Setting};
use crate::routing::Routing;
use crate::text;

/// The authentication choices that work with IMAP.
const IMAP_AUTH: [AuthChoice; 5] =
    [AuthChoice::Auto, AuthChoice::Plain, AuthChoice::Login, AuthChoice::XOAuth2, AuthChoice::OAuthBearer];

const MAILDIR_HELP: &str =
    "add maildir = \"~/Mail/NAME\" to the account, or maildir = \"~/Mail/{account}\" to [defaults] for all";

impl Builder<'_> {
    /// Returns the account's Maildir; with `multidrop`, the one for mail that matches no recipient.
    fn maildir(&mut self) -> Option<PathBuf> {
        let (name, home) = (&self.name.value, self.home);
        let default = match self.multidrop() {
            Setting::Absent => None,
            Setting::Bad => return None,
            Setting::Given(At { value: table, .. }) => Some(table.default(name, home)),
        };
        if let (Some(_), Some(At { span, .. })) = (&default, self.own.maildir.given()) {
            let message = format!("account `{name}` has `maildir` and `multidrop`");
            let help = "remove `maildir`: what is for none of the recipients goes where `default` says";
            self.problems.push(Problem::new(message).at(span).help(help));
        }
        if let Some(default) = default {
            return default;
        }
        let setting = setting!(self, maildir);
        let text = self.required("maildir", setting, MAILDIR_HELP)?;
        // The syntax was checked when the value was read; the name cannot make it invalid.
        path::absolute(&text.replace("{account}", self.name.value.as_str()), self.home).ok()
    }

    /// Returns the Maildir, and the destination of mail that is forwarded. If all of it is, the Maildir is the spool,
    /// whose location is known only with the state directory.
    pub(super) fn destination(&mut self, forward: &Setting<ForwardTable>) -> Option<(PathBuf, Option<Arc<Forward>>)> {
        let sorted = self.what_is_forwarded();
        let At { value: table, span } = match forward {
            Setting::Absent => {
                if let Some(span) = sorted.filter(|(forwards, _)| *forwards).map(|(_, span)| span) {
                    let message =
                        format!("account `{}` has no `forward`, and some of its mail is to go there", self.name.value);
                    let table = text::key(self.name.value.as_str());
                    let help = format!("add [accounts.{table}.forward] with one of `imap`, `lmtp` and `command`");
                    self.problems.push(Problem::new(message).at(&span).help(help));
                    return None;
                }
                return Some((self.maildir()?, None));
            }
            Setting::Bad => return None,
            Setting::Given(given) => given,
        };
        let is_sorted = sorted.as_ref().is_some_and(|(forwards, _)| *forwards);
        if let Setting::Given(maildir) = &self.own.maildir
            && !is_sorted
        {
            let message = format!("account `{}` has a `maildir` and a `forward`", self.name.value);
            let help = "keep one of them: what is forwarded waits in a spool of its own, in the state directory. Or say by a rule \
                        with forward = true what is forwarded; all else goes into the Maildir";
            self.problems.push(Problem::new(message).at(span).also(&maildir.span, "the other one").help(help));
            return None;
        }
        let is_multidrop = self.multidrop().given().is_some();
        if is_multidrop && !is_sorted {
            let message =
                format!("account `{}` has a `forward`, and its `multidrop` leads nothing there", self.name.value);
            let help = "write \"forward\" in place of a Maildir for a recipient or for `default`, or remove `forward`";
            self.problems.push(Problem::new(message).at(span).help(help));
            return None;
        }
        let to = match &table.to {
            ToTable::Imap(imap) => ForwardTo::Imap(Box::new(self.imap(imap, span)?)),
            ToTable::Lmtp(lmtp) => ForwardTo::Lmtp(lmtp.clone()),
            ToTable::Command(words) => ForwardTo::Command(words.clone()),
        };
        let forward = Forward { to, spool: table.spool };
        let has_maildir = is_multidrop || self.own.maildir.given().is_some();
        let maildir = if has_maildir { self.maildir()? } else { self.name.value.spool() };
        Some((maildir, Some(Arc::new(forward))))
    }

    /// Whether some of the mail that rules or `multidrop` sort is forwarded, and where they are in the file. None
    /// without either.
    fn what_is_forwarded(&self) -> Option<(bool, Span)> {
        if let Some(At { value, span }) = self.rules().given() {
            return Some((value.iter().any(RuleTable::forwards), span.clone()));
        }
        self.multidrop().given().map(|At { value, span }| (value.forwards(), span.clone()))
    }

    /// Builds the IMAP destination from `table`. Nothing is inherited from the account or the defaults.
    fn imap(&mut self, table: &ImapTable, span: &Span) -> Option<ImapDestination> {
        let name = At { value: self.name.value.clone(), span: span.clone() };
        let nothing = Settings::default();
        let mut builder = Builder {
            name: &name,
            own: &table.server,
            defaults: &nothing,
            protocol: Protocol::Imap,
            home: self.home,
            problems: self.problems,
            warnings: self.warnings,
            endpoints: self.endpoints,
        };
        if matches!(table.server.host, Setting::Absent) {
            let message = format!("the IMAP server of account `{}` has no `host`", name.value);
            let help = "add host = \"imap.example.org\" to `imap`";
            builder.problems.push(Problem::new(message).at(span).help(help));
            return None;
        }
        let endpoint = builder.endpoint();
        let username = builder.required("username", &table.server.username, USERNAME_HELP);
        let credential = builder.credential();
        let auth = match table.server.auth.given() {
            None => AuthChoice::Auto,
            Some(At { value, span }) if !IMAP_AUTH.contains(value) => {
                let help =
                    "leave it out, or write one of \"auto\", \"plain\", \"login\", \"xoauth2\" and \"oauthbearer\"";
                let message = "this `auth` is not used with IMAP";
                builder.problems.push(Problem::new(message).at(span).help(help));
                return None;
            }
            Some(At { value, .. }) => *value,
        };
        let (mut endpoint, username, credential) = (endpoint?, username?, credential?);
        // The next connection looks for what this one left behind, so as little as possible should arrive after its
        // end.
        endpoint.route.resets = true;
        let uses_token = credential.is_token() || matches!(auth, AuthChoice::XOAuth2 | AuthChoice::OAuthBearer);
        let (mailbox, flags, connections) = (table.mailbox.clone(), table.flags.clone(), table.connections);
        Some(ImapDestination { endpoint, username, credential, auth, uses_token, mailbox, flags, connections })
    }

    /// The account's own `multidrop`, or that of `[defaults]` unless the account has its own rules.
    fn multidrop(&self) -> &Setting<MultidropTable> {
        match self.own.rules {
            Setting::Absent => setting!(self, multidrop),
            _ => &self.own.multidrop,
        }
    }

    /// The account's own rules, or those of `[defaults]` unless the account has its own `multidrop`.
    fn rules(&self) -> &Setting<Vec<RuleTable>> {
        match self.own.multidrop {
            Setting::Absent => setting!(self, rules),
            _ => &self.own.rules,
        }
    }

    /// Returns how messages are routed by their headers.
    pub(super) fn routing(&mut self, maildir: &Path) -> Routing {
        let (name, home) = (&self.name.value, self.home);
        match (self.rules().given(), self.multidrop().given()) {
            (Some(At { span, .. }), Some(_)) => {
                let message = format!("account `{name}` has `rules` and `multidrop`, and both say where its mail goes");
                self.problems.push(Problem::new(message).at(span).help("remove one of them"));
                Routing::Unconditional
            }
            (_, Some(At { value: table, .. })) => Routing::Multidrop(Box::new(table.resolve(name, home))),
            (Some(At { value: tables, span }), None)
                if *maildir == name.spool() && tables.iter().any(RuleTable::has_folder) =>
            {
                let message = format!("account `{name}` has no Maildir of its own that a `folder` could be in");
                let help = "write the Maildir's path: `maildir`; or give the account a `maildir`, and say by a rule with forward = true \
                            what is forwarded";
                self.problems.push(Problem::new(message).at(span).help(help));
                Routing::Unconditional
            }
            (Some(At { value: tables, .. }), None) if !tables.is_empty() => {
                Routing::Rules(rules::resolve(tables, name, maildir, home))
            }
            _ => Routing::Unconditional,
        }
    }
}
