//! The service inside the test's own process, without other programs where it can be: Tencent's services emulated, calls
//! through the router, what is left behind, and the shape of the repository.

#![allow(clippy::unwrap_used, reason = "tests from end to end: whatever goes wrong fails them")]

#[path = "../emulator/mod.rs"]
mod emulator;

mod circles;
mod leaks;
mod plain;
mod shape;
mod tencent;
mod webrtc_room;

/// As in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
