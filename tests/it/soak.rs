//! A daemon under fire: five accounts, a fault in one of three polls, mail that keeps arriving. In the end every
//! message is there exactly once, and neither memory nor file descriptors nor threads nor the state have grown.
//!
//! By default it runs for a minute. For an hour, with the optimised program:
//!
//! ```text
//! MAILFERRY_SOAK_SECONDS=3600 cargo test --release --test it soak -- --nocapture
//! ```
//!
//! `MAILFERRY_SOAK_SEED` selects other faults. A seed always selects the same ones; when they strike depends on the
//! machine.
//!
//! Time passes in rounds: mail arrives, faults are ordered, the daemon is woken, events happen, every account comes to
//! rest, and what was broken is fixed. In the first half the daemon is ended and killed now and then; the second half
//! is a single run, so that there is time for growth.

mod accounts;
mod faults;
mod growth;
mod hostile;
mod life;

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::delivered::{assert_same_mail, files};
use crate::program::TestEnv;
use accounts::{Account, Policy};
use faults::{Fault, Then};
use life::{Life, is_settled};
use mailferry::control::status::{State, Status};

/// A message that fails three times in a row is left alone for an hour, so no more rounds in a row than this have
/// faults.
const MOST_SPOILT: u8 = 2;

/// Once all faults are over, the remaining mail must arrive within this time.
const QUIET: Duration = Duration::from_secs(90);

/// The minimum number of samples taken of the last run, however slow the machine is.
const LEAST_SAMPLES: usize = 16;

/// The state of the test.
struct Soak {
    env: TestEnv,
    accounts: Vec<Account>,
    rng: fastrand::Rng,
    life: Life,
    /// The total number of polls that were requested.
    polls: usize,
    /// The number of faults that were ordered.
    faults: usize,
    /// The number of messages that have arrived on the servers.
    arrived: usize,
}

#[test]
fn a_daemon_outlives_faults_of_every_kind() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().expect("a whole number"));
    let length = Duration::from_secs(number("MAILFERRY_SOAK_SECONDS").unwrap_or(60));
    let seed = number("MAILFERRY_SOAK_SEED").unwrap_or(1);
    println!("MAILFERRY_SOAK_SECONDS={} MAILFERRY_SOAK_SEED={seed}", length.as_secs());
    let mut soak = Soak::begin(seed);
    if let Err(why) = soak.go_on_for(length) {
        let (status, life) = (soak.life.status(), soak.life.end(Signal::KILL));
        panic!("{why}\n\nstatus: {status:#?}\n\nthe daemon's last words: {}", life::last_words(&life));
    }
    soak.end();
}

impl Soak {
    fn begin(seed: u64) -> Self {
        let env = TestEnv::new(&[]);
        let accounts = accounts::five(&env);
        accounts::configure(&env, &accounts, |_| true, 300);
        let life = Life::start(&env).unwrap();
        Self { env, accounts, rng: fastrand::Rng::with_seed(seed), life, polls: 0, faults: 0, arrived: 0 }
    }

    /// Runs all rounds, and the time after the last fault.
    fn go_on_for(&mut self, length: Duration) -> Result<(), String> {
        let begun = Instant::now();
        let total = usize::try_from(length.as_secs().clamp(60, 1200)).unwrap() * self.accounts.len();
        // Every Maildir is known from now on, so that none is created again while it is away.
        self.send_mail(2 * self.accounts.len());
        self.round(Vec::new(), false)?;
        while begun.elapsed() < length || self.life.growth.len() < LEAST_SAMPLES {
            let gone = begun.elapsed().min(length);
            self.send_mail(total * millis(gone) / millis(length));
            let faults = self.draw_faults();
            self.round(faults, 2 * gone < length)?;
        }
        self.send_mail(total);
        self.be_quiet()
    }

    /// Adds mail until this many messages have arrived; each account gets its share.
    fn send_mail(&mut self, due: usize) {
        while self.arrived < due {
            self.arrived += 1;
            let account = self.arrived % self.accounts.len();
            self.accounts[account].send(self.arrived);
        }
    }

