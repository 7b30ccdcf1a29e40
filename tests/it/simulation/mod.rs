//! A whole world in memory: a disk whose power can be cut, servers, a clock, and a process that can be killed.
//!
//! [`storage`], [`power`], [`fault`] and [`disk`] are the disk, [`server`], [`dialogue`] and [`destination`] the
//! servers, [`clock`] the time; [`world`] puts them together, and [`script`] says what happens in it. [`verdict`] knows
//! what must be true afterwards. The tests proper are [`matrix`] (every operation of the disk fails in every way),
//! [`network`] (the connection breaks after every byte), [`places`] (disks that are missing, cannot sync or have no
//! links), [`meddling`] (others change the same files), [`append`] (a journal that continues after a failure),
//! [`forgetting`] (what takes days), [`forwarding`] (mail forwarded from a spool) and [`stories`] (everything at once,
//! from seeds). `docs/durability.md` says what this proves and how to repeat a single case.

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
