//! Migration from other programs: each fetches half of a maildrop, and the recipe in its page fetches exactly the other
//! half.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::delivered::{assert_same_mail, files};
use crate::dovecot::{User, shared};
use crate::mail::small;
use crate::program::{TestEnv, skip};
use crate::raw::stored;

/// Returns a page of the project.
fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// Returns the code after this mark in a page.
fn recipe(page: &str, mark: &str) -> String {
    let behind = page.split(&format!("<!-- {mark} -->")).nth(1).unwrap_or_else(|| panic!("no {mark}"));
    let lines = behind.lines().skip_while(|line| !line.trim_start().starts_with("```")).skip(1);
    lines
        .take_while(|line| !line.trim_start().starts_with("```"))
        .map(|line| line.trim_start().to_owned() + "\n")
        .collect()
}

/// Returns an installed program, or prints what is skipped without it.
fn installed(program: &str) -> Option<PathBuf> {
    let path = Path::new("/usr/bin").join(program);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{program} is not installed"));
    None
}

/// Runs a command of another program in the test's home, within a time limit; returns its output.
fn run(env: &TestEnv, words: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.arg("60").args(words).env_clear().env("HOME", env.path("")).env("PATH", std::env::var_os("PATH").unwrap());
    let output = command.current_dir(env.path("")).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{words:?}: {said}");
    said
}

