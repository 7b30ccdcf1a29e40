//! What durability costs: messages a second through the path that every message takes (`tmp/`, journal, `new/`), with
//! its syncs and without them, for several sizes of messages and batches.
//!
//! ```sh
//! cargo bench --bench durability -- DIR [ROUNDS]
//! ```
//!
//! DIR is on the file system to be measured, with 2 GiB of room. Everything that is made there is removed at the end, and
//! not before: ext4 is slow for a while to make files where many were removed.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mailferry::account::CredentialSource;
use mailferry::account::{Account, AccountName, AuthChoice, Endpoint, MaildirMode, RemovalPolicy, TlsMode};
use mailferry::clock::{Clock, RealClock};
use mailferry::delivery::destination::make_known;
use mailferry::delivery::publish::{publish, record_delivered};
use mailferry::delivery::record::record;
use mailferry::delivery::{Described, delivered_by};
use mailferry::disk::free_space::FreeSpace;
use mailferry::disk::{Dir, DirSync, Disk, DiskFile, FileId, FileStatus, Lock, RealDisk, Space};
use mailferry::exit::ExitStatus;
use mailferry::maildir::Maildir;
use mailferry::maildir::names::NameSource;
use mailferry::maildir::staging::{NotWritten, Staging, stage};
use mailferry::pop3::{ReportedSize, UniqueId};
use mailferry::state::store::{OpenOptions, Store};

/// The sizes of the messages, in bytes as they are stored.
const SIZES: [usize; 2] = [2 << 10, 64 << 10];

/// The sizes of the batches, each with how many batches are timed at once.
const BATCHES: [(usize, usize); 4] = [(1, 64), (16, 16), (256, 4), (1024, 1)];

/// How often everything is measured, unless the command line says otherwise.
const ROUNDS: usize = 5;

/// What can go wrong here goes to the reader as it is.
type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    // `cargo bench` adds an option of its own.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (dir, rounds) = (arguments.next(), arguments.next());
    let rounds = rounds.map_or(Some(ROUNDS), |rounds| rounds.parse().ok().filter(|rounds| *rounds > 0));
    let (Some(dir), Some(rounds)) = (dir, rounds) else {
        eprintln!("usage: cargo bench --bench durability -- DIR [ROUNDS]\nDIR is on the file system to be measured.");
        return ExitCode::from(ExitStatus::Usage.code());
    };
    match compare(Path::new(&dir), rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("durability: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Measures everything and prints the table.
fn compare(dir: &Path, rounds: usize) -> Outcome<()> {
    let bench_dir = dir.join(format!("mailferry-durability-{}", std::process::id()));
    fs::create_dir(&bench_dir)?;
    let bench_dir = BenchDir(bench_dir.canonicalize()?);
    println!("What durability costs in {}: medians of {rounds} rounds\n", dir.display());
    println!("A small append with its fsync takes {:.2} ms.\n", milliseconds(one_sync(&bench_dir.0)?));
    println!("{:>9} {:>7} {:>14} {:>14} {:>18}", "a message", "a batch", "messages/s", "messages/s", "a message takes");
    println!("{:>9} {:>7} {:>14} {:>14} {:>18}", "KiB", "", "with syncs", "without", "ms more with syncs");
    for size in SIZES {
        for (batch, batches) in BATCHES {
            let (mut with, mut without) = (Vec::new(), Vec::new());
            for round in 0..rounds {
                let home = |kind| bench_dir.0.join(format!("{size}-{batch}-{round}-{kind}"));
                with.push(deliver(&home("with"), Arc::new(RealDisk), size, batch, batches)?);
                without.push(deliver(&home("without"), Arc::new(WithoutSyncs), size, batch, batches)?);
            }
            let (with, without) = (median(with), median(without));
            let (more, kib) = (milliseconds(with) - milliseconds(without), size >> 10);
            let rate = |each: Duration| 1.0 / each.as_secs_f64();
            println!("{kib:>9} {batch:>7} {:>14.0} {:>14.0} {more:>18.3}", rate(with), rate(without));
        }
    }
    println!(
        "\nHow to read it. \"With syncs\" is what the program does: a message counts when it would survive a power cut.\n\
         \"Without\" is the same path with every fsync left out. A batch costs one fsync for each message and three\n\
         besides, for tmp/, the journal and new/; so the last column is near four times a small append in batches of\n\
         one, and nears the price of one file's fsync as the batches grow."
    );
    Ok(())
}

/// A directory that goes when it is dropped.
struct BenchDir(PathBuf);

impl Drop for BenchDir {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.0) {
            eprintln!("durability: cannot remove {}: {e}", self.0.display());
        }
    }
}

