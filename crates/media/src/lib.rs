//! The media server: streams and tracks; knows no rooms, users or tokens.

pub mod audio;
