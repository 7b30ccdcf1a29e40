//! Disk, servers and clock together: what a process meets, what a script does to them, and copies of it all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailferry::account::Account;
use mailferry::clock::Clock as _;
use mailferry::credential::CredentialEnvironment;
use mailferry::disk::Disk;
use mailferry::forward::{ForwardOptions, ForwardReport};
use mailferry::maildir::names::NameSource;
use mailferry::poll::{PollContext, PollOptions, PollReport, forward_spool, poll};
use mailferry::pop3::UniqueId;
use mailferry::state::entries::ListedAs;
use mailferry::state::store::{ConfiguredAccounts, OpenOptions, Store};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::clock::{SimClock, Time};
use super::dialogue::MAIL;
use super::disk::{Machine, Process, Shared, SimDisk, look};
use super::fault::{Fault, FaultKind};
use super::power::Survival;
use super::script::{Act, Script};
use super::server::{Message, Post, Posts, SimDialer, open};
use super::storage::Storage;

/// The directory of the states.
pub(crate) const STATE: &str = "/state/mailferry";
/// Where a mail reader moves what it has read.
pub(crate) const READ: &str = "/mail/read";
/// A day, in seconds.
const DAY: u64 = 86_400;

/// A copy of the whole world at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    storage: Storage,
    posts: BTreeMap<String, Post>,
    time: Time,
    processes: u32,
}

/// A world in which things happen.
pub(crate) struct World<'a> {
    pub(crate) script: &'a Script,
    runtime: &'a Runtime,
    pub(crate) machine: Shared,
    pub(crate) posts: Posts,
    pub(crate) clock: SimClock,
    processes: u32,
}

/// The result of a poll.
pub(crate) struct Polled {
    pub(crate) report: PollReport,
    /// The process at its end.
    pub(crate) process: Process,
    /// How many messages were retrieved.
    pub(crate) retrieved: usize,
    /// How many messages were marked as deleted.
    pub(crate) deleted: usize,
    /// How many bytes the server sent.
    pub(crate) sent: usize,
}

/// The result of a run that polls, forwards and polls again.
pub(crate) struct Fetched {
    pub(crate) first: PollReport,
    pub(crate) forwarded: ForwardReport,
    pub(crate) second: PollReport,
    /// The process at its end.
    pub(crate) process: Process,
}

/// What a mail reader does with the messages in `new/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// Nothing.
    Idle,
    /// Moves it into `cur/`.
    Opens,
    /// Moves it to another place.
    Files,
    /// One or the other, in turn.
    Both,
}

/// Returns the runtime of a test thread: time stands still while there is anything to do.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

impl<'a> World<'a> {
    /// Makes the world before the script begins.
    pub(crate) fn new(script: &'a Script, runtime: &'a Runtime) -> Self {
        let mut storage = Storage::new();
        for dir in ["/state", MAIL, READ] {
            storage.make_dir(Path::new(dir)).unwrap();
        }
        storage.sync_all();
        let posts = script.accounts.iter().map(|(account, manner)| (account.name.to_string(), Post::new(*manner)));
        let posts = posts.collect();
        Self::resume(script, runtime, &Snapshot { storage, posts, time: Time::new(), processes: 0 })
    }

    /// Makes the world as it was.
    pub(crate) fn resume(script: &'a Script, runtime: &'a Runtime, snapshot: &Snapshot) -> Self {
        let Snapshot { storage, posts, time, processes } = snapshot.clone();
        Self {
            script,
            runtime,
            machine: Arc::new(Mutex::new(Machine::new(storage))),
            posts: Arc::new(Mutex::new(posts)),
            clock: SimClock(Arc::new(Mutex::new(time))),
            processes,
        }
    }

