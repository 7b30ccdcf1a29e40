//! What is remembered: a `.uids` file that is read, one that is appended to, and the end of it all.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gungraun::prelude::*;
use mailferry::account::{Account, AccountName, AuthChoice, Endpoint, MaildirMode, RemovalPolicy, TlsMode};
use mailferry::account::CredentialSource;
use mailferry::clock::trusted_time::{ClockMark, ClockReading, TrustedTime};
use mailferry::disk::RealDisk;
use mailferry::ids::{EntryId, InstanceId, MaildirId, MaildirNumber};
use mailferry::message::MessageDigester;
use mailferry::pop3::ReportedSize;
use mailferry::state::entries::{Entry, Fingerprint, Identity, Intent, KnownMaildir, Origin, UidState};
use mailferry::state::journal::{self, BadJournal};
use mailferry::state::record::Record;
use mailferry::state::store::{ConfiguredAccounts, OpenOptions, Store};
use tempfile::TempDir;

use crate::samples;

/// How many messages the file remembers.
const REMEMBERED: u32 = 10_000;

/// How many messages the batches deliver.
const INTENTS: u32 = 1_000;

const NOW: ClockReading = ClockReading { wall: 1_764_000_000, boot: 1, since_boot: 5_000 };

fn entry(number: u32, intent: Option<Intent>) -> Entry {
    let mut digester = MessageDigester::default();
    digester.update(&number.to_le_bytes());
    let header = Some(digester.finish());
    Entry {
        id: EntryId::new(u64::from(number)),
        unique_id: Some(samples::unique_id(number)),
        origin: Origin::Delivered,
        fingerprint: Fingerprint { reported_size: Some(ReportedSize::new(samples::size(number))), header, whole: None },
        delivered_at: NOW.wall,
        delivered_trusted: TrustedTime::of_record(u64::from(number) * 60),
        intent: intent.map(Box::new),
        removed: false,
        doubt: false,
        absent_since: None,
    }
}

/// The bytes of a file that remembers so many messages.
fn file_of(count: u32) -> Vec<u8> {
    let identity = Identity {
        instance: InstanceId::new(7),
        host: "pop.example.org".to_owned(),
        user: "jo".to_owned(),
        created: 1,
    };
    let clock = Record::Clock(ClockMark::first(NOW));
    let maildir = KnownMaildir {
        configured: PathBuf::from("/home/jo/Mail"),
        resolved: PathBuf::from("/home/jo/Mail"),
        id: MaildirId { tmp_inode: 1, new_inode: 2, marker: None, created: Some(3) },
    };
    let entries = (1..=count).map(|number| Record::Entry(entry(number, None)));
    let first = [Record::Header(identity), clock, Record::Maildir(MaildirNumber::FIRST, maildir)];
    journal::file_of(&first.into_iter().chain(entries).collect::<Vec<_>>())
}

/// A state that remembers so many messages.
pub fn state(count: u32) -> UidState {
    UidState::read(&file_of(count)).expect("a file that is read").expect("a state")
}

/// A directory with the file of a state that remembers so many messages.
fn file(count: u32) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("jo.uids");
    fs::write(&path, file_of(count)).expect("to write the file");
    (dir, path)
}

fn file_to_read() -> (TempDir, Account, OpenOptions) {
    let account = Account {
        name: AccountName::new("jo").expect("a name"),
        enabled: true,
        endpoint: Arc::new(Endpoint {
            host: "pop.example.org".to_owned(),
            port: 995,
            tls: TlsMode::Implicit,
            tls_ca_file: None,
            key_exchange: Default::default(),
            allow_cleartext_password: false,
            route: Default::default(),
            tls_options: Default::default(),
        }),
        username: "jo".to_owned(),
        credential: CredentialSource::File(PathBuf::new()),
        auth: AuthChoice::Auto,
        uses_token: false,
        maildir: PathBuf::from("/home/jo/Mail"),
        maildir_mode: MaildirMode::default(),
        on_new_mail: None,
        forward: None,
        routing: Default::default(),
        removal: RemovalPolicy::Keep,
        interval: mailferry::account::Interval::fixed(Duration::ZERO),
        timeout: Duration::ZERO,
        max_message_size: None,
        max_messages_per_session: None,
        sizes_are_estimates: false,
    };
    let open_options = OpenOptions {
        now: NOW,
        since_1970: Duration::ZERO,
        instance: InstanceId::new(7),
        holder: String::new(),
        new_state: false,
        must_exist: false,
        configured_accounts: Arc::new(ConfiguredAccounts::new([account.name.clone()])),
        delivered_by: |_, _| Ok(Vec::new()),
    };
    (file(REMEMBERED).0, account, open_options)
}

#[library_benchmark]
#[bench::entries_10_000(setup = file_to_read)]
fn read((dir, account, open_options): (TempDir, Account, OpenOptions)) -> (TempDir, Store) {
    let store = Store::look(Arc::new(RealDisk), dir.path(), &account, &open_options).expect("a state");
    assert_eq!(store.state().len(), 10_000);
    (dir, store)
}

fn bytes() -> Vec<u8> {
    file_of(REMEMBERED)
}

#[library_benchmark]
#[bench::entries_10_000(setup = bytes)]
fn parse(bytes: Vec<u8>) -> (Vec<u8>, usize) {
    let mut entries = 0;
    let parsed = journal::parse(black_box(&bytes), |record| {
        entries += usize::from(matches!(record, Record::Entry(_)));
        Ok::<_, BadJournal>(())
    });
    parsed.expect("a state");
    (bytes, entries)
}

#[library_benchmark]
#[bench::entries_10_000(args = (REMEMBERED), setup = state)]
fn forget(state: UidState) {
    drop(black_box(state));
}

fn file_to_append_to() -> (TempDir, File, Vec<Record>) {
    let intent = |number| Intent {
        file_name: format!("1764000000.M{number:06}P4242Q{number}_mf-0000000000000007-5f3a9c41.host,S=4000"),
        maildir: MaildirNumber::FIRST,
        spooled: false,
        also: Vec::new(),
        not_linked: Vec::new(),
    };
    let records = (1..=INTENTS).map(|number| Record::Entry(entry(number, Some(intent(number))))).collect();
    let (dir, path) = file(0);
    let file = File::options().append(true).open(path).expect("to open the file");
    (dir, file, records)
}

#[library_benchmark]
#[bench::intents_1_000(setup = file_to_append_to)]
fn append((dir, mut file, records): (TempDir, File, Vec<Record>)) -> (TempDir, File, Vec<Record>) {
    file.write_all(&journal::batch_of(black_box(&records))).expect("to append");
    (dir, file, records)
}

library_benchmark_group!(name = remembering, benchmarks = [read, parse, forget, append]);
