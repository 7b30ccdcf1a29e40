//! The walls between the modules of `src/`, and what `docs/architecture.md` says about them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

mod circles;
mod clocks;
mod escapes;
mod hidden;
mod logs;
mod modules;
mod names;
mod planted;
mod purity;
mod reserved;
mod source;

use modules::{Target, Tree};
use reserved::Reserved;
use source::Source;

/// What is pure, what that may use besides, and the known exceptions.
const RULES: purity::Rules<'static> = purity::Rules {
    pure: &["pop3", "sasl", "message", "plan", "routing", "schedule", "text"],
    // Plain values, and what only reads and writes those.
    plain: &[
        "account",
        "ids",
        "provider",
        "secret",
        "clock::trusted_time",
        "state::entries",
        "state::entry",
        "state::entry_table",
        "state::proofs",
        "state::quarantines",
        "state::record",
        "state::unique_id_index",
    ],
    crates: &[
        "std",
        "base64",
        "bytesize",
        "crc32fast",
        "encoding_rs",
        "fastrand",
        "hashbrown",
        "hmac",
        "mail_parser",
        "md5",
        "memchr",
        "pbkdf2",
        "secrecy",
        "serde",
        "sha1",
        "sha2",
        "stringprep",
        "url",
    ],
    forbidden: &[
        "std::fs",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
        "std::time::Instant",
        "std::time::SystemTime",
        "std::time::UNIX_EPOCH",
        "std::print",
        "std::println",
        "std::eprint",
        "std::eprintln",
        "std::dbg",
    ],
    only: &[
        // Random numbers follow from a seed that comes in.
        ("fastrand", &["fastrand", "fastrand::Rng", "fastrand::Rng::with_seed"]),
        // Addresses, and names of files as octets.
        ("std::net", &["std::net::IpAddr", "std::net::IpAddr::V4", "std::net::IpAddr::V6"]),
        ("std::os", &["std::os::unix::ffi::OsStrExt"]),
    ],
    // Those of paths and of URLs, which are only names otherwise.
    methods: &[
        "canonicalize",
        "exists",
        "is_dir",
        "is_file",
        "is_symlink",
        "metadata",
        "read_dir",
        "read_link",
        "socket_addrs",
        "symlink_metadata",
        "try_exists",
    ],
    // Proofs of a delivery, which contain the files that they are about.
    exceptions: &[
        "plan -> delivery",
        "plan -> delivery::publish",
        "plan -> maildir::staging",
        "state::proofs -> disk::dir",
    ],
};

/// Who may make, or ask for, what the state believes without a look of its own.
const RESERVED: &[Reserved<'static>] = &[
    Reserved {
        name: "IsPublished",
        only_in: &["delivery::publish", "delivery::recovery", "state::proofs", "state::store"],
    },
    Reserved { name: "IsForwarded", only_in: &["forward::journal", "state::proofs", "state::store"] },
    // The constructors of `Arrived`, one for each kind of destination.
    Reserved { name: "by_final_reply", only_in: &["forward::arrived", "forward::lmtp"] },
    Reserved { name: "by_exit_status", only_in: &["forward::arrived", "forward::command"] },
    Reserved { name: "by_answer", only_in: &["forward::arrived", "forward::imap::worker"] },
    Reserved {
        name: "by_append",
        only_in: &["forward::arrived", "forward::imap::worker", "forward::imap::worker::placing"],
    },
    Reserved { name: "by_recognition", only_in: &["forward::arrived", "forward::imap::worker::open_ones"] },
    // Makes the record of it.
    Reserved { name: "into_record", only_in: &["forward::arrived", "forward::pass"] },
    // The constructor of `ByHand`, which needs no evidence.
    Reserved { name: "confirmed", only_in: &["cli::console", "client::by_hand"] },
    // The user vouches for what another program has delivered.
    Reserved { name: "TrustedImport", only_in: &["import::take_over", "state::adopt"] },
    // Makes a time out of a number, which may be one of another clock.
    Reserved { name: "of_record", only_in: &["clock::trusted_time", "state::record"] },
    Reserved { name: "IsFirstSeen", only_in: &["plan::evidence", "state::adopt", "state::proofs"] },
    Reserved { name: "IsVerified", only_in: &["plan::evidence", "state::proofs", "state::store"] },
    Reserved { name: "IsRenamed", only_in: &["plan::relisted", "state::proofs", "state::store"] },
    Reserved { name: "IsResized", only_in: &["plan::relisted", "state::proofs", "state::store"] },
    Reserved { name: "IsListedAgain", only_in: &["plan::relisted", "state::proofs", "state::store"] },
];