    /// Copies everything.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            storage: look(&self.machine).storage.clone(),
            posts: open(&self.posts).clone(),
            time: self.clock.time(),
            processes: self.processes,
        }
    }

    /// Starts a new process in place of the last one.
    pub(crate) fn start(&mut self, fault: Option<Fault>) -> SimDisk {
        self.processes += 1;
        look(&self.machine).process = Process::new(self.processes, fault);
        SimDisk::new(&self.machine, self.processes)
    }

    fn configured_accounts(&self) -> Arc<ConfiguredAccounts> {
        Arc::new(ConfiguredAccounts::new(self.script.accounts.iter().map(|(account, _)| account.name.clone())))
    }

    /// Runs mailferry to poll one account.
    pub(crate) fn poll(&mut self, name: &str, fault: Option<Fault>) -> Polled {
        let account = self.script.account(name).clone();
        self.poll_as(account, fault, PollOptions::default())
    }

    /// Like [`Self::poll`], with an account that differs from the script's.
    pub(crate) fn poll_as(&mut self, account: Account, fault: Option<Fault>, options: PollOptions) -> Polled {
        let (context, dialer) = self.process(fault);
        let host = account.endpoint.host.clone();
        let counts = |world: &Self| {
            let posts = open(&world.posts);
            (posts[&host].retrieved, posts[&host].deleted, posts[&host].sent)
        };
        let before = counts(self);
        let report = self.runtime.block_on(async {
            let report = poll(context, account, options, CancellationToken::new(), Vec::new()).await;
            dialer.end_of_sessions().await;
            report
        });
        let after = counts(self);
        let process = look(&self.machine).process.clone();
        let (retrieved, deleted, sent) = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
        Polled { report, process, retrieved, deleted, sent }
    }

    /// Starts a new process and makes what polls need.
    fn process(&mut self, fault: Option<Fault>) -> (Arc<PollContext>, Arc<SimDialer>) {
        let disk = self.start(fault);
        // The instance id of a new state is drawn from this: every run takes the same course.
        fastrand::seed(u64::from(self.processes));
        let dialer = Arc::new(SimDialer {
            posts: Arc::clone(&self.posts),
            machine: Arc::clone(&self.machine),
            clock: self.clock.clone(),
            process: self.processes,
            sessions: Mutex::default(),
        });
        let context = PollContext {
            dialer: dialer.clone(),
            disk: Arc::new(disk),
            clock: Arc::new(self.clock.clone()),
            names: Arc::new(NameSource::new(self.processes, b"host")),
            state_dir: PathBuf::from(STATE),
            credentials: CredentialEnvironment::default(),
            holder: "the matrix".to_owned(),
            most_files: 64,
            promised_space: Arc::default(),
            shared: Arc::default(),
            configured_accounts: self.configured_accounts(),
        };
        (Arc::new(context), dialer)
    }

    /// Runs mailferry: it polls an account, forwards what is in its spool, and polls again, so that what has arrived is
    /// deleted on the server.
    pub(crate) fn fetch_and_forward(&mut self, name: &str, fault: Option<Fault>) -> Fetched {
        let account = self.script.account(name).clone();
        let (context, dialer) = self.process(fault);
        let (first, forwarded, second) = self.runtime.block_on(async {
            let never = CancellationToken::new();
            let options = PollOptions::default();
            let first = poll(Arc::clone(&context), account.clone(), options, never.clone(), Vec::new()).await;
            let bound = Duration::from_secs(DAY);
            let forwarded = forward_spool(&context, &account, ForwardOptions::default(), bound, &never).await.unwrap();
            let second = poll(context, account, PollOptions::default(), never, Vec::new()).await;
            dialer.end_of_sessions().await;
            (first, forwarded, second)
        });
        let process = look(&self.machine).process.clone();
        Fetched { first, forwarded, second, process }
    }

    /// Ends the process, or cuts the power, if that is what the fault of the last poll was.
    pub(crate) fn crash(&mut self, fault: Fault) {
        if let FaultKind::Cut(survival) = fault.kind {
            self.cut_power(survival, fault.seed);
        }
    }

    /// Cuts the power, and boots the machine.
    pub(crate) fn cut_power(&mut self, survival: Survival, seed: u64) {
        look(&self.machine).storage.cut_power(survival, seed);
        self.clock.change(Time::reboot);
    }

    /// Does anything except a poll.
    pub(crate) fn act(&mut self, act: Act) {
        match act {
            Act::Mail(account, uid, octets) => {
                let message = Message::new(uid, uid, Script::message(uid, octets));
                open(&self.posts).get_mut(account).unwrap().messages.push(message);
            }
            Act::Poll(_) => {}
            Act::Days(days) => self.clock.change(|time| time.passed += days * DAY),
            Act::WrongClock(days) => self.clock.change(|time| time.wrong = days * 86_400),
            Act::Reboot => {
                look(&self.machine).storage.sync_all();
                self.clock.change(Time::reboot);
            }
            Act::Read(maildir) => self.read(Path::new(maildir), Reader::Both),
            Act::Vanish(account, uid) => {
                open(&self.posts).get_mut(account).unwrap().messages.retain(|message| message.id != uid);
            }
            Act::Hold(account, uid, note) => {
                open(&self.posts).get_mut(account).unwrap().notes.insert(uid.to_owned(), note);
            }
            Act::Release(account) => open(&self.posts).get_mut(account).unwrap().notes.clear(),
            Act::History(account) => self.make_history(account),
        }
    }

    /// Lets a mail reader handle what is in `new/`.
    pub(crate) fn read(&mut self, maildir: &Path, reader: Reader) {
        let storage = &mut look(&self.machine).storage;
        let new = maildir.join("new");
        for (index, name) in storage.list(&new).unwrap_or_default().into_iter().enumerate() {
            let name = name.to_str().unwrap();
            let opened = maildir.join("cur").join(format!("{name}:2,S"));
            // The copies for several people have the same name.
            let filed = Path::new(READ).join(format!("{}-{name}", maildir.display().to_string().replace('/', "_")));
            let to = match reader {
                Reader::Idle => continue,
                Reader::Opens => opened,
                Reader::Files => filed,
                Reader::Both => [opened, filed][index % 2].clone(),
            };
            storage.rename(&new.join(name), &to).unwrap();
        }
    }

    fn open_options(&self) -> OpenOptions {
        let (now, configured_accounts) = (self.clock.read(), self.configured_accounts());
        OpenOptions {
            now,
            since_1970: self.clock.since_1970(),
            instance: mailferry::ids::InstanceId::new(0),
            holder: String::new(),
            new_state: false,
            must_exist: false,
            configured_accounts,
            delivered_by: mailferry::delivery::delivered_by,
        }
    }

    /// Reads the state of an account.
    pub(crate) fn state(&mut self, account: &Account) -> Result<Store, String> {
        let disk: Arc<dyn Disk> = Arc::new(self.start(None));
        Store::look(disk, Path::new(STATE), account, &self.open_options()).map_err(|e| e.to_string())
    }

    fn make_history(&mut self, name: &str) {
        let disk: Arc<dyn Disk> = Arc::new(self.start(None));
        let account = self.script.account(name);
        let mut store = Store::open(disk, Path::new(STATE), account, &self.open_options()).unwrap();
        // A message that a rule left on the server, and that is gone: nothing follows from it.
        let gone = ListedAs { unique_id: UniqueId::new(b"gone").unwrap(), reported_size: None };
        store.record_skipped(vec![gone.clone(); 1100], mailferry::ids::RulesDigest::new(0), Vec::new()).unwrap();
        store
            .record_skipped(Vec::new(), mailferry::ids::RulesDigest::new(0), vec![gone])
            .and_then(|()| store.finish())
            .unwrap();
        drop(store);
        look(&self.machine).storage.sync_all();
    }
}