/// The median time of a small append that is synced.
fn one_sync(dir: &Path) -> Outcome<Duration> {
    let mut file = File::create(dir.join("append"))?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let begun = Instant::now();
        file.write_all(&[b'x'; 160])?;
        file.sync_all()?;
        times.push(begun.elapsed());
    }
    Ok(median(times))
}

/// Delivers batches of equal messages into a Maildir of its own below `home`; the time that one message took.
fn deliver(home: &Path, disk: Arc<dyn Disk>, size: usize, batch: usize, batches: usize) -> Outcome<Duration> {
    fs::create_dir(home)?;
    let maildir = Maildir::create(&*disk, &home.join("Maildir"), MaildirMode::PRIVATE)?;
    let clock = RealClock::new();
    let mut store = open_store(home, &disk, &clock)?;
    let id = maildir.id(&*disk)?;
    let number = make_known(&*disk, &mut store, maildir.path(), &maildir, id)?;
    store.ensure_file()?;
    let names = NameSource::new(std::process::id(), b"host");
    let message = message(size);
    // What earlier rounds and others left to be written is not ours to pay for.
    rustix::fs::syncfs(File::open(home)?)?;

    let begun = Instant::now();
    for turn in 0..batches {
        let mut received = Vec::with_capacity(batch);
        for number in 0..batch {
            let unique_id = UniqueId::new(format!("{turn}.{number}").as_bytes()).ok();
            let name = names.next(clock.since_1970(), mailferry::ids::InstanceId::new(1), unique_id.as_ref());
            let mut staging = Staging::new(Arc::clone(&disk), maildir.tmp(), name);
            staging.take(&message);
            received.push(staging.finish(Named(unique_id)));
        }
        let mut free_space = FreeSpace::unknown();
        let written = received.into_iter().map(|one| Ok((number.into(), one.write(&mut free_space)?)));
        let staged = stage(&*disk, written.collect::<Result<_, NotWritten>>()?).into_iter();
        let staged = staged.map(|(to, staged)| Ok((to, staged?)));
        let recorded = record(&mut store, staged.collect::<Result<_, NotWritten>>()?)?;
        let published = publish(&*disk, &maildir, recorded)?;
        record_delivered(&mut store, &published.delivered)?;
        store.remove_finished()?;
    }
    store.settle()?;
    Ok(begun.elapsed() / u32::try_from(batch * batches)?)
}

/// What a message carries.
struct Named(Option<UniqueId>);

impl Described for Named {
    fn unique_id(&self) -> Option<&UniqueId> {
        self.0.as_ref()
    }

    fn reported_size(&self) -> Option<ReportedSize> {
        None
    }

    fn is_unsure(&self) -> bool {
        false
    }

    fn comes_again(&self) -> bool {
        false
    }

    fn is_kept(&self) -> bool {
        false
    }

    fn request(&self) -> mailferry::ids::RequestNumber {
        mailferry::ids::RequestNumber::NONE
    }
}

/// An empty state.
fn open_store(home: &Path, disk: &Arc<dyn Disk>, clock: &dyn Clock) -> Outcome<Store> {
    let account = Account {
        name: AccountName::new("bench").map_err(|e| e.to_string())?,
        enabled: true,
        endpoint: Arc::new(Endpoint {
            host: "localhost".to_owned(),
            port: 110,
            tls: TlsMode::None,
            tls_ca_file: None,
            key_exchange: Default::default(),
            allow_cleartext_password: false,
            route: Default::default(),
            tls_options: Default::default(),
        }),
        username: "bench".to_owned(),
        credential: CredentialSource::File(PathBuf::new()),
        auth: AuthChoice::Auto,
        uses_token: false,
        maildir: home.join("Maildir"),
        maildir_mode: MaildirMode::PRIVATE,
        removal: RemovalPolicy::Keep,
        interval: mailferry::account::Interval::fixed(Duration::ZERO),
        timeout: Duration::ZERO,
        max_message_size: None,
        max_messages_per_session: None,
        sizes_are_estimates: false,
        on_new_mail: None,
        forward: None,
        routing: Default::default(),
    };
    let open_options = OpenOptions {
        now: clock.read(),
        since_1970: clock.since_1970(),
        instance: mailferry::ids::InstanceId::new(1),
        holder: "the bench".to_owned(),
        new_state: true,
        must_exist: false,
        configured_accounts: Arc::default(),
        delivered_by,
    };
    Ok(Store::open(Arc::clone(disk), &home.join("state"), &account, &open_options)?)
}

