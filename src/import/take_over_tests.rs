use super::*;
use crate::clock::trusted_time::ClockReading;
use crate::disk::RealDisk;
use crate::import::{Program, draft::Record};
use crate::state::store::{ConfiguredAccounts, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

fn draft(name: &str, unique_ids: &[&str]) -> Draft {
    let mut draft = Draft::new(format!("poll {name}"), format!("{name}.example"), "jo");
    draft.names = vec![name.to_owned()];
    draft.password = Password::InClear(Secret::new(b"hush".to_vec()));
    draft.record = Record::default();
    unique_ids.iter().for_each(|id| draft.record.add(id.as_bytes(), None));
    draft
}

struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn plan(&self, drafts: Vec<Draft>) -> Result<Plan, TakeOverError> {
        let mut found = Found::new(Program::Fetchmail, self.path("rc"));
        found.drafts = drafts;
        let environment = Environment { home: Some(self.dir.path().to_owned()), ..Environment::default() };
        plan(&mut found, &self.path("conf/config.toml"), &environment)
    }

    fn carry_out(&self, plan: &Plan) -> Result<Vec<usize>, TakeOverError> {
        let state_dir = self.path("state");
        let surroundings = Surroundings {
            disk: Arc::new(RealDisk),
            state_dir: &state_dir,
            open_options: Box::new(|| OpenOptions {
                now: ClockReading { wall: 1, boot: 1, since_boot: 1 },
                since_1970: Duration::from_secs(1),
                instance: crate::ids::InstanceId::new(7),
                holder: String::new(),
                new_state: true,
                must_exist: false,
                configured_accounts: Arc::new(ConfiguredAccounts::default()),
                delivered_by: crate::delivery::delivered_by,
            }),
        };
        carry_out(plan, &surroundings, false)
    }

    /// All files except locks, sorted.
    fn files(&self) -> Vec<String> {
        let mut names = Vec::new();
        for dir in ["conf", "state"] {
            for entry in fs::read_dir(self.path(dir)).into_iter().flatten() {
                names.push(entry.unwrap().file_name().into_string().unwrap());
            }
        }
        names.retain(|name| !name.ends_with(".lock"));
        names.sort();
        names
    }
}

#[test]
fn passwords_states_and_configuration_are_written_and_a_second_import_adds_nothing() {
    let bench = Bench::new();
    let plan = bench.plan(vec![draft("a", &["1", "2"]), draft("b", &[])]).unwrap();
    assert_eq!(bench.carry_out(&plan).unwrap(), [2, 0]);
    assert_eq!(bench.files(), ["a.password", "a.uids", "b.password", "config.toml"]);
    for secret in ["a.password", "config.toml"] {
        assert_eq!(fs::metadata(bench.path("conf").join(secret)).unwrap().mode() & 0o777, 0o600);
    }
    let text = fs::read_to_string(bench.path("conf/config.toml")).unwrap();
    assert!(!text.contains("hush") && text.contains("# From fetchmail: poll a\n[accounts.a]\n"), "{text}");
    let again = bench.plan(vec![draft("a", &["3"]), draft("b", &[])]).unwrap();
    assert_eq!((again.accounts.len(), again.here_already.len()), (0, 2));
    bench.carry_out(&again).unwrap();
    assert_eq!(fs::read_to_string(bench.path("conf/config.toml")).unwrap(), text);
}

#[test]
fn a_name_that_is_taken_is_left_alone() {
    let bench = Bench::new();
    fs::create_dir(bench.path("conf")).unwrap();
    let before = "# mine\n[accounts.A]\nhost = \"other\"\nusername = \"x\"\npassword = \"p\"\nmaildir = \"~/m\"\n";
    fs::write(bench.path("conf/config.toml"), before).unwrap();
    fs::set_permissions(bench.path("conf/config.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let plan = bench.plan(vec![draft("a", &[])]).unwrap();
    assert_eq!(plan.accounts[0].name.as_str(), "a-2", "capitals do not make a difference everywhere");
    assert!(plan.text.starts_with(before), "{}", plan.text);
}

#[test]
fn whatever_fails_leaves_everything_as_it_was() {
    let bench = Bench::new();
    let plan = bench.plan(vec![draft("a", &["1"]), draft("b", &["2"])]).unwrap();
    // The second state cannot be created.
    fs::create_dir_all(bench.path("state/b.uids")).unwrap();
    assert!(matches!(bench.carry_out(&plan), Err(TakeOverError::Write(WriteError::State(_)))));
    assert_eq!(bench.files(), ["b.uids"]);
    // The configuration cannot be written.
    fs::remove_dir(bench.path("state/b.uids")).unwrap();
    fs::create_dir_all(bench.path("conf/config.toml")).unwrap();
    assert!(matches!(bench.carry_out(&plan), Err(TakeOverError::Write(WriteError::Io { .. }))));
    assert_eq!(bench.files(), ["config.toml"]);
    fs::remove_dir(bench.path("conf/config.toml")).unwrap();
    assert_eq!(bench.carry_out(&plan).unwrap(), [1, 1]);
}

#[test]
fn a_wrong_result_is_refused_before_anything_is_written() {
    let bench = Bench::new();
    fs::create_dir_all(bench.path("conf")).unwrap();
    fs::write(bench.path("conf/config.toml"), "x = 1\n").unwrap();
    assert!(matches!(bench.plan(vec![draft("a", &[])]), Err(TakeOverError::Config(_))));
    assert_eq!(bench.files(), ["config.toml"]);
}

#[test]
fn an_account_that_the_configuration_cannot_have_is_named_and_the_others_are_taken_over() {
    let bench = Bench::new();
    let mut found = Found::new(Program::Fetchmail, bench.path("rc"));
    let mut bad = draft("bad", &[]);
    bad.host = "bad host".to_owned();
    let mut good = draft("good", &["u1"]);
    good.password = Password::InClear(Secret::new(Vec::new()));
    found.drafts = vec![bad, good];
    let environment = Environment { home: Some(bench.dir.path().to_owned()), ..Environment::default() };
    let plan = plan(&mut found, &bench.path("conf/config.toml"), &environment).unwrap();
    assert_eq!(plan.accounts.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["good"]);
    assert!(matches!(&plan.accounts[0].draft.password, Password::Missing(why) if why.contains("is empty")));
    assert!(plan.config.is_some() && !plan.text.contains("bad host"), "{}", plan.text);
    let [left] = &found.left[..] else { panic!("{:?}", found.left) };
    assert_eq!(left.what, "poll bad");
    assert!(left.advice.contains("`host` is not a host name") && left.advice.contains("import once more"), "{left:?}");
}
