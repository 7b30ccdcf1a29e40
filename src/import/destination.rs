//! What takes the place of another program's delivery when that is no Maildir: `forward`, in the words of the
//! configuration. PURE.

use toml_edit::{Array, Value};

/// Where mail can go, for a delivery that has no counterpart.
pub(super) const DESTINATIONS: &str = "mailferry delivers into a Maildir, or forwards to an IMAP mailbox, an LMTP server or a \
                                       command; see docs/forwarding.md";

/// What a shell does not take literally.
const OF_THE_SHELL: &[char] =
    &['|', '&', ';', '<', '>', '(', ')', '$', '`', '\\', '"', '\'', '*', '?', '[', '#', '~', '\n'];

/// The line that hands each message to a command that a shell has read so far.
pub(super) fn shell_command(line: &str) -> String {
    let line = line.trim().trim_start_matches('|').trim_start();
    if line.contains(OF_THE_SHELL) || line.contains('=') {
        return command(["/bin/sh", "-c", line]);
    }
    command(line.split_whitespace())
}

/// The line that hands each message to a command with these words.
pub(super) fn command<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Array = words.into_iter().collect();
    let placeholder = words.iter().filter_map(Value::as_str).any(|word| word.contains('%'));
    let placeholder = if placeholder { ", with the values themselves where the words have %" } else { "" };
    format!("write forward = {{ command = {words} }} in place of maildir{placeholder}; see docs/forwarding.md")
}

/// The line that sends each message to an LMTP server: to its socket, or to a host with or without a port.
pub(super) fn lmtp(server: &str, recipient: &str) -> String {
    let recipient = Value::from(recipient);
    let server = match (server.starts_with('/'), server.split_once(['/', ':'])) {
        (true, _) => format!("socket = {}", Value::from(server)),
        (false, Some((host, port))) if port.parse::<u16>().is_ok() => {
            format!("host = {}, port = {port}", Value::from(host))
        }
        (false, _) => format!("host = {}", Value::from(server)),
    };
    format!(
        "write forward = {{ lmtp = {{ {server}, recipient = {recipient} }} }} in place of maildir; see docs/forwarding.md"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_becomes_a_line_of_the_configuration() {
        for (line, words) in [
            ("/usr/bin/procmail -d jo", r#"["/usr/bin/procmail", "-d", "jo"]"#),
            ("cat >>/tmp/got", r#"["/bin/sh", "-c", "cat >>/tmp/got"]"#),
            ("| A=1 x", r#"["/bin/sh", "-c", "A=1 x"]"#),
        ] {
            let said = shell_command(line);
            assert!(
                said.starts_with(&format!("write forward = {{ command = {words} }} in place of maildir;")),
                "{said}"
            );
        }
        assert!(shell_command("lda -f %F").contains("where the words have %"));
        for (server, keys) in [
            ("/run/lmtp", r#"socket = "/run/lmtp""#),
            ("mx.h", r#"host = "mx.h""#),
            ("mx.h/24", r#"host = "mx.h", port = 24"#),
        ] {
            let expected = format!("forward = {{ lmtp = {{ {keys}, recipient = \"jo\" }} }}");
            assert!(lmtp(server, "jo").contains(&expected), "{}", lmtp(server, "jo"));
        }
    }
}
