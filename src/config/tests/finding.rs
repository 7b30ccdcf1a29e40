use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{account, config, env, file, file_with_mode};
use crate::config::{Config, ConfigError, Environment, find, load, state_dir};
use crate::credential::private_file::{Identity, PrivateFile};

#[test]
fn the_configuration_is_looked_for_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (home, etc) = (dir.path().join("home"), dir.path().join("etc"));
    let env = Environment {
        mailferry_config: Some("/from/variable".into()),
        config_home: Some(home.clone()),
        etc: etc.clone(),
        ..Environment::default()
    };
    assert_eq!(find(Some(Path::new("given")), &env).unwrap(), PathBuf::from("given"));
    assert_eq!(find(None, &env).unwrap(), PathBuf::from("/from/variable"));
    let env = Environment { mailferry_config: None, ..env };

    let text = find(None, &env).unwrap_err().to_string();
    let of_user = home.join("mailferry/config.toml");
    let of_machine = etc.join("mailferry/config.toml");
    assert!(text.contains(&format!("looked for {} and {}", of_user.display(), of_machine.display())), "{text}");
    assert!(text.contains(&format!("into {}, run `chmod 600` on it", of_user.display())), "{text}");

    for path in [&of_machine, &of_user] {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
        assert_eq!(&find(None, &env).unwrap(), path);
    }
}

#[test]
fn a_dangling_link_is_not_passed_over_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let etc = dir.path().join("etc");
    let mine = dir.path().join("mailferry/config.toml");
    std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
    symlink(dir.path().join("nowhere"), &mine).unwrap();
    let env = Environment { config_home: Some(dir.path().to_owned()), etc, ..Environment::default() };
    assert_eq!(find(None, &env).unwrap(), mine);
    let text = load(&mine, &env).unwrap_err().to_string();
    assert!(text.contains("there is no such file"), "{text}");
}

#[test]
fn the_state_is_looked_for_in_order() {
    let at = |path: &str, state_dir: Option<&str>| Config {
        path: PathBuf::from(path),
        state_dir: state_dir.map(PathBuf::from),
        ..config(&account("a", ""))
    };
    let full = Environment {
        state_home: Some(PathBuf::from("/home/jo/.local/state")),
        state_directory: Some("/var/lib/one:/var/lib/two".into()),
        ..Environment::default()
    };
    let user = Environment { state_directory: None, ..full.clone() };
    let etc = "/etc/mailferry/config.toml";
    let home = "/home/jo/.config/mailferry/config.toml";
    for (explicit, config, env, expected) in [
        (Some("/given"), at(etc, Some("/file")), &full, "/given"),
        (None, at(etc, Some("/file")), &full, "/file"),
        (None, at(etc, None), &full, "/var/lib/one"),
        (None, at(home, None), &full, "/var/lib/one"),
        (None, at(etc, None), &user, "/var/lib/mailferry"),
        (None, at(home, None), &user, "/home/jo/.local/state/mailferry"),
        (None, at("/etcetera/config.toml", None), &user, "/home/jo/.local/state/mailferry"),
    ] {
        assert_eq!(state_dir(explicit.map(Path::new), &config, env).unwrap(), PathBuf::from(expected));
    }
    assert!(state_dir(Some(Path::new("relative")), &at(home, None), &user).unwrap().is_absolute());

    let text = state_dir(None, &at(home, None), &Environment::default()).unwrap_err().to_string();
    assert!(text.contains("no place for the state") && text.contains("--state-dir"), "{text}");
    let relative = Environment { state_directory: Some("state".into()), ..user };
    let text = state_dir(None, &at(home, None), &relative).unwrap_err().to_string();
    assert!(text.contains("$STATE_DIRECTORY is `state`"), "{text}");
}

#[test]
fn a_file_with_a_password_must_not_be_readable_by_others() {
    let with_password = account("a", "").replace("password_command = [\"pw\"]", "password = \"hunter2\"");
    for mode in [0o644, 0o604, 0o601] {
        let (_dir, path) = file_with_mode(&with_password, mode);
        let text = load(&path, &env()).unwrap_err().to_string();
        assert!(
            text.contains(&format!("this file has mode {mode:04o}, so other users can read its passwords")),
            "{text}"
        );
        assert!(text.contains(&format!("run `chmod 600 {}`", path.display())), "{text}");
        assert!(text.contains("config.toml:4:1"), "{text}");
    }
    for mode in [0o600, 0o640, 0o400] {
        let (_dir, path) = file_with_mode(&with_password, mode);
        assert!(load(&path, &env()).is_ok(), "{mode:o}");
    }
    let (_dir, path) = file_with_mode(&account("a", ""), 0o644);
    assert!(load(&path, &env()).is_ok());
}

