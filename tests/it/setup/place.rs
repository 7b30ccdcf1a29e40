//! Where the new account keeps what it fetched, and where its mail goes.

use super::*;

/// A server, and how a script gets there.
struct Reached {
    stage: Stage,
    proxy: Proxy,
    dns: Dns,
}

impl Reached {
    fn new() -> Self {
        let stage = Stage::with(&["pop.ferry.test"], 1);
        let proxy = Proxy::to(&[("pop.ferry.test:995", stage.maildrop.server.address)]);
        Self { stage, proxy, dns: Dns::with(&[]) }
    }

    fn set_up(&self, more: &[&str]) -> Outcome {
        let more = [&[ADDRESS, "--username", USER, "--host", "pop.ferry.test"], more].concat();
        self.stage.run(PASSWORD, &self.dns, &self.proxy, &more)
    }

    /// Makes the state of an account `ferry` of another user, which is gone.
    fn leave_the_state_of_another_user(&self) {
        let env = &self.stage.env;
        let [rc, ids] = [".fetchmailrc", ".fetchids"].map(|name| env.path(name));
        fs::write(&rc, "poll ferry proto pop3 user other password hush ssl sslcertck keep\n").unwrap();
        fs::set_permissions(&rc, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&ids, "other@ferry id1\n").unwrap();
        env.run(&["import", "fetchmail"]).expect(0);
        self.clear();
    }

    /// Removes all accounts from the configuration, with their passwords.
    fn clear(&self) {
        for name in ["config.toml", "ferry.password"] {
            fs::remove_file(self.stage.env.path(name)).unwrap();
        }
    }
}

#[test]
fn the_state_of_another_user_keeps_its_name() {
    let reached = Reached::new();
    reached.leave_the_state_of_another_user();
    let before = reached.stage.env.everything();
    reached
        .set_up(&["--name", "ferry"])
        .expect(78)
        .says("nothing was written: the state of ferry was made for the user other")
        .says("Give the account another name: --name; or, if the other one is gone for good, move ");
    assert_eq!(reached.stage.env.everything(), before);
    // Without a name, one is chosen that is free.
    reached.set_up(&[]).expect(0).says(&format!("The account `{ADDRESS}` is in"));
    reached.stage.command(&["fetch"]).expect(0).says("1 new");
}

#[test]
fn an_import_says_beforehand_that_a_state_is_of_another_user() {
    let reached = Reached::new();
    reached.leave_the_state_of_another_user();
    let env = &reached.stage.env;
    fs::write(env.path(".fetchmailrc"), "poll ferry proto pop3 user jo password hush ssl sslcertck keep\n").unwrap();
    let before = env.everything();
    for words in [&["import", "fetchmail", "--dry-run"][..], &["import", "fetchmail"]] {
        env.run(words)
            .expect(78)
            .says("the state of ferry was made for the user other")
            .says("If the account that it was made for is gone for good, move ");
        assert_eq!(env.everything(), before, "{words:?}");
    }
}

#[test]
fn the_same_maildrop_gets_the_name_that_it_had() {
    let reached = Reached::new();
    reached.set_up(&[]).expect(0).says("The account `ferry` is in");
    reached.stage.command(&["fetch"]).expect(0).says("1 new");
    reached.clear();
    reached.set_up(&["--name", "two"]).expect(73).says("nothing was written: ").says(
        "If it is the same account, give it that name, and nothing is fetched twice: --name ferry. If not, move ",
    );
    // So it has by default.
    reached.set_up(&[]).expect(0).says("The account `ferry` is in");
    reached.stage.command(&["fetch"]).expect(0).says("nothing new");
}

#[test]
fn a_maildir_that_cannot_be_made_is_not_written_down() {
    let reached = Reached::new();
    let file = reached.stage.env.path("file");
    fs::write(&file, "").unwrap();
    let maildir = file.join("m");
    let mut words =
        vec!["setup", ADDRESS, "--username", USER, "--host", "pop.ferry.test", "--proxy", &reached.proxy.url];
    let dns = reached.dns.address.to_string();
    words.extend(["--resolver", &dns, "--maildir", maildir.to_str().unwrap()]);
    words.extend(ANSWERS);
    reached
        .stage
        .with_input(PASSWORD, &words)
        .expect(73)
        .says("nothing was written: cannot open ")
        .says("is the path of --maildir right?");
    assert!(!reached.stage.env.path("config.toml").exists());
}
