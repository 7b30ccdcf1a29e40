//! Checks this machine: the Maildir, the state, the clock. Reads only.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, CWD, StatVfsMountFlags, accessat, statfs, statvfs};

use super::{CheckContext, Step, day, free_space};
use crate::account::Account;
use crate::advice;
use crate::advice::next_step::check::{RIGHT_PATH, SET_THE_CLOCK, with_clause};
use crate::delivery::recovery::known_maildir;
use crate::disk::free_space::free_spaces;
use crate::exit::ExitStatus;
use crate::forward::Stranded;
use crate::ids::InstanceId;
use crate::maildir::Maildir;
use crate::plan::maildrop::Maildrop;
use crate::poll::PollError;
use crate::state::error::StateError;
use crate::state::ownership;
use crate::state::store::{OpenOptions, Store};
use crate::text::{Count, Size};
use crate::watch;

/// The earliest day that a working clock can show, 2025-01-01, in seconds since 1970.
const EARLIEST: i64 = 1_735_689_600;

/// How far the clock may be behind the time at which the state was written, in seconds.
const BEHIND: i64 = 24 * 60 * 60;

/// Checks what is on this machine, on another thread: a disk may hang.
pub(super) async fn look(context: &CheckContext, account: &Account, maildrop: Option<Maildrop>, steps: &mut Vec<Step>) {
    let name = account.name.clone();
    let (context, account) = (context.clone(), account.clone());
    match watch::blocking(move || look_now(&context, &account, maildrop.as_ref())).await {
        Ok(found) => steps.extend(found),
        Err(e) => {
            let e = PollError::from(e.doing("look at the Maildir"));
            steps.push(Step::fail("maildir", ExitStatus::Temporary, &advice::told(&e, &name)));
        }
    }
}

/// Checks the account's Maildirs, on another thread.
pub(super) async fn maildirs(context: &CheckContext, account: &Account) -> Vec<Step> {
    let name = account.name.clone();
    let (context, account) = (context.clone(), account.clone());
    let each = move || {
        let account = account.with_spool(&context.state_dir);
        account.maildirs().into_iter().map(|one| maildir(&context, &account, one.path)).collect()
    };
    watch::blocking(each).await.unwrap_or_else(|e| {
        let e = PollError::from(e.doing("look at the Maildir"));
        vec![Step::fail("maildir", ExitStatus::Temporary, &advice::told(&e, &name))]
    })
}

fn look_now(context: &CheckContext, configured: &Account, maildrop: Option<&Maildrop>) -> Vec<Step> {
    let account = &configured.clone().with_spool(&context.state_dir);
    let maildirs: Vec<&Path> = account.maildirs().into_iter().map(|maildir| maildir.path).collect();
    let mut steps: Vec<Step> = maildirs.iter().map(|path| maildir(context, account, path)).collect();
    let options = OpenOptions {
        now: context.clock.read(),
        since_1970: context.clock.since_1970(),
        instance: InstanceId::new(0),
        holder: String::new(),
        new_state: false,
        must_exist: false,
        configured_accounts: Arc::clone(&context.configured_accounts),
        delivered_by: crate::delivery::delivered_by,
    };
    let (disk, dir, name) = (&*context.disk, &context.state_dir, account.name.as_str());
    let store = ownership::check_for_look(disk, dir, name)
        .and_then(|()| Store::look(Arc::clone(&context.disk), &context.state_dir, account, &options));
    let (mut written, mut space) = (None, None);
    let state = match &store {
        Err(e) => Step::fail("state", e.exit_status(), &advice::told_of_state(e, &account.name)),
        Ok(store) => {
            written = store.state().clock().map(|mark| mark.reading.wall);
            space = free_space::look(context, configured, store, maildrop);
            match maildirs.iter().try_for_each(|path| known_maildir(disk, store, path).map(drop)) {
                Err(e) => {
                    // What was said about this path holds for any Maildir, and here is not the one that it was.
                    steps.retain(|step| step.step != "maildir");
                    Step::fail("maildir", e.exit_status(), &advice::told_of_state(&e, &account.name))
                }
                Ok(()) => state(context, account, store),
            }
        }
    };
    steps.extend(space);
    steps.push(state);
    let stranded = store.as_ref().ok().filter(|_| account.forward.is_none()).and_then(Stranded::of);
    steps.extend(
        stranded.map(|it| Step::fail("spool", ExitStatus::Partial, &advice::told_of_stranded(&it, &account.name))),
    );
    steps.push(clock(options.now.wall, written));
    steps
}

/// Checks a Maildir, or the place where it will be.
fn maildir(context: &CheckContext, account: &Account, path: &Path) -> Step {
    let failed = |doing, path: &Path, source: io::Error| {
        let e = PollError::Maildir { doing, path: path.to_owned(), source };
        Step::fail("maildir", e.exit_status(), &advice::told(&e, &account.name))
    };
    let maildir = match Maildir::open(&*context.disk, path) {
        Ok(maildir) => maildir,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return to_be_made(context, account, path, &failed),
        Err(e) => return failed("open", path, e),
    };
    for part in [maildir.tmp(), maildir.new_dir(), maildir.cur()] {
        if let Err(e) = may_write(part.path()) {
            return failed("write to", part.path(), e);
        }
    }
    let mut text = format!("{} is there and can be written to", path.display());
    match free_spaces(&*context.disk, maildir.tmp()) {
        Ok(space) if space.now == 0 => return insufficient_space(account, path),
        Ok(space) => match space.told() {
            Some(now) => text.push_str(&format!(", {} are free", Size(now))),
            None => text.push_str(", and does not tell how much is free"),
        },
        Err(e) => text.push_str(&format!("; {e}")),
    }
    match doubtful_file_system(maildir.path()) {
        None => Step::ok("maildir", text),
        Some(doubt) => Step::warn("maildir", format!("{text}; {doubt}")),
    }
}

