//! Tests of the checkers: each finds what is planted in small made-up sources, and nothing else.

use super::modules::{Target, Tree};
use super::reserved::Reserved;
use super::{circles, clocks, escapes, hidden, logs, names, purity, reserved};

/// Makes a tree of files, each with its text.
fn tree(files: &[(&str, &str)]) -> Tree {
    let read = |file: &std::path::Path| {
        let found = files.iter().find(|(name, _)| std::path::Path::new(name) == file);
        found.map(|(_, text)| (*text).to_owned())
    };
    Tree::read(&read).unwrap()
}

/// Returns the findings in a pure room `pop3` with this source, beside an impure `net` and a plain `secret`, which may
/// use `net` by way of exception.
fn of_pure(source: &str) -> Vec<String> {
    of_pure_except(source, &[])
}

fn of_pure_except(source: &str, exceptions: &[&str]) -> Vec<String> {
    let tree = tree(&[
        ("lib.rs", "pub mod pop3; mod net; mod secret; pub use net::Connection;"),
        ("pop3.rs", source),
        ("net.rs", "pub struct Connection; pub mod tls { pub struct Trust; }"),
        ("secret.rs", "pub use crate::net::Connection as Disguised; pub struct Secret;"),
    ]);
    let exceptions = [&["secret -> net"], exceptions].concat();
    let crates = &["std", "fastrand", "memchr", "url"];
    purity::findings(
        &tree,
        &purity::Rules { pure: &["pop3"], plain: &["secret"], crates, exceptions: &exceptions, ..super::RULES },
    )
}

#[test]
fn a_clock_that_is_read_outside_its_room_is_found() {
    let findings = |source: &str, known: &[&str]| {
        let tree = tree(&[
            ("lib.rs", "mod clock; mod daemon;"),
            ("clock.rs", "fn now() { std::time::SystemTime::now(); }"),
            ("daemon.rs", source),
        ]);
        clocks::findings(&tree, "clock", known)
    };
    for source in [
        "use jiff::Timestamp; fn f() { Timestamp::now(); }",
        "fn f() { x(rustix::time::clock_gettime(y)); }",
        "use std::time::{SystemTime as Time}; fn f() { Time::now(); }",
        "use std::time::UNIX_EPOCH;",
    ] {
        assert!(findings(source, &[])[0].starts_with("daemon reads a clock by "), "{source}");
        assert!(findings(source, &["daemon"]).is_empty(), "{source}");
    }
    let well = "fn f() { std::time::Instant::now(); x.clock.since_boot(); jiff::Timestamp::from_second(1); }";
    assert!(findings(well, &[]).is_empty());
    assert_eq!(findings(well, &["daemon"]).len(), 1, "an exception must be needed");
}

#[test]
fn what_escapes_outside_its_room_is_found() {
    let source = "fn shown(text: &str) -> String { text.escape_debug().to_string() }";
    let tree = tree(&[("lib.rs", "mod text; mod client;"), ("text.rs", source), ("client.rs", source)]);
    assert_eq!(escapes::findings(&tree, "text", &[]), ["client escapes by escape_debug: that is for `text` to do"]);
    assert!(escapes::findings(&tree, "text", &["client"]).is_empty());
    assert_eq!(escapes::findings(&tree, "text", &["client", "text"]).len(), 1, "an exception must be needed");
}

#[test]
fn what_logs_beside_the_events_is_found() {
    let findings = |source: &str, may: &[&str]| {
        let tree = tree(&[
            ("lib.rs", "mod poll; mod daemon;"),
            ("daemon.rs", "use tracing::info;"),
            ("poll/mod.rs", "mod emitter; mod spool;"),
            ("poll/emitter.rs", "use tracing::error;"),
            ("poll/spool.rs", source),
        ]);
        logs::findings(&tree, "poll", may)
    };
    for source in [
        "use tracing::warn;",
        "use tracing as lines; fn f() { lines::warn!(x); }",
        "fn f() { tracing::debug!(x); }",
        "mod inner { use ::tracing::{debug}; }",
    ] {
        let found = findings(source, &["poll::emitter"]);
        assert!(!found.is_empty() && found.iter().all(|it| it.starts_with("poll::spool")), "{source}: {found:?}");
    }
    assert_eq!(findings("fn f() { events.tell(x); }", &["poll::emitter"]), [""; 0]);
    assert_eq!(findings("", &["poll::emitter", "poll::spool"]).len(), 1, "an exception must be needed");
}

