//! Where the password is stored, and how the daemon is set up as a user service.

use super::*;

/// Makes a program with this name that logs its arguments and runs `script`. Returns a `PATH` on which it comes first.
fn fake(env: &TestEnv, name: &str, script: &str) -> String {
    let bin = env.path("bin");
    fs::create_dir_all(&bin).unwrap();
    let log = env.path("calls");
    fs::write(bin.join(name), format!("#!/bin/sh\necho {name} \"$@\" >>{}\n{script}\n", log.display())).unwrap();
    fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:/usr/bin:/bin", bin.display())
}

#[test]
fn a_password_can_be_kept_by_systemd() {
    let stage = Stage::with(&["pop.ferry.test"], 1);
    let proxy = Proxy::to(&[("pop.ferry.test:995", stage.maildrop.server.address)]);
    let path = fake(&stage.env, "systemd-creds", "tr a-z n-za-m");
    let file = stage.env.path("input");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let script = format!("exec \"$@\" <{}", file.display());
    let mut command = stage.env.command(
        &["sh", "-c", &script, "sh"],
        &[
            "setup",
            ADDRESS,
            "--host",
            "pop.ferry.test",
            "--username",
            USER,
            "--proxy",
            &proxy.url,
            "--name",
            "work",
            "--maildir",
            "~/m",
            "--leave-on-server",
            "yes",
            "--messages",
            "all",
            "--password-stdin",
            "--password-credential",
            "work",
        ],
    );
    let output = command.env("PATH", path).env("SSL_CERT_FILE", &stage.authority.ca_file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("systemctl --user daemon-reload"), "{said}");
    assert!(stage.configuration().contains("password_credential = \"work\""));
    let sealed = stage.env.path(".config/credstore.encrypted/work");
    assert_ne!(fs::read_to_string(&sealed).unwrap(), PASSWORD);
    let drop_in = fs::read_to_string(stage.env.path(".config/systemd/user/mailferry.service.d/credential-work.conf"));
    assert_eq!(drop_in.unwrap(), format!("[Service]\nLoadCredentialEncrypted=work:{}\n", sealed.display()));
    let calls = fs::read_to_string(stage.env.path("calls")).unwrap();
    assert_eq!(calls, "systemd-creds --version\nsystemd-creds encrypt --name=work --user - -\n");
}

#[test]
fn the_user_unit_is_shown_and_started_only_on_a_yes() {
    let stage = Stage::with(&["pop.ferry.test"], 1);
    let proxy = Proxy::to(&[("pop.ferry.test:995", stage.maildrop.server.address)]);
    let script = "case $2 in is-system-running) echo running ;; is-active) echo inactive; exit 3 ;; esac";
    let path = fake(&stage.env, "systemctl", script);
    let (own, trust) = (stage.env.path(".config/mailferry/config.toml"), stage.authority.ca_file.to_str().unwrap());
    let environment = [("SSL_CERT_FILE", trust), ("PATH", &path)];
    for (name, answer, is_run) in [("one", "\r", false), ("two", "yes\r", true)] {
        let words = [
            "setup",
            ADDRESS,
            "--host",
            "pop.ferry.test",
            "--username",
            USER,
            "--proxy",
            &proxy.url,
            "--name",
            name,
            "--maildir",
            "~/m",
            "--leave-on-server",
            "yes",
            "--messages",
            "all",
            "--password-command",
            "cat password",
        ];
        fs::write(stage.env.path("password"), PASSWORD).unwrap();
        drop(fs::remove_file(&own));
        let (mut terminal, mut running) = Terminal::start_plain(&stage.env, 80, &environment, &words);
        terminal.wait_for("systemctl --user enable --now mailferry");
        terminal.wait_for("Set this up now? [no]:");
        terminal.type_in(answer);
        wait_for("the end", || !running.is_running());
        assert_eq!(running.wait().status, 0);
        let calls = fs::read_to_string(stage.env.path("calls")).unwrap();
        assert_eq!(calls.contains("systemctl --user enable --now mailferry"), is_run, "{calls}");
        let unit = stage.env.path(".config/systemd/user/mailferry.service");
        assert_eq!(unit.exists(), is_run);
        if is_run {
            let text = fs::read_to_string(unit).unwrap();
            assert!(text.contains(&format!("ExecStart=\"{}\" daemon", env!("CARGO_BIN_EXE_mailferry"))), "{text}");
        }
    }
}

#[test]
fn a_systemd_that_is_too_old_for_a_users_credential_is_told_before_anything_else() {
    let stage = Stage::with(&["pop.ferry.test"], 1);
    let path = fake(&stage.env, "systemd-creds", "echo 'systemd 252 (252.39-1)'");
    let words = ["setup", ADDRESS, "--name", "work", "--maildir", "~/m", "--password-credential", "work"];
    let options = ["--host", "pop.ferry.test", "--username", USER, "--leave-on-server", "yes", "--messages", "all"];
    let words: Vec<&str> = words.into_iter().chain(options).chain(["--password-stdin"]).collect();
    let mut command = stage.env.command(&["sh", "-c", "exec \"$@\" </dev/null", "sh"], &words);
    let output = command.env("PATH", path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(73), "{said}");
    assert!(said.contains("a user's credential needs systemd 256 or later, and this is 252"), "{said}");
}