/// Writes a private file in the home, as these programs require.
fn write(env: &TestEnv, name: &str, text: &str) {
    let path = env.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Follows the recipe of a page as a user would, with the built program and without a service manager; returns its
/// output.
fn follow(env: &TestEnv, recipe: &str) -> String {
    let bin = env.path("bin");
    fs::create_dir_all(&bin).unwrap();
    for name in ["systemctl", "fetchmail", "crontab"] {
        fs::write(bin.join(name), "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_mailferry")).parent().unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", bin.display(), program.display());
    let mut command = Command::new("timeout");
    command.args(["60", "sh", "-euc", recipe]).env_clear().env("HOME", env.path("")).env("PATH", path);
    command.env("MAILFERRY_CONFIG", env.path("config.toml")).env("XDG_STATE_HOME", env.path("state-home"));
    let output = command.current_dir(env.path("")).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{recipe}: {said}");
    said
}

fn messages(numbers: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    numbers.map(|n| stored(&small(n))).collect()
}

/// Returns what mailferry delivered below this directory, ignoring anything else there.
fn delivered(dir: &Path) -> Vec<Vec<u8>> {
    let mut mail: Vec<_> = ["new", "cur"]
        .iter()
        .flat_map(|part| files(&dir.join(part)))
        .filter(|path| path.to_string_lossy().contains("_mf-"))
        .map(|path| fs::read(path).unwrap())
        .collect();
    mail.sort();
    mail
}

/// Adds the second half, follows the page's recipe, and checks that exactly that half is fetched; returns the output.
fn the_other_half_comes(env: &TestEnv, user: &User<'_>, page_name: &str, arrived: impl Fn() -> Vec<Vec<u8>>) -> String {
    user.add(5, &messages(5..10));
    let mut expected = messages(5..10);
    expected.sort();
    let said = follow(env, &recipe(&page(page_name), "recipe"));
    let (_, _, password) = user.login();
    assert!(!said.contains(&password), "the password was printed: {said}");
    assert!(said.contains("5 messages fetched before"), "{said}");
    assert_same_mail(&arrived(), &expected);
    let again = follow(env, "mailferry fetch");
    assert!(again.contains("nothing new"), "{again}");
    assert_eq!(user.left(), 10, "nothing may go from the server");
    said
}

/// Returns what a command that writes a file per message received, beyond what it had before.
fn got(dir: PathBuf) -> impl Fn() -> Vec<Vec<u8>> {
    let before = files(&dir);
    assert_eq!(before.len(), 5, "the other program has fetched its half");
    move || {
        let new = files(&dir).into_iter().filter(|path| !before.contains(path));
        let mut mail: Vec<_> = new.map(|path| fs::read(path).unwrap()).collect();
        mail.sort();
        mail
    }
}

fn home() -> TestEnv {
    let env = TestEnv::new(&[]);
    fs::remove_file(env.path("config.toml")).unwrap();
    env
}

#[test]
fn what_fetchmail_has_fetched_is_not_fetched_again() {
    let (Some(fetchmail), Some(dovecot)) = (installed("fetchmail"), shared()) else { return };
    let (user, env) = (dovecot.user("import-fetchmail", &messages(0..5)), home());
    let (address, name, password) = user.login();
    let rc = format!(
        "poll work via 127.0.0.1 proto pop3 port {}\n user \"{name}\" there with password \"{password}\" keep sslproto ''\n \
         mda \"cat >$(mktemp {}/XXXXXX)\"\n",
        address.port(),
        env.path("got").display()
    );
    write(&env, ".fetchmailrc", &rc);
    fs::create_dir(env.path("got")).unwrap();
    run(&env, &[fetchmail.to_str().unwrap(), "--nosyslog", "-v"]);
    // The command that took the mail keeps taking it.
    let said = the_other_half_comes(&env, &user, "migrating-from-fetchmail.md", got(env.path("got")));
    assert!(said.contains("mda -> forward = { command = [\"/bin/sh\", \"-c\", \"cat >$(mktemp "), "{said}");
}

#[test]
fn what_getmail_has_fetched_is_not_fetched_again() {
    let (Some(getmail), Some(dovecot)) = (installed("getmail"), shared()) else { return };
    let (user, env) = (dovecot.user("import-getmail", &messages(0..5)), home());
    let (address, name, password) = user.login();
    let rc = format!(
        "[retriever]\ntype = SimplePOP3Retriever\nserver = 127.0.0.1\nport = {}\nusername = {name}\npassword = {password}\n\
         [destination]\ntype = MDA_external\npath = /bin/sh\narguments = (\"-c\", \"cat >$(mktemp {}/XXXXXX)\")\nallow_root_commands = True\n\
         [options]\nread_all = False\n",
        address.port(),
        env.path("got").display()
    );
    write(&env, ".getmail/getmailrc-work", &rc);
    fs::create_dir(env.path("got")).unwrap();
    run(&env, &[getmail.to_str().unwrap(), "--rcfile", "getmailrc-work"]);
    the_other_half_comes(&env, &user, "migrating-from-getmail.md", got(env.path("got")));
}

#[test]
fn what_mpop_has_fetched_is_not_fetched_again() {
    let (Some(mpop), Some(dovecot)) = (installed("mpop"), shared()) else { return };
    let (user, env) = (dovecot.user("import-mpop", &messages(0..5)), home());
    let (address, name, password) = user.login();
    let maildir = env.path("Mail/old");
    crate::delivered::make_maildir(&maildir);
    let rc = format!(
        "account work\nhost 127.0.0.1\nport {}\nuser {name}\npassword {password}\nauth user\ntls off\nkeep on\n\
         delivery maildir ~/Mail/old\naccount default : work\n",
        address.port()
    );
    write(&env, ".mpoprc", &rc);
    run(&env, &[mpop.to_str().unwrap(), "-q"]);
    // Delivery continues in the same Maildir.
    the_other_half_comes(&env, &user, "migrating-from-mpop.md", || delivered(&maildir));
    assert_eq!(files(&maildir.join("new")).len(), 10);
}

#[test]
fn what_fdm_has_fetched_is_not_fetched_again() {
    let (Some(fdm), Some(dovecot)) = (installed("fdm"), shared()) else { return };
    let (user, env) = (dovecot.user("import-fdm", &messages(0..5)), home());
    let (address, name, password) = user.login();
    // As root, fdm writes its cache as its own user.
    let caches = tempfile::tempdir().unwrap();
    fs::set_permissions(caches.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let as_root = if rustix::process::geteuid().is_root() { "set default-user \"root\"\n" } else { "" };
    let maildir = env.path("Mail/old");
    let rc = format!(
        "{as_root}set lock-file \"{home}/.fdm.lock\"\n$password = \"{password}\"\naction \"in\" maildir \"{}\"\n\
         account \"work\" pop3 server \"127.0.0.1\" port {} user \"{name}\" pass $password new-only cache \"{}/work\" keep\n\
         match all action \"in\"\n",
        maildir.display(),
        address.port(),
        caches.path().display(),
        home = env.path("").display(),
    );
    write(&env, ".fdm.conf", &rc);
    fs::create_dir_all(env.path("Mail")).unwrap();
    run(&env, &[fdm.to_str().unwrap(), "-f", env.path(".fdm.conf").to_str().unwrap(), "fetch"]);
    the_other_half_comes(&env, &user, "migrating-from-fdm.md", || delivered(&maildir));
}

#[test]
fn what_thunderbird_has_fetched_is_not_fetched_again() {
    let Some(dovecot) = shared() else { return };
    let (user, env) = (dovecot.user("import-thunderbird", &messages(0..5)), home());
    let (address, name, password) = user.login();
    let mut session = user.session();
    let listed = String::from_utf8(session.ask_for_lines("UIDL")).unwrap();
    session.ask("QUIT");
    let kept = listed.lines().filter_map(|line| line.split(' ').nth(1));
    let kept: String = kept.map(|unique_id| format!("k {} 1714000000\n", unique_id.trim())).collect();
    write(&env, ".thunderbird/profiles.ini", "[Profile0]\nIsRelative=1\nPath=p.default\nDefault=1\n");
    write(
        &env,
        ".thunderbird/p.default/Mail/127.0.0.1/popstate.dat",
        &format!("# POP3 State File\n\n*127.0.0.1 {name}\n{kept}"),
    );
    let set = |key: &str, value: &str| format!("user_pref(\"mail.server.server1.{key}\", {value});\n");
    let prefs = [
        set("type", "\"pop3\""),
        set("hostname", "\"127.0.0.1\""),
        set("userName", &format!("\"{name}\"")),
        set("port", &address.port().to_string()),
        set("name", "\"work\""),
        set("leave_on_server", "true"),
        set("directory-rel", "\"[ProfD]Mail/127.0.0.1\""),
    ];
    write(&env, ".thunderbird/p.default/prefs.js", &prefs.concat());
    // Its password cannot be read: the user writes it, as the page says.
    let account = format!("{name}@127.0.0.1");
    write(&env, &format!("{account}.password"), &format!("{password}\n"));
    let maildir = env.path("Mail").join(&account);
    the_other_half_comes(&env, &user, "migrating-from-thunderbird.md", || delivered(&maildir));
}

#[test]
fn forty_accounts_are_taken_over_in_one_command() {
    let env = home();
    let mut rc = String::from("set daemon 300\nset postmaster jo\ndefaults proto pop3 timeout 60 uidl\n");
    let mut ids = String::new();
    for n in 0..40 {
        let (verb, via) = if n % 9 == 8 { ("skip", " via pop.shared.example") } else { ("poll", "") };
        let tls = ["ssl", "", "sslproto ''", "ssl sslproto 'TLS1.2+' sslcertck"][n % 4];
        let rest = ["keep", "nokeep", "keep limit 50000", "fetchlimit 10 keep", "keep no rewrite stripcr"][n % 5];
        let port = if n % 7 == 3 { format!(" service {}", 1100 + n) } else { String::new() };
        rc.push_str(&format!(
            "{verb} host{n}.example{via}{port}\n  user 'u{n}@example.org' there, with password \"p\\x20w{n}\", options {tls} {rest}\n"
        ));
        let host = if via.is_empty() { format!("host{n}.example") } else { "pop.shared.example".to_owned() };
        (0..n).for_each(|uid| ids.push_str(&format!("u{n}@example.org@{host} id{uid}\n")));
    }
    rc.push_str("poll imap.example proto imap user x password hush\n");
    write(&env, ".fetchmailrc", &rc);
    write(&env, ".fetchids", &ids);
    let before = env.everything();
    let outcome = env.run(&["import", "fetchmail", "--dry-run"]).expect(0).says("Would make").says("40 accounts");
    let said = outcome.output();
    assert!(said.lines().count() < 220, "{} lines\n{said}", said.lines().count());
    for once in ["Of all 40 accounts:\n", "  timeout -> timeout = \"1m\"\n", "/ACCOUNT.password (mode 0600)"] {
        assert_eq!(said.matches(once).count(), 1, "{once}\n{said}");
    }
    assert!(said.contains("\n\nNext:\n  take them over: mailferry "), "{said}");
    let (_, to_do) = said.split_once("  deal with the items marked ! above:\n").unwrap();
    assert!(
        to_do.starts_with("    sslproto '': the password goes in clear: host2.example, host6.example, "),
        "{to_do}"
    );
    assert!(to_do.contains("    nothing says what was fetched: host0.example\n"), "{to_do}");
    assert_eq!(env.everything(), before, "a dry run wrote something");
    let real =
        env.run(&["import", "fetchmail"]).expect(0).says("proto imap").says("with 40 accounts").says("set postmaster");
    for text in [outcome.output(), real.output()] {
        assert!(!text.contains("hush") && !text.contains("p w"), "{text}");
    }
    let text = fs::read_to_string(env.path("config.toml")).unwrap();
    assert_eq!(text.matches("\n[accounts.").count(), 40);
    assert!(!text.contains("p w"));
    assert_eq!(fs::read(env.path("host7.example.password")).unwrap(), b"p w7\n");
    // The configuration is valid, and no state is lost.
    env.run(&["status"]).expect(75);
    env.run(&["uids", "list", "host39.example"])
        .expect(0)
        .says("39 messages known of u39@example.org at host39.example");
    env.run(&["uids", "list", "host0.example"]).expect(0).says("nothing is recorded");
    env.run(&["import", "fetchmail"]).expect(0).says("because the maildrop is known").says("Nothing was written");
    assert_eq!(fs::read_to_string(env.path("config.toml")).unwrap(), text);
}

#[test]
fn the_report_says_where_mail_goes_and_what_is_left_out() {
    let env = home();
    write(
        &env,
        ".mpoprc",
        "account a\nhost h\nuser u\npassword hush\ntls on\naccount b\nhost H\nuser u\npassword hush\ntls on\n\
        tls_certcheck off\ndelivery maildir ~/other\naccount c : a\nuser v\nport 110\n",
    );
    let outcome = env.run(&["import", "mpop", "--dry-run"]).expect(0);
    let said = outcome.output();
    for words in [
        "  its mail goes into the Maildir ~/Mail/a\n",
        "the same maildrop as the account `a` above, so it is not taken over a second time. What it says otherwise is left out: ",
        "delivery maildir -> maildir = ",
        "tls_certcheck off",
        "port -> port 110, the default",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert!(!said.contains("other users can read"), "{said}");
    fs::set_permissions(env.path(".mpoprc"), fs::Permissions::from_mode(0o644)).unwrap();
    let said = env.run(&["import", "mpop", "--dry-run"]).expect(0).output();
    assert!(said.contains("(mode 0644): other users can read the passwords in it: run `chmod 600 "), "{said}");
}

#[test]
fn what_tls_needs_is_left_out_without_tls() {
    let env = home();
    write(
        &env,
        ".fetchmailrc",
        "defaults proto pop3 sslcertck sslcertfile /ca.pem\npoll a via 127.0.0.1 user u password hush sslproto '' keep\n\
         poll b user u password hush ssl keep\n",
    );
    let said = env.run(&["import", "fetchmail"]).expect(0).output();
    assert!(said.contains("  not needed here: sslcertck, sslcertfile\n"), "{said}");
    let text = fs::read_to_string(env.path("config.toml")).unwrap();
    let (a, b) = text.split_once("[accounts.b]").unwrap();
    assert!(!a.contains("tls_ca_file") && b.contains("tls_ca_file = \"/ca.pem\""), "{text}");
    assert!(!env.run(&["check", "--offline"]).expect(0).output().contains("tls_ca_file"));
}

#[test]
fn a_file_that_is_not_the_programs_is_refused_with_its_line() {
    let env = home();
    for (program, name, text, told) in [
        (
            "mpop",
            ".mpoprc",
            "acount x\n",
            "line 1: this line begins with a word that is not a command of mpop; did you mean `account`?",
        ),
        (
            "fdm",
            ".fdm.conf",
            "acount x\n",
            "line 1: this line begins with a word that fdm does not have; did you mean `account`?",
        ),
        ("getmail", ".getmail/getmailrc", "[foo\n", "line 1: this is neither a section nor a key with a value"),
        ("fetchmail", ".fetchmailrc", "pol x\n", "line 1: "),
    ] {
        write(&env, name, text);
        env.run(&["import", program]).expect(78).says(told);
    }
    assert!(!env.path("config.toml").exists());
}

#[test]
fn a_configuration_that_no_command_would_read_is_not_added_to() {
    let env = home();
    write(&env, ".mpoprc", "account a\nhost h\nuser u\npassword hush\ntls on\n");
    let config = env.path("config.toml");
    let refused = |words: &str| env.run(&["import", "mpop"]).expect(78).says(words).says("nothing was written");
    fs::write(&config, "# mine\n").unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o666)).unwrap();
    refused("every user may write this file (mode 0666)");
    assert_eq!(fs::read_to_string(&config).unwrap(), "# mine\n");
    fs::remove_file(&config).unwrap();
    std::os::unix::fs::symlink(env.path("nowhere"), &config).unwrap();
    refused("is a link that leads to");
    assert!(fs::symlink_metadata(&config).unwrap().is_symlink() && !env.path("nowhere").exists());
    fs::remove_file(&config).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &config, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    refused("it is a pipe");
    // No command blocks on a pipe.
    for command in [&["fetch"][..], &["check"], &["status"], &["daemon"], &["uids", "list", "a"], &["console", "a"]] {
        env.run(command).expect(78).says("it is a pipe");
    }
}

#[test]
fn nothing_of_another_programs_file_is_run_or_shown_when_it_is_wrong() {
    let env = home();
    write(&env, ".fetchmailrc", "poll h user a\n password first second-hush\n");
    env.run(&["import", "fetchmail"]).expect(78).says("line 2:");
    assert!(!env.run(&["import", "fetchmail"]).output().contains("hush"));
    write(&env, ".fdm.conf", "account \"a\" pop3 server \"h\" user \"u\" pass \"hush\n");
    let outcome = env.run(&["import", "fdm"]).expect(78).says("a quote is not closed");
    assert!(!outcome.output().contains("hush"));
    env.run(&["import", "mpop"]).expect(78).says("there is no configuration of mpop");
    assert!(!env.path("config.toml").exists());
    write(&env, ".mpoprc", &format!("account a\nhost h\nuser u\neval echo ran >{}\n", env.path("ran").display()));
    env.run(&["import", "mpop"]).expect(0).says("eval");
    assert!(!env.path("ran").exists() && !env.path("config.toml").exists());
}

#[test]
fn the_hand_over_of_the_page_leaves_no_mail_behind() {
    if installed("flock").is_none() {
        return;
    }
    let env = home();
    let (out, script) = (env.path("out"), env.path("hand-over"));
    let text = recipe(&page("migrating-from-fetchmail.md"), "hand-over");
    assert!(text.contains("/usr/bin/procmail"), "{text}");
    let taker = format!("sh -c 'sleep 0.02; cat >>{}'", out.display());
    fs::write(&script, text.replace("/usr/bin/procmail", &taker)).unwrap();
    let maildirs: Vec<PathBuf> = (0..4).map(|n| env.path(&format!("Mail/{n}"))).collect();
    let start = |maildir: &Path| Command::new("sh").arg(&script).env("MAILFERRY_MAILDIR", maildir).spawn().unwrap();
    let mut running = Vec::new();
    for (n, maildir) in maildirs.iter().enumerate() {
        crate::delivered::make_maildir(maildir);
        for wave in 0..3 {
            (0..5).for_each(|i| {
                fs::write(maildir.join(format!("new/{wave}-{i}")), format!("m{n}.{wave}.{i}\n")).unwrap();
            });
            running.push(start(maildir));
        }
    }
    running.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
    let taken = fs::read_to_string(&out).unwrap();
    let mut lines: Vec<&str> = taken.lines().collect();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!((lines.len(), taken.lines().count()), (60, 60), "each once");
    for maildir in &maildirs {
        assert!(files(&maildir.join("new")).is_empty(), "{maildir:?}");
        assert_eq!(files(&maildir.join("cur")).len(), 15);
    }
}