#[test]
fn every_way_to_name_what_acts_is_found() {
    for source in [
        "use std::net::TcpStream;",
        "use std::fs;",
        "use std::{fmt, fs::File};",
        "use std::time::*;",
        "use std::time::Instant;",
        "use std::time::{Duration, SystemTime as Time};",
        "use std::time; fn now() -> time::Instant { todo!() }",
        "fn now() { let _ = std::time::Instant::now(); }",
        "fn now() { log(format!(\"{:?}\", std::time::SystemTime::now())); }",
        "fn read() { std::fs::read(\"x\"); }",
        "fn read() { ::std::fs::read(\"x\"); }",
        "fn read() -> ::std::fs::File { todo!() }",
        "fn read() { match x { _ => ::std::fs::read(y) } }",
        "fn read() { let stdin = std::io::stdin(); }",
        "fn look() { std::env::var(\"HOME\"); }",
        "fn sleep() { std::thread::sleep(x); }",
        "fn tell() { println!(\"x\"); }",
        "fn tell() { eprintln!(\"x\"); }",
        "use tokio::io::AsyncRead;",
        "use tracing::debug;",
        "fn tell() { tracing::debug!(\"x\"); }",
        "#[tracing::instrument] fn tell() {}",
        "use crate::net::Connection;",
        "use crate::{net::Connection, secret::Secret};",
        "use crate::net;",
        "use super::net::Connection;",
        "use crate::net::tls::Trust as Secret;",
        "fn open(to: &crate::net::Connection) {}",
        "fn open<T: Into<crate::net::Connection>>(to: T) {}",
        "macro_rules! open { () => { $crate::net::Connection } }",
        "mod inner { use super::super::net::Connection; }",
        // Under another name, through the crate's root or a room that may be used.
        "use crate::Connection;",
        "use crate::secret::Disguised;",
        "use crate::secret; fn open(to: secret::Disguised) {}",
        // Behind what looks like an import.
        "fn read() -> impl Sized + use<> { std::fs::read(\"x\"); }",
        // What is not an address.
        "use std::net::ToSocketAddrs as _;",
        "fn look(at: &url::Url) { at.socket_addrs(|| None); }",
        // Methods of what is otherwise only a name.
        "use std::path::Path; fn look() -> bool { Path::new(\"x\").exists() }",
        "use std::path::Path; fn look() -> bool { Path::new(\"x\").try_exists().unwrap_or(false) }",
        "fn look(at: &std::path::Path) { at.read_dir(); }",
        "fn look(at: &std::path::Path) { at.canonicalize(); }",
        "fn look(at: &std::path::Path) { at.metadata(); }",
        "fn look(at: &std::path::Path) { at.symlink_metadata(); }",
        "fn look(at: &std::path::Path) { at.read_link(); }",
        "fn look(at: &[std::path::PathBuf]) -> bool { at.iter().any(|it| it.is_file()) }",
        "use std::path::Path; fn look(at: &Path) -> bool { Some(at).is_some_and(Path::is_dir) }",
        "fn look(at: &std::path::Path) -> bool { at.is_symlink() }",
        // An exported macro.
        "fn tell() { crate::log!(\"x\"); }",
        "use crate::log; fn tell() { log!(\"x\"); }",
        // Random numbers that follow from nothing.
        "fn roll() -> u64 { fastrand::u64(..) }",
        "use fastrand::u64 as roll;",
        "use fastrand::Rng; fn roll() -> Rng { Rng::default() }",
        "use fastrand::Rng; fn roll() -> Rng { Rng::new() }",
        "fn roll(from: &mut fastrand::Rng) { let _ = <fastrand::Rng>::default(); fastrand::seed(7); }",
    ] {
        assert_eq!(of_pure(source).len(), 1, "{source}: {:?}", of_pure(source));
    }
}

