//! Tests of the built program, run as a user runs it: against scripted servers, and against a real Dovecot.
//!
//! First come the modules that support the tests, then one module for each kind of promise.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed, and says so by a panic"
)]

mod certificates;
mod delivered;
mod dovecot;
mod leaks;
mod mail;
mod program;
mod raw;
mod scripted;

mod servers;

mod addresses;
mod advice_is_in_one_room;
mod checks;
mod chunks;
mod completions;
mod configuration;
mod console;
mod containers;
mod credentials;
mod cuts;
mod daemon;
mod dependencies;
mod disk_full;
mod documents;
mod early_ends;
mod events;
mod evidence;
mod forward;
mod fuzz_seeds;
mod hostile;
mod hung_disks;
mod import;
mod isolation;
mod kills;
mod limits;
mod listings;
mod logins;
mod lost_state;
mod mechanisms;
mod memory;
mod modes;
mod numbers;
mod oauth;
mod old_words;
mod one_at_a_time;
mod order;
mod other_ports;
mod other_sizes;
mod plans;
mod progress;
mod proxies;
mod quarantine;
mod quirks;
mod real_server;
mod recognition;
mod refusals;
mod renumbering;
mod round_trips;
mod routing;
mod scarce_room;
mod schedule;
mod secrecy;
mod secrets_of_logins;
mod setup;
mod signals;
mod simulation;
mod skipping;
mod soak;
mod surroundings;
mod system_limits;
mod terminal;
mod tls;
mod tls_out_there;
mod uids;
mod units;
mod used_again;
mod verbose;
mod walls;
mod without_uidl;
mod wrong_certificates;
