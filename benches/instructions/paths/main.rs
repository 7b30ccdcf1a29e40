//! The paths that every message, every line of a listing and every remembered entry takes, in instructions as callgrind
//! counts them. What prepares a path and what ends it is not counted. `README.md` says how to run and read it.

mod handshakes;
mod listings;
mod messages;
mod remembered;
mod samples;

use gungraun::{Callgrind, LibraryBenchmarkConfig, main};
use handshakes::handshaking;
use listings::listing;
use messages::retrieving;
use remembered::remembering;

main!(
    // Caches are not simulated: that takes three times as long, and the machine's own differ.
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = [retrieving, listing, remembering, handshaking]
);
