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
    let command = line(["mailferry".to_owned()].into_iter().chain(words()));
    let Some(User { name, home }) = in_passwd(user) else {
        // sudo and runuser refuse a user without a name.
        return format!("setpriv --reuid={user} --regid={user} --clear-groups {command}");
    };
    match is_root() {
        // Root has it everywhere, also where there is no sudo. It leaves HOME as it was.
        true => format!("runuser -u {name} -- env {} {command}", quoted(&format!("HOME={home}"))),
        false => format!("sudo -H -u {name} {command}"),
    }
}

/// Another command of this program, with the configuration and the state directory that this one was given.
#[must_use]
pub fn this_program(command: &str) -> String {
    let places = line(["mailferry".to_owned()].into_iter().chain(places(words())));
    format!("{places} {command}")
}

fn words() -> impl Iterator<Item = String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned())
}

/// The options of a command line that say where things are, with their values.
fn places(mut words: impl Iterator<Item = String>) -> Vec<String> {
    let mut places = Vec::new();
    while let Some(word) = words.next() {
        match word.split_once('=').map_or(word.as_str(), |(option, _)| option) {
            "--config" | "--state-dir" if word.contains('=') => places.push(word),
            "--config" | "--state-dir" => places.extend([word].into_iter().chain(words.next())),
            _ => {}
        }
    }
    places
}

fn line(words: impl Iterator<Item = String>) -> String {
    words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.escape_debug().to_string().replace('\'', "'\\''")),
    }
}

/// What a user is called: a name, or the number behind a hash sign if `/etc/passwd` has none.
#[must_use]
pub fn name(user: u32) -> String {
    known_name(user).unwrap_or_else(|| format!("#{user}"))
}

/// The name of a user, if `/etc/passwd` has one.
#[must_use]
pub fn known_name(user: u32) -> Option<String> {
    in_passwd(user).map(|known| known.name)
}

/// What `/etc/passwd` says about a user.
#[derive(Debug, PartialEq, Eq)]
struct User {
    name: String,
    home: String,
}

fn in_passwd(user: u32) -> Option<User> {
    find(&fs::read_to_string("/etc/passwd").unwrap_or_default(), user)
}

/// The user in lines of passwd(5), if the name is one that can stand on a command line as it is.
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
    fn where_things_are_is_taken_from_a_command_line() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>().into_iter();
        let given = "-v --config /a/c.toml fetch --state-dir=/s --new-state --config";
        assert_eq!(line(places(words(given)).into_iter()), "--config /a/c.toml --state-dir=/s --config");
        assert_eq!(line(["--config".to_owned(), "/a b".to_owned()].into_iter()), "--config '/a b'");
        assert_eq!(this_program("fetch"), "mailferry fetch", "the tests were given no places");
    }

    #[test]
    fn users_are_mapped_unless_all_are_themselves() {
        assert!(!maps_users("         0          0 4294967295\n"));
        assert!(maps_users("         0       1000          1\n"));
    }
}
