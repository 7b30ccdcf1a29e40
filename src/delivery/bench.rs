//! A state directory and a Maildir for testing deliveries.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::destination::make_known;
use super::record::{Recorded, record};
use super::{Described, delivered_by};
use crate::account::{
    Account, AccountName, AuthChoice, CredentialSource, Endpoint, MaildirMode, RemovalPolicy, TlsMode,
};
use crate::clock::trusted_time::ClockReading;
use crate::disk::RealDisk;
use crate::disk::free_space::FreeSpace;
use crate::ids::{InstanceId, MaildirNumber, RequestNumber};
use crate::maildir::Maildir;
use crate::maildir::names::NameSource;
use crate::maildir::staging::{Staging, stage};
use crate::pop3::{ReportedSize, UniqueId};
use crate::secret::Secret;
use crate::state::entries::MaildirNumbers;
use crate::state::error::StateError;
use crate::state::store::{ConfiguredAccounts, OpenOptions, Store};

/// The payload of a message in tests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named(UniqueId);

impl Described for Named {
    fn unique_id(&self) -> Option<&UniqueId> {
        Some(&self.0)
    }

    fn reported_size(&self) -> Option<ReportedSize> {
        Some(ReportedSize::new(14))
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

    fn request(&self) -> RequestNumber {
        RequestNumber::NONE
    }
}

/// A state directory and a Maildir, for one account.
pub(crate) struct Bench {
    dir: TempDir,
    pub(crate) account: Account,
    pub(crate) open_options: OpenOptions,
    names: NameSource,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let account = account("jo", &dir.path().join("Maildir"));
        let now = ClockReading { wall: 1_000_000, boot: 1, since_boot: 1000 };
        let holder = "a test".to_owned();
        let configured_accounts = Arc::new(ConfiguredAccounts::new([account.name.clone()]));
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let open_options = OpenOptions {
            now,
            since_1970,
            instance: InstanceId::new(0xfeed),
            holder,
            new_state: false,
            must_exist: false,
            configured_accounts,
            delivered_by,
        };
        Self { dir, account, open_options, names: NameSource::new(1, b"h") }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn open(&self) -> Result<Store, StateError> {
        Store::open(Arc::new(RealDisk), &self.state_dir(), &self.account, &self.open_options)
    }

    pub(crate) fn maildir(&self) -> Maildir {
        Maildir::create(&RealDisk, &self.account.maildir, MaildirMode::PRIVATE).unwrap()
    }

    /// Records messages without publishing them.
    pub(crate) fn record(&self, store: &mut Store, unique_ids: &[&str]) -> Vec<Recorded<Named>> {
        let maildir = self.maildir();
        let id = maildir.id(&RealDisk).unwrap();
        let number = make_known(&RealDisk, store, &self.account.maildir, &maildir, id).unwrap();
        let mut batch = Vec::new();
        for unique_id in unique_ids {
            let unique_id = UniqueId::new(unique_id.as_bytes()).unwrap();
            let name = self.names.next(Duration::ZERO, store.state().identity().instance, Some(&unique_id));
            let mut staging = Staging::new(Arc::new(RealDisk), maildir.tmp(), name);
            staging.take(b"Subject: x\r\n\r\n");
            let written = staging.finish(Named(unique_id)).write(&mut FreeSpace::unknown()).unwrap();
            batch.push((number.into(), written));
        }
        let staged = stage(&RealDisk, batch).into_iter().map(|(to, staged)| (to, staged.unwrap())).collect();
        record(store, staged).unwrap()
    }

    /// Records a message for several Maildirs of the state without publishing it.
    pub(crate) fn record_for_several(&self, store: &mut Store, unique_id: &str, numbers: &[MaildirNumber]) {
        let paths = numbers.iter().map(|number| store.state().maildir(*number).unwrap().resolved.clone());
        let maildirs: Vec<Maildir> = paths.map(|path| Maildir::open(&RealDisk, &path).unwrap()).collect();
        let unique_id = UniqueId::new(unique_id.as_bytes()).unwrap();
        let name = self.names.next(Duration::ZERO, store.state().identity().instance, Some(&unique_id));
        let mut staging = Staging::new(Arc::new(RealDisk), maildirs[0].tmp(), name);
        staging.direct_to(maildirs[0].tmp(), maildirs[1..].iter().map(Maildir::tmp));
        staging.take(b"Subject: x\r\n\r\n");
        let written = staging.finish(Named(unique_id)).write(&mut FreeSpace::unknown()).unwrap();
        let to = MaildirNumbers { first: numbers[0], also: numbers[1..].to_vec() };
        let (to, staged) = stage(&RealDisk, vec![(to, written)]).pop().unwrap();
        record(store, vec![(to, staged.unwrap())]).unwrap();
    }

    pub(crate) fn files(&self, part: &str) -> Vec<String> {
        let dir = fs::read_dir(self.account.maildir.join(part)).unwrap();
        dir.map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }
}

pub(crate) fn account(name: &str, maildir: &Path) -> Account {
    Account {
        name: AccountName::new(name).unwrap(),
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
        credential: CredentialSource::Inline(Secret::new(b"x".to_vec())),
        auth: AuthChoice::Auto,
        uses_token: false,
        maildir: maildir.to_owned(),
        maildir_mode: MaildirMode::PRIVATE,
        removal: RemovalPolicy::Keep,
        interval: crate::account::Interval::fixed(Duration::from_secs(300)),
        timeout: Duration::from_secs(60),
        max_message_size: None,
        max_messages_per_session: None,
        sizes_are_estimates: false,
        on_new_mail: None,
        forward: None,
        routing: Default::default(),
    }
}
