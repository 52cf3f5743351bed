//! RoomService: the backend of live streams and video rooms, in one process.

// They panic where nobody reads any more: `print` does not.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod about;
pub mod chat_door;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod drain;
pub mod figures;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod greeting;
pub mod http;
pub mod keys;
pub mod lan;
pub mod load;
pub mod metrics;
pub mod parts;
pub mod plan;
pub mod print;
pub mod process;
pub mod reload;
pub mod report;
mod said;
pub mod setup;
pub mod start;
pub mod supervisor;
pub mod usage;
pub mod web;
pub mod webim;
pub mod webrtc;
pub mod ws;

// Tests in here and in `tests` share their emulator of services elsewhere, which calls this crate by its name.
#[cfg(test)]
extern crate self as roomservice;
#[cfg(test)]
#[path = "../tests/emulator/mod.rs"]
mod emulator;