#[test]
fn what_is_only_told_or_only_for_tests_is_passed_over() {
    for source in [
        "//! Nothing of `std::net::TcpStream`.\n/// See [`crate::net`].\n// std::fs::read\nfn quiet() {}",
        "fn quiet() -> &'static str { \"std::fs::read and crate::net\" }",
        "fn quiet() -> &'static str { r#\"use std::fs;\"# }",
        "use std::time::Duration; use std::fmt::{self, Write as _}; fn quiet() -> fmt::Result { Ok(()) }",
        "use crate::secret::Secret; use memchr::memmem; fn quiet(x: Secret) { memmem::find(a, b); }",
        "#[cfg(test)] mod tests { use std::fs; use crate::net::Connection; }",
        "#[cfg(test)]\nuse std::fs;\nfn quiet() {}",
        "#[cfg(test)] fn helper() -> std::fs::File { todo!() } fn quiet() {}",
        "struct Quiet { #[cfg(test)] file: std::fs::File, length: u64 }",
        "enum Quiet { Net } fn quiet() -> Quiet { Quiet::Net }",
        "fn quiet() -> u32 { <u32 as Ord>::max(u32::MAX, str::len(\"x\")) }",
        "trait Net { fn fs(); } fn quiet<N: Net>() { N::fs() }",
        "use std::net::IpAddr; fn quiet(at: IpAddr) -> bool { matches!(at, IpAddr::V4(_)) }",
        "use fastrand::Rng; fn quiet(seed: u64) -> u64 { Rng::with_seed(seed).u64(..) }",
        "use std::path::Path; fn quiet(at: &Path) -> Option<&Path> { at.parent() } // exists",
        "#[cfg(test)] fn helper(at: &std::path::Path) -> bool { at.exists() }",
    ] {
        assert!(of_pure(source).is_empty(), "{source}: {:?}", of_pure(source));
    }
    // What follows a test item counts again.
    assert_eq!(of_pure("#[cfg(test)] mod tests { fn a() {} } use std::fs;").len(), 1);
    assert_eq!(of_pure("struct A { #[cfg(test)] b: u8, c: std::fs::File }").len(), 1);
    assert_eq!(of_pure("#[cfg(test)] fn a<A, B>() {} use std::fs;").len(), 1);
    assert_eq!(of_pure("#[cfg(not(test))] use std::fs;").len(), 1);
}

#[test]
fn a_plain_room_that_acts_is_found() {
    let of_plain = |source: &str| {
        let tree = tree(&[
            ("lib.rs", "mod account; mod net; mod pop3;"),
            ("account.rs", source),
            ("net.rs", "pub struct Connection;"),
            ("pop3.rs", "use crate::account::Account;"),
        ]);
        purity::findings(
            &tree,
            &purity::Rules { pure: &["pop3"], plain: &["account"], exceptions: &[], ..super::RULES },
        )
    };
    for source in [
        "use std::fs; pub struct Account;",
        "use crate::net::Connection; pub struct Account;",
        "pub struct Account; impl Account { fn look(&self) -> bool { self.path.exists() } }",
        "pub use tracing::debug as told; pub struct Account;",
    ] {
        let findings = of_plain(source);
        assert!(
            findings.len() == 1 && findings[0].starts_with("account is pure, and names "),
            "{source}: {findings:?}"
        );
    }
    assert_eq!(of_plain("use crate::pop3; use std::fmt; pub struct Account;"), [""; 0]);
}