/// Returns the tree of `src/`.
fn tree() -> &'static Tree {
    static TREE: LazyLock<Tree> = LazyLock::new(|| {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        Tree::read(&|file| fs::read_to_string(src.join(file)).ok()).unwrap()
    });
    &TREE
}

/// Returns the other crates that the paths in `src/` lead to, except for those in tests.
pub(crate) fn crates_of_src() -> BTreeSet<String> {
    let others = tree().references().filter_map(|reference| match reference.target {
        Target::Other(path) => path.into_iter().next(),
        Target::Ours { .. } => None,
    });
    others.collect()
}

/// Returns what paths in the Rust files below a directory begin with: other crates, as far as each file can tell.
pub(crate) fn roots_below(directory: &Path) -> BTreeSet<String> {
    sources_below(directory).iter().flat_map(Source::roots).cloned().collect()
}

/// Returns every identifier in the Rust files below a directory.
fn words_below(directory: &Path) -> BTreeSet<String> {
    sources_below(directory).into_iter().flat_map(Source::all_words).collect()
}

fn sources_below(directory: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources.append(&mut sources_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(Source::read(&fs::read_to_string(&path).unwrap()).unwrap());
        }
    }
    sources
}

#[test]
fn pure_rooms_name_nothing_that_acts() {
    let findings = purity::findings(tree(), &RULES);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn nothing_is_hidden_from_these_rules() {
    let findings = hidden::findings(tree());
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// The log's own lines bear the time of the machine.
#[test]
fn only_one_room_reads_the_clocks() {
    let findings = clocks::findings(tree(), "clock", &["cli::log_lines"]);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// The emitter says when a part that reports has failed.
#[test]
fn a_poll_logs_nothing_beside_its_events() {
    let findings = logs::findings(tree(), "poll", &["poll::emitter", "poll::emitter::log"]);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// HTML is escaped in a way of its own, and the redactor looks for secrets that were escaped by others.
#[test]
fn only_one_room_escapes_for_a_terminal() {
    let findings = escapes::findings(tree(), "text", &["client::redaction", "http::html"]);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn what_permits_a_deletion_is_named_only_where_it_belongs() {
    let findings = reserved::findings(tree(), RESERVED);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn no_modules_name_each_other_in_a_circle() {
    let findings = circles::findings(tree(), &[]);
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

/// Every name in `docs/architecture.md`, in the tour of `src/lib.rs` and in `docs/testing.md` exists. The last one may
/// also name what the tests consist of.
#[test]
fn the_pages_about_the_code_name_what_is_there() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_tests = words_below(&project.join("tests/it"));
    for page in ["docs/architecture.md", "src/lib.rs", "docs/testing.md"] {
        let text = fs::read_to_string(project.join(page)).unwrap();
        let told = if page.ends_with(".rs") {
            text.lines().filter_map(|line| line.strip_prefix("//!")).collect::<Vec<_>>().join("\n")
        } else {
            text
        };
        let has_file = |file: &str| project.join(file).exists();
        let is_fuzz_target = |name: &str| has_file(&format!("fuzz/fuzz_targets/{name}.rs"));
        let is_in_tests = |name: &str| name.split("::").all(|word| in_tests.contains(word)) || is_fuzz_target(name);
        let has_name = |name: &str| page == "docs/testing.md" && is_in_tests(name);
        let outside = names::Outside { has_file: &has_file, has_name: &has_name };
        let findings = names::findings(tree(), &told, &outside);
        assert!(findings.is_empty(), "{page}:\n{}", findings.join("\n"));
    }
}
