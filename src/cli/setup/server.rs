//! Finds the server: candidates are tried over TLS, and a host outside the domain is accepted only if the user says so.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::asker::Asker;
use super::{Ended, Wizard, usage};
use crate::account::{Account, AccountName, TlsMode};
use crate::advice::commands::setup as advice;
use crate::cli::arguments::{WhenTls, YesOrNo};
use crate::cli::wrapped::{say_sentence, stderr_sentence};
use crate::client::reach::greet;
use crate::discovery::autoconfig::ISPDB;
use crate::discovery::dns::Dns;
use crate::discovery::search::{Search, in_table};
use crate::discovery::{Candidate, MailAddress, Source};
use crate::exit::ExitStatus;
use crate::https::Http;
use crate::net::{Dialer, NetLimits};
use crate::provider::Provider;
use crate::setup::settings::SecretSource;

/// How long to wait for a server that may not exist.
const LIMITS: NetLimits = NetLimits { connect: Duration::from_secs(8), tls_handshake: Duration::from_secs(8) };

/// The maximum number of servers tried per source.
const MOST: usize = 10;

/// Returns a placeholder until the server is known.
pub(super) fn placeholder() -> Candidate {
    Candidate {
        host: "pop.invalid".to_owned(),
        port: 995,
        tls: TlsMode::Implicit,
        username: "nobody".to_owned(),
        oauth_only: false,
        source: Source::User,
    }
}

/// Describes a server in words.
fn shown(server: &Candidate) -> String {
    let how = if server.tls == TlsMode::StartTls { "TLS by STLS" } else { "TLS" };
    format!("{}, port {}, {how}", server.host, server.port)
}

