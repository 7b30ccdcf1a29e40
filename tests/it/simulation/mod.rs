//! A whole world in memory: a disk whose plug can be pulled, servers, a clock, and a process that can be killed.
//!
//! [`storage`], [`power`], [`fault`] and [`disk`] are the disk, [`server`], [`dialogue`] and [`destination`] the servers,
//! [`clock`] the time; [`world`] puts them together, and [`script`] says what happens in it. [`verdict`] knows what must be true
//! afterwards. The tests proper are [`matrix`] (every operation of the disk goes wrong in every way), [`network`] (every
//! byte is the last one), [`places`] (disks that are not there, cannot sync or have no links), [`meddling`] (others at
//! work on the same files), [`append`] (a journal that goes on behind a failure), [`forgetting`],
//! [`forwarding`] (what waits in a spool, and goes on) and [`stories`]
//! (everything at once, out of seeds). `docs/durability.md` tells what this proves and how to repeat one case.

mod clock;
mod destination;
mod dialogue;
mod disk;
mod fault;
mod power;
mod server;
mod sizes;
mod storage;
mod world;

mod script;
mod verdict;

mod append;
mod forgetting;
mod forwarding;
mod jobs;
mod matrix;
mod meddling;
mod network;
mod places;
mod stories;
