//! The users of this machine: the one that runs this process, and the names of others.

use std::fs;

/// Returns the effective user id of this process, `geteuid(2)`.
#[must_use]
pub fn effective() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this process is root, so that it can write wherever another user's link leads.
#[must_use]
pub fn is_root() -> bool {
    effective() == 0
}

/// Whether user ids are mapped for this process (user_namespaces(7)). Then root is an ordinary user outside, and the
/// real root has no id inside.
#[must_use]
pub fn is_mapped() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| maps_users(&map))
}

fn maps_users(map: &str) -> bool {
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

/// Returns the name of a user, or the id after a hash sign if `/etc/passwd` has none.
#[must_use]
pub fn name(user: u32) -> String {
    known_name(user).unwrap_or_else(|| format!("#{user}"))
}

/// Returns the name of a user, if `/etc/passwd` has one.
#[must_use]
pub fn known_name(user: u32) -> Option<String> {
    known(user).map(|known| known.name)
}

/// A user as listed in `/etc/passwd`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User {
    /// Its name.
    pub(crate) name: String,
    /// Its home directory.
    pub(crate) home: String,
}

/// Returns the user with this id, if `/etc/passwd` has one.
pub(crate) fn known(user: u32) -> Option<User> {
    find(&fs::read_to_string("/etc/passwd").unwrap_or_default(), user)
}

/// Finds a user in lines of passwd(5), if the name can be used on a command line as it is.
fn find(passwd: &str, user: u32) -> Option<User> {
    let is_plain =
        |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(is_plain)?;
        (fields.nth(1)?.parse() == Ok(user)).then_some(())?;
        Some(User { name: name.to_owned(), home: fields.nth(2)?.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_a_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad name:x:7:7::/:\njo:x:1000:1000:Jo:/home/jo:/bin/sh\nbroken\n";
        assert_eq!(find(passwd, 1000), Some(User { name: "jo".to_owned(), home: "/home/jo".to_owned() }));
        assert_eq!(find(passwd, 0).map(|root| root.name).as_deref(), Some("root"));
        assert_eq!((find(passwd, 7), find(passwd, 8)), (None, None));
        assert_eq!(name(4_294_967_290), "#4294967290");
    }

    #[test]
    fn users_are_mapped_unless_all_are_themselves() {
        assert!(!maps_users("         0          0 4294967295\n"));
        assert!(maps_users("         0       1000          1\n"));
    }
}
