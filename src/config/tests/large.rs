//! Large files with errors are refused quickly and with short output.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::{account, env, file};
use crate::config::load;

/// The size of a file, in bytes. Reading took a minute where the time was quadratic in it.
const SIZE: usize = 150_000;

/// How much CPU time such a file may take. A debug build takes a second for most of them.
const MOST: Duration = Duration::from_secs(6);

/// How long the output may be, in bytes: 50 problems, each with a truncated line and two truncated sentences.
const MOST_SAID: usize = 500_000;

/// Repeats the text up to `SIZE`; each N in it becomes the number of the repetition.
fn many(text: &str) -> String {
    many_of(SIZE, text)
}

/// Repeats the text up to this many bytes.
fn many_of(size: usize, text: &str) -> String {
    let mut all = String::with_capacity(size + text.len() + 8);
    for n in 0.. {
        if all.len() >= size {
            break;
        }
        match text.contains('N') {
            true => all.push_str(&text.replace('N', &n.to_string())),
            false => all.push_str(text),
        }
    }
    all
}

/// The CPU time used by this thread.
fn taken() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

#[track_caller]
fn is_soon_refused(what: &str, text: &str) {
    let (_dir, path) = file(text);
    let begun = taken();
    let said = load(&path, &env()).err().map(|error| error.to_string());
    let took = taken() - begun;
    let said = said.unwrap_or_else(|| panic!("accepted: {what}"));
    println!("{took:?} {} bytes: {what:?}", said.len());
    assert!(took < MOST, "{what}: {took:?}");
    assert!(said.len() < MOST_SAID, "{what}: {} bytes", said.len());
    assert!(!said.contains("hunter2"), "{what}: {said}");
}

#[test]
fn a_large_file_of_one_line_is_soon_refused() {
    for piece in
        ["\"", "'''", "[", "=", "\\", "k = [", "k = {", "a b ", "aN ", "“", "\u{202e}", "password = \"hunter2\" "]
    {
        is_soon_refused(piece, &format!("[accounts.a]\nhost = {}\n", many(piece)));
    }
    is_soon_refused("nothing but quotes", &many("\""));
    is_soon_refused("a key", &account("a", &format!("{} = 1", many("k"))));
    is_soon_refused("a value", &account("a", &format!("tls = \"{}\"", many("k"))));
    is_soon_refused("words", &account("a", &format!("on_new_mail = [ {} 1 ]", many("'a', "))));
    is_soon_refused("keys", &account("a", &format!("oauth2 = {{ {} }}", many_of(8 * SIZE, "kN = 1, "))));
}

#[test]
fn a_large_file_of_many_lines_is_soon_refused() {
    for lines in [
        "\"\n",
        "kN = 1\n",
        "kN : x\n",
        "kN = [\n",
        "kN = '''\n",
        "password = \"hunter2\n\n[accounts.N]\n",
        "word other wordN = third\n",
        "[accounts.a.N]\n",
        "[accounts.aN\n",
        "[[accounts.a.rules]]\nheader = 'a'\nheader = 'b'\n",
        "accounts.aN = { host = 'x' }\n",
    ] {
        is_soon_refused(lines, &(account("b", "") + &many(lines) + "= \n"));
    }
    is_soon_refused("tables behind those in them", &many_of(4 * SIZE, "[accounts.aN.forward]\n[accounts.aN]\n"));
    let names = many_of(2 * SIZE, "[accounts.aN]\n");
    is_soon_refused("a file that stands twice in itself", &format!("{names}{names}"));
    let recipients = many_of(4 * SIZE, "\"aN@example.org\" = '/m'\n") + "x = 1\n";
    let multidrop = "[accounts.b.multidrop]\nheader = 'X-To'\ndefault = '/m'\n[accounts.b.multidrop.recipients]\n";
    is_soon_refused("recipients and a mistake", &(account("b", multidrop) + &recipients));
}

#[test]
fn a_large_file_with_one_mistake_is_soon_refused() {
    for mistake in ["intervall = '5m'", "host = 'again'", "password = \"hunter2"] {
        is_soon_refused(mistake, &(many(&account("aN", "")) + &account("last", mistake)));
    }
}
