//! A whole world in memory: a disk whose plug can be pulled, servers, a clock, and a process that can be killed.
//!
//! [`storage`] and [`disk`] are the disk, [`server`] the servers, [`clock`] the time; [`world`] puts them together and
//! [`script`] says what happens in it. [`verdict`] knows what must be true afterwards. The tests proper are [`append`] (a journal that goes on), [`matrix`]
//! (every operation of the disk goes wrong in every way), [`network`] (every byte is the last one) and [`places`] (disks
//! that are not there or cannot sync). `docs/durability-proof.md` tells what this proves.

mod clock;
mod dialogue;
mod disk;
mod fault;

mod power;
mod server;
mod storage;
mod world;

mod script;
mod verdict;

mod append;
mod jobs;
mod matrix;
mod network;
mod places;