#[test]
fn what_hides_from_the_rules_is_found() {
    let findings = |source: &str| {
        hidden::findings(&tree(&[("lib.rs", "mod pop3; mod secret;"), ("pop3.rs", source), ("secret.rs", "")]))
    };
    for source in [
        "use crate::secret::*; fn open() { Disguised::new(); }",
        "pub use crate::secret::*;",
        "use crate::{secret::*};",
        "use super::secret::{self, *};",
        "use Kind::*; enum Kind { A }",
        "fn kinds() { use crate::secret::Kind::*; }",
        "mod inner { use super::*; }",
        "include!(\"elsewhere.rs\");",
        "fn f() -> u8 { std::include!(\"elsewhere.rs\") }",
        "#[macro_export] macro_rules! log { () => {} }",
        "#[macro_use] mod macros { }",
    ] {
        assert_eq!(findings(source).len(), 1, "{source}: {:?}", findings(source));
    }
    for source in [
        "#[cfg(test)] mod tests { use super::*; }",
        "#[cfg(test)] use crate::secret::*;",
        "use crate::secret::Secret; fn double(a: u8) -> u8 { a * 2 } const X: &str = include_str!(\"x\");",
        "macro_rules! local { () => {} } fn f() { local!(); }",
    ] {
        assert_eq!(findings(source), [""; 0], "{source}");
    }
}

#[test]
fn an_exception_must_be_needed() {
    assert!(of_pure_except("use crate::net::Connection;", &["pop3 -> net"]).is_empty());
    assert_eq!(of_pure_except("use crate::net::tls::Trust;", &["pop3 -> net"]).len(), 2, "another, and one too many");
    let findings = of_pure_except("fn quiet() {}", &["pop3 -> net"]);
    assert_eq!(findings, ["pop3 -> net is not there any more: strike it from the known exceptions"]);
}

/// Returns the findings where `IsProven` is reserved for `state` and `plan`, and `poll` has this source.
fn of_reserved(source: &str) -> Vec<String> {
    let tree = tree(&[
        ("lib.rs", "mod plan; mod poll; mod state;"),
        ("plan.rs", "use crate::state::IsProven; struct Proof; impl IsProven for Proof {}"),
        ("poll.rs", source),
        ("state.rs", "pub(crate) trait IsProven {} fn record(proof: impl IsProven) {}"),
    ]);
    reserved::findings(&tree, &[Reserved { name: "IsProven", only_in: &["plan", "state"] }])
}

#[test]
fn whoever_takes_a_reserved_name_is_found() {
    for source in [
        "struct Mine; impl crate::state::IsProven for Mine {}",
        "use crate::state::IsProven;",
        "use crate::state::{IsProven as Harmless};",
        "use crate::state::*; struct Mine; impl IsProven for Mine {}",
        "macro_rules! forge { ($t:ty) => { impl $crate::state::IsProven for $t {} } }",
        "fn forge() { fn inner(proof: &dyn crate::state::IsProven) {} }",
    ] {
        assert_eq!(of_reserved(source), ["poll names IsProven, which is reserved (poll.rs)"], "{source}");
    }
    let inline = of_reserved("mod inner { impl crate::state::IsProven for Mine {} }");
    assert_eq!(inline, ["poll::inner names IsProven, which is reserved (poll.rs)"]);
    for source in [
        "fn quiet() -> &'static str { \"IsProven\" } // IsProven",
        "#[cfg(test)] mod tests { impl crate::state::IsProven for Mine {} }",
        "#[cfg(test)]\nimpl crate::state::IsProven for Mine {}",
    ] {
        assert_eq!(of_reserved(source), [""; 0], "{source}");
    }
}

