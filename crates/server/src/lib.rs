//! RoomService: the backend of live streams and video rooms, in one process.

pub mod acts;
pub mod app;
pub mod bans;
pub mod bus;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod clouds;
pub mod config;
pub mod door;
pub mod drain;
pub mod error;
pub mod figures;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod gate;
pub mod hooks;
pub mod http;
pub mod identity;
pub mod import;
pub mod keys;
pub mod limits;
pub mod live;
pub mod metrics;
pub mod nodes;
pub mod operator;
pub mod process;
pub mod recordings;
pub mod reload;
pub mod rooms;
pub mod sessions;
pub mod start;
pub mod store;
pub mod supervisor;
pub mod sweeper;
pub mod usage;
pub mod webim;
pub mod ws;

// Tests in here and in `tests` share their emulator of services elsewhere, which calls this crate by its name.
#[cfg(test)]
extern crate self as roomservice;
#[cfg(test)]
#[path = "../tests/kit/bounded.rs"]
mod bounded;
#[cfg(test)]
#[path = "../tests/emulator/mod.rs"]
mod emulator;