impl Wizard<'_> {
    /// Finds the server of an address.
    pub(super) async fn server(
        &self,
        address: &MailAddress,
        provider: Option<&Provider>,
        name: &AccountName,
    ) -> Result<Candidate, Ended> {
        if let Some(host) = &self.options.host {
            return self.named(host, address, name);
        }
        if let Some((provider, server)) = provider.and_then(|one| Some((one, in_table(one, address)?))) {
            self.say(format!("{}: {}.", provider.name, shown(&server)));
            return Ok(server);
        }
        let dialer = Arc::new(Dialer::new(LIMITS));
        let http = Http::new(Arc::clone(&dialer) as _, None).by(self.route.clone());
        let (dns, no_dns) = self.dns();
        let search = Search { address, http: &http, dns: dns.as_ref() };
        self.say(format!("Looking for the POP3 server of {} ...", address.domain()));
        let told = search.domain().await;
        let mut failed = Vec::new();
        if let Some(server) = self.first(told.candidates, address, name, &dialer, &mut failed).await? {
            return Ok(server);
        }
        if self.may_ask_ispdb(address).await? {
            let found = search.ispdb().await;
            if found.is_empty() {
                self.say("The ISPDB does not know the domain, or does not answer.".to_owned());
            }
            if let Some(server) = self.first(found, address, name, &dialer, &mut failed).await? {
                return Ok(server);
            }
        }
        if let Some(server) = self.first_guess(search.guesses(), name, &dialer).await? {
            return Ok(server);
        }
        let unanswered = no_dns.into_iter().chain(told.unanswered).collect();
        self.none_found(address, name, &failed, unanswered).await
    }

    fn say(&self, words: String) {
        if !self.arguments.quiet {
            say_sentence(words);
        }
    }

    /// Returns the resolver, or why there is none.
    fn dns(&self) -> (Option<Dns>, Option<String>) {
        if self.route.proxy.is_some() && self.options.resolver.is_none() {
            // DNS would tell the local network what the proxy is to hide from it.
            return (None, None);
        }
        match Dns::new(self.options.resolver) {
            Ok(dns) => (Some(dns), None),
            Err(e) => (None, Some(e.to_string())),
        }
    }

    /// Returns the server that the user has named.
    fn named(&self, host: &str, address: &MailAddress, name: &AccountName) -> Result<Candidate, Ended> {
        let tls = match self.options.tls {
            WhenTls::Implicit => TlsMode::Implicit,
            WhenTls::Starttls => TlsMode::StartTls,
        };
        let usual = if tls == TlsMode::StartTls { 110 } else { 995 };
        let server = Candidate {
            host: host.to_owned(),
            port: self.options.port.unwrap_or(usual),
            tls,
            username: address.to_string(),
            ..placeholder()
        };
        self.account(name, &server).map(|_| server)
    }

    /// Returns the account as it would be with this server.
    fn account(&self, name: &AccountName, server: &Candidate) -> Result<Account, Ended> {
        let mut settings = self.settings(server.clone(), SecretSource::Credential("x".to_owned()));
        settings.maildir = Some("/maildir".to_owned());
        let extended = self.target.with(name, &settings.table()).map_err(|e| super::told(&e))?;
        Ok(extended.account)
    }

    /// Returns the first of these servers that responds and that the user accepts.
    async fn first(
        &self,
        found: Vec<Candidate>,
        address: &MailAddress,
        name: &AccountName,
        dialer: &Dialer,
        failed: &mut Vec<String>,
    ) -> Result<Option<Candidate>, Ended> {
        for server in found.into_iter().take(MOST) {
            if let Err(e) = greet(dialer, &self.account(name, &server)?).await {
                failed.push(format!("{}, named by {}: {e}", shown(&server), server.source.words()));
                continue;
            }
            self.say(format!("Found {}, by {}.", shown(&server), server.source.words()));
            if !server.needs_word(address) || self.is_accepted(&server, address).await? {
                return Ok(Some(server));
            }
        }
        Ok(None)
    }

    /// Whether the password may be sent to a host outside the address's own domain.
    async fn is_accepted(&self, server: &Candidate, address: &MailAddress) -> Result<bool, Ended> {
        let accepted = self.options.accept_host.as_deref();
        if accepted.is_some_and(|host| host.trim_end_matches('.').eq_ignore_ascii_case(&server.host)) {
            return Ok(true);
        }
        let host = &server.host;
        let warning = format!(
            "{host} is not below {} and not a provider that mailferry knows. Whoever runs it gets your password, and what \
             names it can be forged.",
            address.domain()
        );
        if !self.asker.is_there {
            stderr_sentence(format_args!("mailferry: {warning}"));
            return Err(Asker::missing(&[&advice::accept_host(host)]));
        }
        say_sentence(warning);
        self.asker.yes(&format!("Log in at {host}?"), false, "--accept-host").await
    }

    async fn may_ask_ispdb(&self, address: &MailAddress) -> Result<bool, Ended> {
        match self.options.ispdb {
            Some(answer) => Ok(answer == YesOrNo::Yes),
            None => {
                let question = format!(
                    "The domain publishes no settings. Ask the ISPDB at {ISPDB}? It sees the domain {}, not your address",
                    address.domain()
                );
                self.asker.yes(&question, true, "--ispdb").await
            }
        }
    }

    /// Returns the first guess that responds. All are tried concurrently.
    async fn first_guess(
        &self,
        guesses: Vec<Candidate>,
        name: &AccountName,
        dialer: &Arc<Dialer>,
    ) -> Result<Option<Candidate>, Ended> {
        let mut tries = JoinSet::new();
        for (place, server) in guesses.into_iter().enumerate() {
            let (account, dialer) = (self.account(name, &server)?, Arc::clone(dialer));
            tries.spawn(async move { greet(&*dialer, &account).await.is_ok().then_some((place, server)) });
        }
        let there = tries.join_all().await;
        let best = there.into_iter().flatten().min_by_key(|(place, _)| *place).map(|(_, server)| server);
        if let Some(server) = &best {
            self.say(format!("Found {}, by {}.", shown(server), server.source.words()));
        }
        Ok(best)
    }

    /// Nothing was found: asks the user for the server.
    async fn none_found(
        &self,
        address: &MailAddress,
        name: &AccountName,
        failed: &[String],
        unanswered: Vec<String>,
    ) -> Result<Candidate, Ended> {
        let told = |line: String| if self.asker.is_there { say_sentence(line) } else { stderr_sentence(line) };
        for line in failed.iter().chain(&unanswered) {
            told(format!("  {line}"));
        }
        if !self.asker.is_there {
            let words = format!("no POP3 server was found for {}; {}", address.domain(), advice::GIVE_HOST);
            if unanswered.is_empty() {
                return Err(usage(&words));
            }
            stderr_sentence(format_args!("mailferry: nothing was written: {words}{}", advice::OR_LATER));
            return Err(Ended(ExitStatus::Temporary));
        }
        say_sentence(format_args!(
            "No POP3 server was found for {}. Perhaps the provider has a page about mail programs.",
            address.domain()
        ));
        let read = |host: &str| {
            let server = Candidate { host: host.to_owned(), username: address.to_string(), ..placeholder() };
            let settings = self.settings(server.clone(), SecretSource::Credential("x".to_owned()));
            let with = crate::setup::settings::AccountSettings { maildir: Some("/maildir".to_owned()), ..settings };
            self.target.with(name, &with.table()).map(|_| server).map_err(|e| e.in_short())
        };
        self.asker.ask("POP3 server (port 995, TLS)", None, "--host", read).await
    }
}
