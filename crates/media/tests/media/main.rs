//! The media library from outside, over real sockets and with real ffmpeg.

#![allow(clippy::unwrap_used)] // Helper functions of tests are tests.

mod hevc;
mod mutated;
mod rtmp;
