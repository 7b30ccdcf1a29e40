//! The users of this machine: who we are, and what others are called.

use std::fs;

/// The user that this process acts as, `geteuid(2)`.
#[must_use]
pub fn effective() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this process is root, so that it can write wherever another user's link leads.
#[must_use]
pub fn is_root() -> bool {
    effective() == 0
}

/// Whether the numbers of users are mapped for this process (user_namespaces(7)): root is then an ordinary user outside,
/// and the true root has no number of its own.
#[must_use]
pub fn is_mapped() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| maps_users(&map))
}

fn maps_users(map: &str) -> bool {
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// This command, as another user has to type it.
#[must_use]
pub fn this_command_as(user: u32) -> String {
    let words = std::env::args().skip(1).map(|word| quoted(&word)).collect::<Vec<_>>().join(" ");
    let name = name(user);
    match name.strip_prefix('#') {
        // sudo refuses a user without a name.
        Some(number) => format!("setpriv --reuid={number} --regid={number} --clear-groups mailferry {words}"),
        None => format!("sudo -H -u {name} mailferry {words}"),
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.escape_debug().to_string().replace('\'', "'\\''")),
    }
}

/// What a user is called, as `sudo -u` takes it: a name, or the number behind a hash sign if `/etc/passwd` has none.
#[must_use]
pub fn name(user: u32) -> String {
    let names = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_in(&names, user).unwrap_or_else(|| format!("#{user}"))
}

/// The name in lines of passwd(5), if it is one that can stand on a command line as it is.
fn name_in(passwd: &str, user: u32) -> Option<String> {
    let is_plain =
        |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(is_plain)?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_a_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad name:x:7:7::/:\njo:x:1000:1000:Jo:/home/jo:/bin/sh\nbroken\n";
        assert_eq!(name_in(passwd, 1000).as_deref(), Some("jo"));
        assert_eq!(name_in(passwd, 0).as_deref(), Some("root"));
        assert_eq!((name_in(passwd, 7), name_in(passwd, 8)), (None, None));
        assert_eq!(name(4_294_967_290), "#4294967290");
    }

    #[test]
    fn users_are_mapped_unless_all_are_themselves() {
        assert!(!maps_users("         0          0 4294967295\n"));
        assert!(maps_users("         0       1000          1\n"));
    }
}