#[test]
fn a_group_that_is_not_ours_must_not_read_a_password() {
    use crate::config::parse::parse;
    use crate::config::read::judge;
    let text = account("a", "").replace("password_command = [\"pw\"]", "password = \"hunter2\"");
    for (user, group, expected) in [(1000, 8, 0), (1000, 9, 1), (0, 8, 0), (0, 9, 1)] {
        let reader = Identity { user, groups: vec![8] };
        let contents = text.clone().into_bytes().into();
        let file = PrivateFile { contents, mode: 0o640, group, owner: user, read_only: false };
        let password = parse(&text, None).password;
        let problems = judge(Path::new("/config.toml"), &file, &reader, password.as_ref(), &mut Vec::new());
        assert_eq!(problems.len(), expected, "{problems:?}");
    }
}

#[test]
fn a_file_that_others_may_write_is_refused_and_one_that_a_group_may_write_is_a_warning() {
    let (_dir, path) = file_with_mode(&account("a", "port = 0"), 0o666);
    let error = load(&path, &env()).unwrap_err();
    let text = error.to_string();
    assert_eq!(error.count(), 2, "{text}");
    assert!(text.contains("every user may write this file (mode 0666)"), "{text}");
    assert!(text.contains(&format!("run `chmod 600 {}`", path.display())), "{text}");

    let (_dir, path) = file_with_mode(&account("a", ""), 0o660);
    let warnings = load(&path, &env()).unwrap().warnings;
    assert!(warnings[0].contains(&format!("run `chmod g-w {}`", path.display())), "{warnings:?}");
}

#[test]
fn what_cannot_be_read_is_named_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let text = load(dir.path(), &env()).unwrap_err().to_string();
    assert!(text.contains("it is a directory") && text.contains("regular file"), "{text}");
    let text = load(&dir.path().join("absent.toml"), &env()).unwrap_err().to_string();
    assert!(text.contains("there is no such file") && text.contains("absent.toml"), "{text}");
    let (_dir, path) = file(&"#".repeat(64 * 1024 * 1024 + 1));
    let text = load(&path, &env()).unwrap_err().to_string();
    assert!(text.contains("longer than 65536 KiB"), "{text}");
    let (_dir, path) = file("");
    std::fs::write(&path, b"a = 1\nb = \"\xff\"\n").unwrap();
    let text = load(&path, &env()).unwrap_err().to_string();
    assert!(text.contains("not UTF-8") && text.contains("config.toml:2"), "{text}");
}

#[test]
fn the_state_directory_is_found_without_the_accounts() {
    use crate::config::top;
    let of = |text: &str| {
        let (_dir, path) = file(text);
        top(&path, &env()).map(|top| top.state_dir)
    };
    assert_eq!(of(&format!("state_dir = \"~/s\"\n{}", account("a", ""))), Some(Some(PathBuf::from("/home/jo/s"))));
    assert_eq!(of(&account("a", "")), Some(None));
    assert_eq!(of("# nothing\n"), Some(None));
    assert_eq!(
        of("state_dir = \"/s\"\n[accounts.a\nhost = \n"),
        Some(Some(PathBuf::from("/s"))),
        "the rest may be wrong"
    );
    assert_eq!(of("state_dir = \"\"\"\n[accounts.a]\n\"\"\"\n[accounts.b]\n"), None, "no table begins in a string");
    assert_eq!(of("state_dir = 5\n[accounts.a]\n"), None);
    assert_eq!(of("[daemon]\nstate_dir = \"/s\"\n"), Some(None), "not above the tables");
}

#[test]
fn who_may_not_read_the_configuration_of_the_service_is_not_told_to_open_it() {
    use crate::config::read::unreadable;
    use crate::credential::private_file::ReadFault;
    let env = Environment { etc: "/etc".into(), ..Environment::default() };
    let told = |path: &str| {
        let fault = ReadFault::Io(std::io::ErrorKind::PermissionDenied.into());
        ConfigError::from(unreadable(path.as_ref(), &env, &fault)).to_string()
    };
    let of_service = told("/etc/mailferry/config.toml");
    assert!(of_service.contains("run `mailferry setup`") && !of_service.contains("make it readable"), "{of_service}");
    assert!(told("/home/jo/config.toml").contains("make it readable"));
}