/// A message that has about this size when it is stored.
fn message(size: usize) -> Vec<u8> {
    let header = "Message-ID: <bench@example.org>\r\nFrom: a@example.org\r\nSubject: bench\r\n\r\n";
    let line = "This line is repeated until the message has its size, which is given.\r\n";
    let lines = size.saturating_sub(header.len()) / (line.len() - 1);
    format!("{header}{}", line.repeat(lines)).into_bytes()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The real disk, on which every sync succeeds at once and does nothing.
#[derive(Debug)]
struct WithoutSyncs;

/// One of its files.
struct FileWithoutSyncs(Box<dyn DiskFile>);

impl DiskFile for FileWithoutSyncs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn begin_sync(&mut self) {}

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn set_mode(&mut self, mode: u32) -> io::Result<()> {
        self.0.set_mode(mode)
    }

    fn device(&self) -> Option<u64> {
        self.0.device()
    }

    fn id(&self) -> io::Result<FileId> {
        self.0.id()
    }

    fn try_lock(&mut self) -> io::Result<bool> {
        self.0.try_lock()
    }
}

/// Operations that the real disk does.
macro_rules! as_on_the_real_disk {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $type),*) -> io::Result<$answer> {
            RealDisk.$name($($argument),*)
        })*
    };
}

impl Disk for WithoutSyncs {
    fn sync_files(&self, files: Vec<Box<dyn DiskFile>>) -> Vec<io::Result<()>> {
        files.into_iter().map(|mut file| file.sync()).collect()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<DirSync> {
        Ok(DirSync::Synced)
    }

    fn sync_open_dir(&self, _: &Dir) -> io::Result<DirSync> {
        Ok(DirSync::Synced)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FileWithoutSyncs(RealDisk.create(path)?)))
    }

    fn create_in(&self, dir: &Dir, name: &OsStr) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FileWithoutSyncs(RealDisk.create_in(dir, name)?)))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FileWithoutSyncs(RealDisk.append(path)?)))
    }

    fn read_pieces(&self, path: &Path, take: &mut dyn FnMut(&[u8], u64) -> ControlFlow<()>) -> io::Result<()> {
        RealDisk.read_pieces(path, take)
    }

    fn lock_holder(&self, path: &Path) -> Option<String> {
        RealDisk.lock_holder(path)
    }

    as_on_the_real_disk! {
        fn make_dir(path: &Path) -> ();
        fn set_mode(dir: &Path, mode: u32) -> ();
        fn mode_open_to_all(path: &Path) -> Option<u32>;
        fn dir_inode(path: &Path) -> u64;
        fn file_system(path: &Path) -> u64;
        fn resolve(path: &Path) -> PathBuf;
        fn open_dir(path: &Path) -> Dir;
        fn status(path: &Path) -> FileStatus;
        fn owner(path: &Path) -> u32;
        fn status_in(dir: &Dir, name: &OsStr) -> FileStatus;
        fn list(path: &Path) -> Vec<OsString>;
        fn list_in(dir: &Dir) -> Vec<OsString>;
        fn read(path: &Path, limit: u64) -> Vec<u8>;
        fn read_at(dir: &Dir, name: &OsStr, offset: u64, buffer: &mut [u8]) -> usize;
        fn link(from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> ();
        fn rename_in(from: &Dir, name: &OsStr, to: &Dir, new_name: &OsStr) -> ();
        fn replace(from: &Path, to: &Path) -> ();
        fn replace_in(dir: &Dir, name: &OsStr, new_name: &OsStr) -> ();
        fn remove(path: &Path) -> ();
        fn remove_in(dir: &Dir, name: &OsStr) -> ();
        fn keeps_inode_numbers(dir: &Dir) -> bool;
        fn created(dir: &Dir) -> Option<u64>;
        fn space(dir: &Dir) -> Space;
        fn lock(path: &Path, holder: &str) -> Lock;
    }
}
