use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{CredentialEnvironment, CredentialSource, MAX_SECRET, from_command, is_credential_name};
use crate::secret::Secret;

const LIMIT: Duration = Duration::from_secs(30);

fn argv(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn sh(script: &str) -> Vec<OsString> {
    argv(&["sh", "-c", script])
}

/// Returns the secret or the error as text.
async fn obtain(source: CredentialSource, directory: Option<&Path>) -> Result<String, String> {
    let env = CredentialEnvironment { credentials_directory: directory.map(Path::to_owned) };
    let secret = source.obtain(&env).await.map_err(|e| e.to_string())?;
    Ok(String::from_utf8(secret.expose().to_vec()).unwrap())
}

fn write(path: &Path, contents: &[u8], mode: u32) {
    std::fs::write(path, contents).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn an_inline_secret_is_itself() {
    let source = CredentialSource::Inline(Secret::new(b"hunter2".to_vec()));
    assert_eq!(obtain(source, None).await.unwrap(), "hunter2");
}

#[tokio::test]
async fn one_newline_at_the_end_of_a_file_is_not_part_of_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    for (contents, expected) in [
        ("hunter2", "hunter2"),
        ("hunter2\n", "hunter2"),
        ("hunter2\r\n", "hunter2"),
        (" a b \n", " a b "),
        ("\u{feff}hunter2", "hunter2"),
        ("\u{feff}hunter2\r\n", "hunter2"),
        ("hunter\u{feff}2\n", "hunter\u{feff}2"),
        ("\u{feff}\u{feff}x\n", "\u{feff}x"),
    ] {
        write(&path, contents.as_bytes(), 0o600);
        assert_eq!(obtain(CredentialSource::File(path.clone()), None).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_file_that_cannot_hold_a_password_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    let too_long = vec![b'x'; MAX_SECRET + 1];
    let cases: [(&[u8], u32, &str); 11] = [
        (b"", 0o600, "is empty"),
        (b"\n", 0o600, "is empty"),
        (b"\xef\xbb\xbf\r\n", 0o600, "is empty"),
        (b"\xff\xfeh\0u\0", 0o600, "is text in UTF-16"),
        (b"\xfe\xff\0h\0u", 0o600, "is text in UTF-16"),
        (b"a\nb\n", 0o600, "more than one line"),
        (b"a\n\n", 0o600, "more than one line"),
        (b"a\rb", 0o600, "more than one line"),
        (b"a\0b", 0o600, "NUL"),
        (&too_long, 0o600, "longer than 64 KiB"),
        (b"hunter2", 0o644, "mode 0644 lets other users read it"),
    ];
    for (contents, mode, expected) in cases {
        write(&path, contents, mode);
        let error = obtain(CredentialSource::File(path.clone()), None).await.unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let error = obtain(CredentialSource::File(dir.path().join("absent")), None).await.unwrap_err();
    assert!(error.contains("absent: there is no such file"), "{error}");
}

#[tokio::test]
async fn a_systemd_credential_is_read_from_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("work"), b"hunter2\n", 0o440);
    let work = || CredentialSource::Credential("work".to_owned());
    assert_eq!(obtain(work(), Some(dir.path())).await.unwrap(), "hunter2");
    let error = obtain(work(), None).await.unwrap_err();
    assert!(error.contains("no systemd credential `work`, because $CREDENTIALS_DIRECTORY is not set"), "{error}");
    let error = obtain(CredentialSource::Credential("wrok".to_owned()), Some(dir.path())).await.unwrap_err();
    assert!(error.contains("gave this service no credential `wrok`"), "{error}");
    let error = obtain(CredentialSource::Credential("../work".to_owned()), Some(dir.path())).await.unwrap_err();
    assert!(error.contains("cannot be the name of a systemd credential"), "{error}");
}

#[test]
fn a_credential_name_is_a_plain_file_name() {
    for good in ["work", "mail.qq", "a b"] {
        assert!(is_credential_name(good), "{good}");
    }
    for bad in ["", ".", "..", "a/b", "/", "a\0b", "a\nb"] {
        assert!(!is_credential_name(bad), "{bad:?}");
    }
}

#[tokio::test]
async fn the_output_of_a_command_is_the_password() {
    for script in [
        "printf hunter2",
        "echo hunter2",
        "printf 'hunter2\\r\\n'",
        "echo noise >&2; echo hunter2",
        "printf '\\357\\273\\277hunter2\\r\\n'",
    ] {
        let secret = from_command("password_command", &sh(script), LIMIT).await.unwrap();
        assert_eq!(secret.expose(), b"hunter2", "{script}");
    }
}

#[tokio::test]
async fn no_shell_reads_the_arguments() {
    let secret = from_command("password_command", &argv(&["printf", "%s", "$HOME;*"]), LIMIT).await.unwrap();
    assert_eq!(secret.expose(), b"$HOME;*");
}

#[tokio::test]
async fn each_way_to_fail_has_its_own_words() {
    let too_much = format!("head -c {} /dev/zero", MAX_SECRET + 1);
    let cases: [(Vec<OsString>, &str); 10] = [
        (argv(&["/nonexistent/pass"]), "`/nonexistent/pass` was not found"),
        (argv(&["/"]), "could not be started"),
        (argv(&[]), "was not found"),
        (sh("echo no such entry >&2; exit 3"), "ended with status 3, saying: no such entry"),
        (sh("kill -9 $$"), "was killed by signal 9"),
        (sh(":"), "printed nothing"),
        (sh("cat /nonexistent/pw | head -n 1"), "printed nothing, saying: cat: /nonexistent/pw: "),
        (sh("echo hunter2; echo user: jo; echo hunter2 >&2"), "printed more than one line"),
        (sh(&too_much), "printed more than 64 KiB"),
        (sh("printf '\\033[2J\\a' >&2; exit 1"), "saying: \\u{1b}[2J\\u{7}"),
    ];
    for (command, expected) in cases {
        let error = from_command("password_command", &command, LIMIT).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("hunter2") && !format!("{error:?}").contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_command_that_does_not_end_is_given_up_and_may_work_later() {
    let began = Instant::now();
    let error =
        from_command("password_command", &argv(&["sleep", "1000"]), Duration::from_millis(50)).await.unwrap_err();
    assert!(error.to_string().contains("did not end within"), "{error}");
    assert!(began.elapsed() < LIMIT);
}

#[tokio::test]
async fn an_agent_left_behind_with_standard_error_open_does_not_hold_us_up() {
    let secret = from_command("password_command", &sh("sleep 20 >/dev/null & echo hunter2"), Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(secret.expose(), b"hunter2");
}

#[tokio::test]
async fn much_noise_on_standard_error_does_not_get_a_command_stuck_and_its_end_is_shown() {
    let script = "head -c 200000 /dev/zero | tr '\\0' x >&2; echo the reason >&2; exit 1";
    let error = from_command("password_command", &sh(script), LIMIT).await.unwrap_err().to_string();
    assert!(error.ends_with("xthe reason"), "{error}");
    assert!(error.len() < 3000, "{}", error.len());
}
