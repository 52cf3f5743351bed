//! The real program, and real programs against it: ffmpeg, curl, Redis, nginx, Prometheus, an authority of certificates. Each
//! test starts servers of its own, on ports and in directories of their own, and runs beside others.

#![allow(clippy::unwrap_used, reason = "tests from end to end: whatever goes wrong fails them")]

mod kit;

#[path = "../emulator/mod.rs"]
mod emulator;

mod acme;
mod api;
mod audiences;
mod changes;
mod clouds;
mod deploy;
mod encoders;
mod figures;
mod kill;
mod limits;
mod loopback;
mod mixes;
mod moves;
mod nodes;
mod program;
mod readme;
mod recorded;
mod restart;
mod rights;
mod story;
mod streams;
mod tls;
mod told;
mod tracks;
mod webhooks;
