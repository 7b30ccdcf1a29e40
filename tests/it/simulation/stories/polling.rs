//! The polls of a story: their faults, and what they report and do.

use std::collections::BTreeSet;

use mailferry::exit::ExitStatus;
use mailferry::poll::{PollError, PollOptions};

use super::super::fault::{Fault, FaultKind};
use super::super::server::{MOST_SESSIONS, Mishaps, Shown};
use super::super::world::{Polled, World};
use super::judge::{self, Failure, Kind};
use super::ledger::Doubt;
use super::play::Player;
use super::story::Mishap;

impl Player<'_> {
    /// Polls; returns whether the poll ended in order and left nothing for later.
    pub(super) fn poll(&mut self, account: usize, mishap: Option<Mishap>) -> Result<bool, Failure> {
        let name = &self.story.accounts[account].name;
        let options = PollOptions { fetch_again: self.outside[account].asks, ..PollOptions::default() };
        let fault = mishap.and_then(|mishap| self.prepare(account, mishap, options));
        let polled = self.world.poll_as(self.world.script.account(name).clone(), fault, options);
        self.totals.polls += 1;
        self.post(account, |post| {
            (post.cut_after, post.loses_quit) = (None, false);
            post.next_session = Mishaps::default();
        });
        let crashed = fault.filter(|fault| fault.kind.is_crash() && polled.process.met.is_some());
        if let Some(fault) = crashed {
            self.world.crash(fault);
            if matches!(fault.kind, FaultKind::Cut(_)) {
                self.ledger.note_power_cut();
            }
        }
        self.describe(&polled, fault);
        self.note_poll(account, &polled, crashed.is_some())?;
        let status = polled.report.exit_status();
        Ok(crashed.is_none() && status == ExitStatus::Ok && polled.report.quarantined.is_empty())
    }

    /// Finds out what the poll would do, so that the mishap strikes.
    fn prepare(&mut self, account: usize, mishap: Mishap, options: PollOptions) -> Option<Fault> {
        let name = &self.story.accounts[account].name;
        let mut copy = World::resume(self.world.script, self.runtime, &self.world.snapshot());
        let rehearsed = copy.poll_as(self.world.script.account(name).clone(), None, options);
        let place = |share: u16, count: usize| usize::from(share) * count / 65_536;
        match mishap {
            Mishap::Cut(share) => {
                self.post(account, |post| post.cut_after = Some(place(share, rehearsed.sent + 1)));
                None
            }
            Mishap::Disk(kind, share, seed) => {
                let log = rehearsed.process.log.iter().enumerate();
                let fitting: Vec<usize> =
                    log.filter(|(_, (operation, _))| kind.befits(*operation)).map(|(at, _)| at).collect();
                let at = *fitting.get(place(share, fitting.len()))?;
                Some(Fault { at, kind, seed })
            }
        }
    }

    fn describe(&mut self, polled: &Polled, fault: Option<Fault>) {
        let Polled { report, process, retrieved, deleted, .. } = polled;
        let mut words = format!(" -> {:?}, {retrieved} RETR, {deleted} DELE", report.exit_status());
        if let (Some(fault), Some(met)) = (fault, &process.met) {
            words.push_str(&format!(", {fault} ({met})"));
        }
        if let Err(e) = &report.end {
            words.push_str(&format!(": {e}"));
        }
        for (listed, why) in report.failed.first() {
            words.push_str(&format!(", {} {why}", listed.number));
        }
        self.note(&words);
    }

    fn note_poll(&mut self, account: usize, polled: &Polled, crashed: bool) -> Result<(), Failure> {
        if let Err(PollError::InternalError(fault)) = &polled.report.end {
            return Err(Failure {
                kind: Kind::Panic,
                text: format!("the poll ended with a fault of its own: {fault}"),
            });
        }
        let (now, manner) = (self.now(), self.story.accounts[account].manner);
        let seen = self.outside[account].sessions;
        let sessions = self.post(account, |post| post.sessions[seen..].to_vec());
        self.outside[account].sessions += sessions.len();
        if sessions.len() >= MOST_SESSIONS {
            return Err(Failure { kind: Kind::Endless, text: format!("{} sessions in one poll", sessions.len()) });
        }
        let well = !crashed && polled.report.exit_status() == ExitStatus::Ok;
        let answered: Vec<Shown> = sessions.iter().filter(|shown| shown.answered).map(Shown::as_told).collect();
        for id in self.post(account, |post| post.misfits.clone()).keys() {
            self.ledger.note_misfit(id);
        }
        for shown in &answered {
            let looks = well && manner.top && !manner.refuses_top && !shown.refuses_top;
            self.ledger.note_session(account, shown, manner, looks, now);
        }
        let seen = self.outside[account].notes;
        for (id, bytes) in self.post(account, |post| post.sent_notes[seen..].to_vec()) {
            self.outside[account].notes += 1;
            self.ledger.expect_note(&id, &bytes, now);
            // Without a unique-id it does not exist while something else is sent.
            if !manner.uidl {
                self.ledger.doubt(&id, Doubt::Unnamed);
            }
        }
        judge::promises(self, account)?;
        self.note_removals(account)?;
        judge::files(self)?;
        let marked: BTreeSet<String> = self.post(account, |post| {
            post.removed.iter().filter(|removal| removal.marked).map(|removal| removal.id.clone()).collect()
        });
        if let Some((last, earlier)) = answered.split_last() {
            for shown in earlier {
                self.ledger.note_names(account, shown, |id| !well || !marked.contains(id));
            }
            if well {
                let beyond_notice = judge::everything_is_dealt_with(self, account, last, &polled.report)?;
                self.ledger.note_good_end(account, last, &beyond_notice, |id| !marked.contains(id));
            } else {
                self.ledger.note_names(account, last, |_| true);
            }
        }
        let outside = &mut self.outside[account];
        outside.asks = matches!(polled.report.end, Err(PollError::Renumbered { .. }));
        outside.disturbed |= !well;
        outside.unsettled = crashed || !matches!(polled.report.exit_status(), ExitStatus::Ok | ExitStatus::Partial);
        Ok(())
    }

    fn note_removals(&mut self, account: usize) -> Result<(), Failure> {
        let seen = self.outside[account].removals;
        let removals = self.post(account, |post| post.removed[seen..].to_vec());
        self.outside[account].removals += removals.len();
        for removal in removals {
            self.totals.deletions += 1;
            judge::removal(self, &self.story.accounts[account], &removal)?;
        }
        Ok(())
    }
}
