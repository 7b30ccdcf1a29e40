//! `~/.netrc`, from which fetchmail and others read passwords. PURE.

use crate::secret::Secret;

/// Returns the password for a login at the first of these machines that has one.
pub(super) fn password(text: &[u8], machines: &[&str], login: &str) -> Option<Secret> {
    machines.iter().find_map(|machine| {
        let mut words = Words { rest: text };
        let (mut here, mut user, mut found) = (false, None, None);
        while let Some(word) = words.next() {
            match word.as_slice() {
                b"machine" | b"default" => {
                    if let Some(found) = found.take().filter(|_| here && is(user.take(), login)) {
                        return Some(Secret::new(found));
                    }
                    (user, found) = (None, None);
                    here = word == b"machine" && words.next()? == machine.as_bytes();
                }
                b"login" | b"user" => user = words.next(),
                b"password" | b"passwd" => found = words.next(),
                b"account" | b"port" => drop(words.next()),
                b"macdef" => words.skip_macro(),
                _ => {}
            }
        }
        found.filter(|_| here && is(user, login)).map(Secret::new)
    })
}

fn is(user: Option<Vec<u8>>, login: &str) -> bool {
    user.is_none_or(|user| user == login.as_bytes())
}

/// Consumes words of the text.
struct Words<'a> {
    rest: &'a [u8],
}

impl Words<'_> {
    fn next(&mut self) -> Option<Vec<u8>> {
        self.rest = self.rest.trim_ascii_start();
        while self.rest.first() == Some(&b'#') {
            let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
            self.rest = self.rest.get(end..)?.trim_ascii_start();
        }
        let quoted = self.rest.first() == Some(&b'"');
        let mut word = Vec::new();
        let mut bytes = self.rest.iter().skip(usize::from(quoted));
        let mut taken = usize::from(quoted);
        while let Some(&byte) = bytes.next() {
            taken += 1;
            match byte {
                b'"' if quoted => break,
                b'\\' => {
                    word.extend(bytes.next());
                    taken += 1;
                }
                byte if !quoted && byte.is_ascii_whitespace() => break,
                byte => word.push(byte),
            }
        }
        self.rest = self.rest.get(taken..).unwrap_or_default();
        (quoted || !word.is_empty()).then_some(word)
    }

    /// A macro ends at an empty line.
    fn skip_macro(&mut self) {
        let end = memchr::memmem::find(self.rest, b"\n\n").unwrap_or(self.rest.len());
        self.rest = self.rest.get(end..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::password;

    #[test]
    fn the_password_of_a_machine_and_login_is_found() {
        let text = b"# mine\nmachine a login jo password one\nmachine b\n  login x password \"t w\\\"o\"\n\
                     macdef init\ncd /\n\nmachine a login ann password three\ndefault login any password four\n";
        let of = |machines: &[&str], login| password(text, machines, login).map(|secret| secret.expose().to_vec());
        assert_eq!(of(&["a"], "jo").as_deref(), Some(&b"one"[..]));
        assert_eq!(of(&["c", "b"], "x").as_deref(), Some(&b"t w\"o"[..]));
        assert_eq!(of(&["a"], "ann").as_deref(), Some(&b"three"[..]));
        assert_eq!((of(&["a"], "nobody"), of(&["z"], "any")), (None, None));
    }
}