#[test]
fn whoever_confirms_in_the_place_of_a_person_is_found() {
    for source in [
        "fn delete() { let hand = crate::client::ByHand::confirmed(number); }",
        "use crate::client::ByHand as Hand; fn delete() { client.delete_by_hand(&Hand::confirmed(number)); }",
        "fn delete() { numbers.map(<crate::client::ByHand>::confirmed); }",
    ] {
        let tree = tree(&[
            ("lib.rs", "mod client; mod console; mod poll;"),
            (
                "client.rs",
                "pub struct ByHand(u32); impl ByHand { pub fn confirmed(number: u32) -> Self { Self(number) } }",
            ),
            ("console.rs", "fn delete() { crate::client::ByHand::confirmed(number); }"),
            ("poll.rs", source),
        ]);
        let findings = reserved::findings(&tree, &[Reserved { name: "confirmed", only_in: &["client", "console"] }]);
        assert_eq!(findings, ["poll names confirmed, which is reserved (poll.rs)"], "{source}");
    }
}

#[test]
fn whoever_may_take_a_reserved_name_must() {
    let tree = tree(&[("lib.rs", "mod state;"), ("state.rs", "trait IsProven {}")]);
    let findings = reserved::findings(&tree, &[Reserved { name: "IsProven", only_in: &["plan", "state"] }]);
    assert_eq!(findings, ["plan does not name IsProven any more: strike it from the modules that may"]);
}

/// Two rooms; the second has two files, one of which has a file below it.
fn rooms(sources: [&str; 5]) -> Tree {
    let [a, b, first, second, below] = sources;
    tree(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", a),
        ("b/mod.rs", &format!("mod first; mod second; {b}")),
        ("b/first.rs", first),
        ("b/second.rs", &format!("mod below; {second}")),
        ("b/second/below.rs", below),
    ])
}

#[test]
fn circles_between_rooms_and_between_files_are_found() {
    for (sources, edges) in [
        (["use crate::b::X;", "", "use crate::a::Y;", "", ""], ["a -> b", "b -> a"]),
        (["use super::b::first::X;", "use crate::a;", "", "", ""], ["a -> b", "b -> a"]),
        (
            ["", "", "use super::second::X;", "fn x() { crate::b::first::y(); }", ""],
            ["b::first -> b::second", "b::second -> b::first"],
        ),
        // Through a re-export of the parent.
        (
            ["", "pub use first::X;", "use super::second::Y;", "use super::X;", ""],
            ["b::first -> b::second", "b::second -> b::first"],
        ),
        // Through a file below one of them.
        (
            ["", "", "use super::second::Y;", "", "use crate::b::first::X;"],
            ["b::first -> b::second", "b::second -> b::first"],
        ),
    ] {
        let findings = circles::findings(&rooms(sources), &[]);
        assert_eq!(findings.len(), 2, "{sources:?}: {findings:?}");
        for (finding, edge) in findings.iter().zip(edges) {
            assert!(finding.starts_with(&format!("a circle: {edge} (")), "{sources:?}: {finding}");
        }
    }
}

#[test]
fn what_leads_one_way_is_no_circle() {
    for sources in [
        ["use crate::b::X;", "", "", "", ""],
        // Parent and child.
        ["", "use first::X; struct Y;", "use super::Y;", "", ""],
        ["", "", "", "use below::X; struct Y;", "use super::Y;"],
        // One file of a room uses another room, and the other is used by it.
        ["use crate::b::first::X;", "", "", "use super::first::Z;", ""],
        ["#[cfg(test)] mod tests { use crate::b::X; }", "use crate::a::Y;", "", "", ""],
    ] {
        assert_eq!(circles::findings(&rooms(sources), &[]), [""; 0], "{sources:?}");
    }
}

#[test]
fn a_known_circle_must_be_one() {
    let circle = ["use crate::b::X;", "", "use crate::a::Y;", "", ""];
    assert!(circles::findings(&rooms(circle), &["a -> b"]).is_empty());
    let struck = |edge| format!("{edge}: strike it from the known circles");
    let both = circles::findings(&rooms(circle), &["a -> b", "b -> a"]);
    assert_eq!(both, [struck("a -> b closes no circle any more"), struck("b -> a closes no circle any more")]);
    let gone = circles::findings(&rooms(circle), &["a -> b", "b::first -> b::second"]);
    assert_eq!(gone, [struck("b::first -> b::second is not there any more")]);
}