    /// Requests a poll of all accounts, with these faults, and waits until they have come to rest.
    fn round(&mut self, faults: Vec<(usize, Fault)>, may_end: bool) -> Result<(), String> {
        self.polls += self.accounts.len();
        self.faults += faults.len();
        faults.iter().for_each(|(account, fault)| fault.begin(&self.env, &self.accounts[*account]));
        self.life.wake(&self.env)?;
        // A lasting fault could hit a message in each of the polls that an event causes.
        let lasting = faults.iter().any(|(_, fault)| matches!(fault, Fault::Retr));
        let event = if lasting { 9 } else { self.rng.u8(0..10) };
        let early = self.rng.bool();
        if early {
            self.event(event, may_end)?;
        }
        self.play_stalls(&faults)?;
        if !early {
            self.event(event, may_end)?;
        }
        let status = self.life.until("all accounts to come to rest", is_settled)?;
        faults.iter().for_each(|(account, fault)| fault.end(&self.env, &self.accounts[*account]));
        for account in &mut self.accounts {
            if is_clean(&status, account.name) {
                account.spoilt = 0;
            }
        }
        self.life.look();
        Ok(())
    }

    /// Draws the accounts that have a fault in the next round.
    fn draw_faults(&mut self) -> Vec<(usize, Fault)> {
        let mut drawn: Vec<(usize, Fault)> = Vec::new();
        for number in 0..self.accounts.len() {
            // After two rounds with faults one is without, so this comes to one in three.
            if self.rng.u8(0..5) > 1 {
                continue;
            }
            let fault = Fault::draw(&mut self.rng, &self.accounts[number]);
            let maildir = self.accounts[number].maildir;
            let shares = |account: &Account| account.maildir == maildir;
            let is_away = |(other, fault): &(usize, Fault)| fault.is_of_the_maildir() && shares(&self.accounts[*other]);
            if fault.is_of_the_maildir() && drawn.iter().any(is_away) {
                continue;
            }
            let meets =
                |(other, account): (usize, &Account)| other == number || (fault.is_of_the_maildir() && shares(account));
            let weight = fault.weight();
            if self.accounts.iter().enumerate().any(|met| meets(met) && met.1.spoilt + weight > MOST_SPOILT) {
                continue;
            }
            let met: Vec<usize> = self.accounts.iter().enumerate().filter(|met| meets(*met)).map(|met| met.0).collect();
            met.into_iter().for_each(|other| self.accounts[other].spoilt += weight);
            drawn.push((number, fault));
        }
        drawn
    }

    /// Waits until the servers that were told to stall do so, and continues from there.
    fn play_stalls(&mut self, faults: &[(usize, Fault)]) -> Result<(), String> {
        for (number, fault) in faults {
            let Fault::Stall { then, .. } = fault else { continue };
            let account = &self.accounts[*number];
            let server = &account.maildrop.server;
            self.life.until("a server to stall", |status| server.is_stalled() || is_settled(status))?;
            if *then == Then::MaildirGoes && server.is_stalled() {
                faults::put_away(&self.env.maildir(account.maildir));
            }
            if *then != Then::Silence {
                server.release_stalled();
            }
        }
        Ok(())
    }

    /// Causes an event that concerns all accounts, or none.
    fn event(&mut self, event: u8, may_end: bool) -> Result<(), String> {
        match event {
            0 => self.change_configuration(),
            1 => self.without_an_account(),
            2 if may_end => self.end_and_begin(Signal::TERM, 143),
            3 if may_end => self.end_and_begin(Signal::KILL, -9),
            _ => return Ok(()),
        }?;
        self.faults += 1;
        Ok(())
    }

    /// Reloads an invalid configuration, then a valid one that has changed.
    fn change_configuration(&mut self) -> Result<(), String> {
        self.env.write_config("[accounts\nkeep = maybe", 0o600);
        self.life.signal(Signal::HUP);
        self.life.until("the wrong configuration to be refused", |status| status.config_problem.is_some())?;
        let interval = self.rng.u32(200..400);
        accounts::configure(&self.env, &self.accounts, |_| true, interval);
        self.life.signal(Signal::HUP);
        self.life.until("the right configuration", |status| status.config_problem.is_none()).map(drop)
    }

    /// Removes an account from the configuration and adds it again.
    fn without_an_account(&mut self) -> Result<(), String> {
        let without = self.rng.usize(0..self.accounts.len());
        for (number, wanted) in [(Some(without), self.accounts.len() - 1), (None, self.accounts.len())] {
            accounts::configure(&self.env, &self.accounts, |other| Some(other) != number, 300);
            self.life.signal(Signal::HUP);
            self.life.until("the accounts to change", |status| status.accounts.len() == wanted)?;
        }
        Ok(())
    }

