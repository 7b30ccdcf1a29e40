//! Parses what is typed at a terminal in raw mode (ECMA-48 and xterm's keys).

/// A key that has a meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// One line up: the arrow, `k`.
    Up,
    /// One line down: the arrow, `j`, Enter.
    Down,
    /// A page up: PgUp, `b`, Ctrl-B.
    PageUp,
    /// A page down: PgDn, the space bar, Ctrl-F.
    PageDown,
    /// To the beginning: Home, `g`.
    Home,
    /// To the end: End, `G`.
    End,
    /// Quit: `q`.
    Quit,
    /// Ctrl-C.
    Interrupt,
    /// Suspend: Ctrl-Z.
    Suspend,
    /// Redraw everything: Ctrl-L.
    Redraw,
    /// Not a key: the size of the terminal has changed.
    Resized,
}

/// Returns the keys in the bytes of one read. Unknown ones are skipped.
pub(super) fn parse(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        let (key, rest) = match (first, rest) {
            (0x1b, [b'[' | b'O', sequence @ ..]) => escape_sequence(sequence),
            (byte, rest) => (plain(*byte), rest),
        };
        keys.extend(key);
        bytes = rest;
    }
    keys
}

/// Parses what follows ESC and `[` or `O`: parameters and a final byte.
fn escape_sequence(bytes: &[u8]) -> (Option<Key>, &[u8]) {
    let is_final = |byte: &u8| (0x40..=0x7e).contains(byte);
    let Some(end) = bytes.iter().position(is_final) else { return (None, &[]) };
    let (sequence, rest) = bytes.split_at_checked(end + 1).unwrap_or((bytes, &[]));
    let key = match sequence {
        b"A" => Key::Up,
        b"B" => Key::Down,
        b"H" | b"1~" | b"7~" => Key::Home,
        b"F" | b"4~" | b"8~" => Key::End,
        b"5~" => Key::PageUp,
        b"6~" => Key::PageDown,
        _ => return (None, rest),
    };
    (Some(key), rest)
}

fn plain(byte: u8) -> Option<Key> {
    Some(match byte {
        b'k' => Key::Up,
        b'j' | b'\r' | b'\n' => Key::Down,
        b'b' | 0x02 => Key::PageUp,
        b' ' | 0x06 => Key::PageDown,
        b'g' => Key::Home,
        b'G' => Key::End,
        b'q' | b'Q' => Key::Quit,
        0x03 => Key::Interrupt,
        0x1a => Key::Suspend,
        0x0c => Key::Redraw,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_in_both_modes_of_a_terminal() {
        assert_eq!(parse(b"\x1b[A\x1bOB\x1b[5~\x1b[6~"), [Key::Up, Key::Down, Key::PageUp, Key::PageDown]);
        assert_eq!(parse(b"\x1b[H\x1bOH\x1b[1~\x1b[F\x1b[4~"), [Key::Home, Key::Home, Key::Home, Key::End, Key::End]);
        assert_eq!(
            parse(b"jkgGq\x03\x1a\x0c "),
            [
                Key::Down,
                Key::Up,
                Key::Home,
                Key::End,
                Key::Quit,
                Key::Interrupt,
                Key::Suspend,
                Key::Redraw,
                Key::PageDown
            ]
        );
    }

    #[test]
    fn what_means_nothing_is_passed_over_and_hides_nothing() {
        assert_eq!(parse(b"x\x1b[1;5C\x1b[<0;3;4Mq"), [Key::Quit]);
        assert_eq!(parse(b"\x1b"), []);
        assert_eq!(parse(b"\x1b[1;"), []);
        assert_eq!(parse("\u{e9}\u{4f60}".as_bytes()), []);
        for byte in 0..=255_u8 {
            parse(&[byte, 0x1b, byte, b'[', byte]);
        }
    }
}