fn insufficient_space(account: &Account, path: &Path) -> Step {
    let e = PollError::InsufficientSpace { path: path.to_owned(), message: None };
    Step::fail("maildir", e.exit_status(), &advice::told(&e, &account.name))
}

/// Checks whether a Maildir that does not exist yet can be created.
fn to_be_made(
    context: &CheckContext,
    account: &Account,
    path: &Path,
    failed: &dyn Fn(&'static str, &Path, io::Error) -> Step,
) -> Step {
    let disk = &*context.disk;
    let above = match Maildir::place(disk, path) {
        Ok(above) => above,
        Err(e) => return failed("make the Maildir", path, e),
    };
    if is_of_the_kernel(&above) {
        let why = format!("{} is the kernel's own and can hold no mail", above.display());
        return failed("make the Maildir", path, io::Error::other(why));
    }
    // If the directory may not be read, the first write will show whether there is space.
    if let Ok(dir) = disk.resolve(&above).and_then(|above| disk.open_dir(&above))
        && free_spaces(disk, &dir).is_ok_and(|space| space.now == 0)
    {
        return insufficient_space(account, path);
    }
    if let Ok(mut entries) = std::fs::read_dir(path)
        && entries.next().is_some()
    {
        let fact = format!(
            "{} is there, is no Maildir (it lacks tmp, new or cur) and is not empty; mailferry would make them in it",
            path.display()
        );
        return Step::warn("maildir", advice::with_step(fact, Some(RIGHT_PATH)));
    }
    if let Err(e) = may_write(&above) {
        return failed("make a Maildir in", &above, e);
    }
    let text = format!("{} is not there yet; the first fetch makes it", path.display());
    match doubtful_file_system(&above) {
        None => Step::ok("maildir", text),
        Some(doubt) => Step::warn("maildir", format!("{text}; {doubt}")),
    }
}

/// Checks whether this user may create files in a directory.
fn may_write(dir: &Path) -> io::Result<()> {
    let file_system = statvfs(dir)?;
    if file_system.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(io::ErrorKind::ReadOnlyFilesystem.into());
    }
    // Some file systems create inodes as needed, and report none at all.
    if file_system.f_files > 0 && file_system.f_favail == 0 {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(accessat(CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)?)
}

/// Returns the type of a file system, as numbered by statfs(2).
fn file_system_type(path: &Path) -> Option<u32> {
    // Width and sign of the field differ between architectures; the number itself has 32 bits.
    let number = statfs(path).ok()?.f_type.to_le_bytes();
    number.first_chunk().map(|low| u32::from_le_bytes(*low))
}

/// Whether a directory is in proc, sysfs, cgroup, cgroup2, devpts, debugfs, tracefs or securityfs, where root seems to
/// have permission to write.
fn is_of_the_kernel(path: &Path) -> bool {
    let kernel = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270, 0x1cd1, 0x6462_6720, 0x7472_6163, 0x7363_6673];
    file_system_type(path).is_some_and(|found| kernel.contains(&found))
}

/// Returns what to know about an unusual file system.
fn doubtful_file_system(path: &Path) -> Option<&'static str> {
    match file_system_type(path)? {
        0x0102_1994 | 0x8584_58f6 => Some("it is in memory (tmpfs): the mail is gone after a restart of the machine"),
        0x4d44 | 0x2011_bab0 => Some("it is on a FAT file system, which has no permissions: others may read the mail"),
        0x6573_5546 => {
            Some("it is on a FUSE file system: some of them do not make data durable when they are asked to")
        }
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => {
            Some("it is on a share of Windows (SMB): names with a colon, which mail readers make, may be refused there")
        }
        0x794c_7630 => Some("it is on an overlay, as in a container: the mail is gone with the container"),
        _ => None,
    }
}

fn state(context: &CheckContext, account: &Account, store: &Store) -> Step {
    let known = store.state().entries().count();
    let text = if store.path().exists() {
        format!("{} belongs to this user; {} remembered", store.path().display(), Count::of(known, "message"))
    } else {
        format!("nothing is remembered yet; {} will be made by the first fetch", store.path().display())
    };
    let Some(dir) = context.state_dir.ancestors().find(|dir| dir.exists()) else { return Step::ok("state", text) };
    let full = || free_space::of_place(context, dir).is_some_and(|space| free_space::is_full(&space));
    let writable = may_write(dir).and_then(|()| if full() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) });
    match writable {
        Err(e) => {
            let e = StateError::io("write to", dir, e);
            Step::fail("state", e.exit_status(), &advice::told_of_state(&e, &account.name))
        }
        Ok(()) => Step::ok("state", text),
    }
}

/// Checks the clock, by which ages ("14d") and certificates are judged.
fn clock(wall: i64, written: Option<i64>) -> Step {
    let today = day(wall);
    if wall < EARLIEST {
        let fact = format!("it cannot be {today}: the clock is wrong, and so no certificate is valid");
        let text = with_clause(fact, SET_THE_CLOCK);
        return Step { status: ExitStatus::Local, ..Step::new("clock", super::Mark::Fail, text) };
    }
    match written.filter(|written| wall.saturating_add(BEHIND) < *written) {
        Some(written) => {
            let text = format!(
                "it is {today}, and the last poll was on {}: one of the two clocks was wrong, so no message counts as old \
                 until that is over",
                day(written)
            );
            Step::warn("clock", text)
        }
        None => Step::ok("clock", format!("it is {today}")),
    }
}