#[test]
fn only_a_path_leads_to_a_crate() {
    let source = "mod proxy; use crate::config::toml; use tokio::net; mod inner { use url::Url; }\n\
                  fn f(jiff: u8) { g(serde, jiff); proxy::h(); toml::i(); net::j(); std::k(); #[rcgen::l] m(); }";
    let source = super::source::Source::read(source).unwrap();
    let crates = ["rcgen", "std", "tokio", "url"];
    let found = source.roots().into_iter().filter(|root| *root != "crate").collect::<std::collections::BTreeSet<_>>();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), crates);
}

#[test]
fn paths_lead_through_files_of_any_kind() {
    let tree = tree(&[
        ("lib.rs", "pub mod a; pub use a::deep::Thing;"),
        ("a/mod.rs", "#[path = \"odd.rs\"] pub mod deep; use crate::Thing as Other;"),
        ("a/odd.rs", "pub struct Thing;"),
    ]);
    let target = |module: &[&str], item: &str| Target::Ours {
        module: module.iter().map(|it| (*it).to_owned()).collect(),
        item: vec![item.to_owned()],
    };
    let found: Vec<Target> = tree.references().map(|reference| reference.target).collect();
    assert_eq!(found, [target(&["a", "deep"], "Thing"), target(&["a", "deep"], "Thing")]);
}

/// Returns the findings in a page about a crate with a room `poll` (`mod.rs`, `window.rs`) and a file `exit.rs`.
fn of_page(page: &str) -> Vec<String> {
    let tree = tree(&[
        ("lib.rs", "mod poll; mod exit;"),
        ("poll/mod.rs", "mod window; pub struct Poll; impl Poll { pub fn run() {} } enum Step { Look(u8), Decided }"),
        ("poll/window.rs", "pub const AHEAD: u8 = 4; fn take_marks(per_host: u8) {}"),
        ("exit.rs", "pub enum ExitStatus { Ok }"),
    ]);
    let has_file = |file: &str| file == "tests/it/main.rs";
    let has_name = |name: &str| name == "walls::RULES";
    names::findings(&tree, page, &names::Outside { has_file: &has_file, has_name: &has_name })
}

#[test]
fn a_page_that_names_what_is_there_is_left_in_peace() {
    let page = "`poll::Poll::run`, `poll::window`, `window::AHEAD`, `Poll::run`, `Step::Look`, `ExitStatus`, `take_marks`,\n\
                `per_host`, `poll/window.rs`, `exit.rs`, `tests/it/main.rs`, `RETR`, `+OK`, `tmp/`, `Poll<T>`, `TOP n 0`,\n\
                `CLOCK_BOOTTIME`, `walls::RULES`\n\n\
                **`poll`**: `mod.rs`, `window.rs` how far.\n\n```\n  poll::window --> Poll\n```\n";
    assert_eq!(of_page(page), [""; 0]);
}

#[test]
fn a_page_that_names_what_is_not_there_is_found_out() {
    for page in [
        "`poll::marking`",
        "`poll::Poll::walk`",
        "`window::BEHIND`",
        "`Poll::walk`",
        "`Ferry`",
        "`same_bytes`",
        "`KNOWN_CIRCLES`",
        "`walls::KNOWN`",
        "`poll/marking.rs`",
        "`marking.rs`",
        "`tests/it/gone.rs`",
        "`Ferry<T>`",
        "**`telling`**: words",
        "**`exit`**: `window.rs` is elsewhere",
        "```\n  poll::marking --> Poll\n```",
    ] {
        assert_eq!(of_page(page).len(), 1, "{page}: {:?}", of_page(page));
    }
}