    /// Ends the daemon in the middle of its work and starts it again.
    fn end_and_begin(&mut self, signal: Signal, status: i32) -> Result<(), String> {
        let retrieved = || self.accounts.iter().map(Account::retrieved).sum::<usize>();
        let target = retrieved() + self.rng.usize(0..8);
        self.life.until("some messages", |status| retrieved() >= target || is_settled(status))?;
        let ended = self.life.end(signal);
        if ended.status != status {
            return Err(format!("it ended with {}: {}", ended.status, life::last_words(&ended)));
        }
        self.life.growth.check();
        self.life = Life::start(&self.env)?;
        self.life.wake(&self.env)
    }

    /// Polls without faults until the rest has arrived, and checks that a poll after that does nothing at all.
    fn be_quiet(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while !self.is_complete() {
            if begun.elapsed() > QUIET {
                return Err("mail is missing although all faults are over".to_owned());
            }
            self.round_without_events()?;
        }
        // One more round records what the last one saw the server delete.
        self.round_without_events()?;
        let retr = |soak: &Self| soak.accounts.iter().map(|account| account.maildrop.count("RETR")).sum::<usize>();
        let before = (retr(self), growth::size(&self.env.path("state")));
        self.round_without_events()?;
        let after = (retr(self), growth::size(&self.env.path("state")));
        if before == after && self.is_complete() {
            Ok(())
        } else {
            Err(format!("RETRs and octets of state before and after a poll without news: {before:?}, {after:?}"))
        }
    }

    fn round_without_events(&mut self) -> Result<(), String> {
        self.life.wake(&self.env)?;
        self.life.until("all accounts to come to rest", is_settled)?;
        self.life.look();
        Ok(())
    }

    /// Whether every account is fine and every Maildir has as many messages as were sent.
    fn is_complete(&mut self) -> bool {
        let Ok(status) = self.life.status() else { return false };
        self.accounts.iter().all(|account| {
            let sent = self.expected(account.maildir).len();
            is_clean(&status, account.name) && files(&self.env.maildir(account.maildir).join("new")).len() >= sent
        })
    }

    /// The numbers of the messages that belong in a Maildir.
    fn expected(&self, maildir: &str) -> Vec<usize> {
        let theirs = self.accounts.iter().filter(|account| account.maildir == maildir);
        theirs.flat_map(|account| account.sent.iter().copied()).collect()
    }

    /// Ends the daemon and checks the result.
    fn end(mut self) {
        let ended = self.life.end(Signal::TERM).expect(143);
        assert!(!ended.output().contains("panicked"), "{}", life::last_words(&ended));
        println!("{}", self.life.growth);
        self.life.growth.check();
        self.life.growth.check_state(self.arrived);
        for account in &self.accounts {
            let mut expected: Vec<_> = self.expected(account.maildir).into_iter().map(accounts::stored).collect();
            expected.sort();
            assert_same_mail(&self.env.mail_of(account.maildir), &expected);
            assert!(files(&self.env.maildir(account.maildir).join("tmp")).is_empty(), "{}: tmp/", account.name);
            let left = account.maildrop.left().len();
            match account.policy {
                Policy::Keeps => assert_eq!(left, account.sent.len(), "{} keeps", account.name),
                Policy::Deletes => assert_eq!(left, 0, "{} deletes", account.name),
                // What it retrieved in sessions without QUIT stays, and is never requested again.
                Policy::Expires => assert!(left < account.sent.len(), "{} expires", account.name),
            }
        }
        let retrieved: usize = self.accounts.iter().map(Account::retrieved).sum();
        println!("{} polls, {} faults, {} messages, {retrieved} retrieved", self.polls, self.faults, self.arrived);
        assert!(self.faults * 4 > self.polls, "{} faults in {} polls are too few", self.faults, self.polls);
    }
}

fn millis(duration: Duration) -> usize {
    usize::try_from(duration.as_millis()).unwrap()
}

/// Whether an account is fine, and none of its messages has failed since it was last retrieved.
fn is_clean(status: &Status, name: &str) -> bool {
    let account = status.accounts.iter().find(|account| account.account == name);
    account.is_some_and(|account| account.state == State::Idle && account.quarantine.is_empty())
}
