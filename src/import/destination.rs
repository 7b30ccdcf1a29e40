//! Replaces another program's delivery that is not to a Maildir by a value of `forward`. PURE.

use toml_edit::{Array, InlineTable, Value};

/// Advice for a delivery that has no counterpart.
pub(super) const DESTINATIONS: &str = "mailferry delivers into a Maildir, or forwards to an IMAP mailbox, an LMTP server or a \
                                       command; see \"Forwarding\" in the documentation";

/// The characters that a shell does not take literally.
const OF_THE_SHELL: &[char] =
    &['|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', '#', '~', '\n'];

/// Converts a command that a shell has run so far. `placeholders` are the words for which the other program puts
/// something in. If one is used, the error says what to do.
pub(super) fn shell_command(line: &str, placeholders: &[&str]) -> Result<Value, String> {
    let line = line.trim().trim_start_matches('|').trim_start();
    if line.contains(OF_THE_SHELL) || line.contains('=') {
        return command(["/bin/sh", "-c", line], placeholders);
    }
    command(line.split_whitespace(), placeholders)
}

/// Converts a command with these words.
pub(super) fn command<'a>(words: impl IntoIterator<Item = &'a str>, placeholders: &[&str]) -> Result<Value, String> {
    let words: Vec<&str> = words.into_iter().collect();
    let list: Array = words.iter().copied().collect();
    let to = table([("command", Value::from(list))]);
    if words.is_empty() || words.iter().any(|word| word.is_empty() || word.contains('\0')) {
        return Err(DESTINATIONS.to_owned());
    }
    let left: Vec<&str> =
        placeholders.iter().copied().filter(|one| words.iter().any(|word| word.contains(one))).collect();
    if left.is_empty() {
        return Ok(to);
    }
    Err(format!(
        "mailferry does not substitute {}. Set forward = {to} in place of maildir, with {} removed or with a fixed value; see \
         \"Forwarding\" in the documentation",
        left.join(" and "),
        if left.len() == 1 { "it" } else { "them" }
    ))
}

/// Converts a delivery by LMTP: to a socket, or to a host with or without a port.
pub(super) fn lmtp(server: &str, port: Option<u16>, recipient: &str) -> Result<Value, String> {
    let mut keys = match (server.starts_with('/'), server.split_once(['/', ':'])) {
        (true, _) => vec![("socket", Value::from(server))],
        (false, Some((host, port))) if port.parse::<u16>().is_ok() => {
            vec![("host", Value::from(host)), ("port", Value::from(port.parse::<i64>().unwrap_or(24)))]
        }
        (false, _) => {
            let port = port.map(|port| ("port", Value::from(i64::from(port))));
            std::iter::once(("host", Value::from(server))).chain(port).collect()
        }
    };
    keys.push(("recipient", Value::from(recipient)));
    Ok(table([("lmtp", table(keys))]))
}

/// Makes an inline table.
fn table(keys: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let mut table = InlineTable::new();
    for (key, value) in keys {
        table.insert(key, value);
    }
    Value::from(table)
}

/// Returns what a user has to know about a command that hands mail to the machine's mail server.
pub(super) fn about_sendmail(line: &str) -> Option<&'static str> {
    line.contains("sendmail").then_some(
        "under mailferry's systemd units it cannot hand over mail, as \"Configuration\" in the documentation says of notifications; `mailferry \
         fetch` in a terminal or from cron can",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_becomes_a_table_of_the_configuration() {
        for (line, words) in [
            ("/usr/bin/procmail -d jo", r#"["/usr/bin/procmail", "-d", "jo"]"#),
            ("cat >>/tmp/got", r#"["/bin/sh", "-c", "cat >>/tmp/got"]"#),
            ("| A=1 x", r#"["/bin/sh", "-c", "A=1 x"]"#),
            ("x 100%", r#"["x", "100%"]"#),
        ] {
            let to = shell_command(line, &["%F"]).unwrap().to_string();
            assert_eq!(to, format!("{{ command = {words} }}"));
        }
        for (server, port, keys) in [
            ("/run/lmtp", None, r#"socket = "/run/lmtp""#),
            ("mx.h", None, r#"host = "mx.h""#),
            ("mx.h", Some(3333), r#"host = "mx.h", port = 3333"#),
            ("mx.h/24", None, r#"host = "mx.h", port = 24"#),
        ] {
            let to = lmtp(server, port, "jo").unwrap().to_string();
            assert_eq!(to, format!("{{ lmtp = {{ {keys}, recipient = \"jo\" }} }}"));
        }
    }

    #[test]
    fn what_is_put_in_by_the_other_program_is_not_taken_over() {
        let told = shell_command("lda -f %F -d jo", &["%F", "%T"]).unwrap_err();
        assert!(told.contains("does not substitute %F. Set forward = { command = [\"lda\", \"-f\", "), "{told}");
        assert!(shell_command("", &[]).is_err());
    }
}
