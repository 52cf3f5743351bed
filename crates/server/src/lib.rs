//! RoomService: the backend of live streams and video rooms, in one process.

pub mod app;
pub mod bus;
pub mod chat;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod clouds;
pub mod config;
pub mod error;
pub mod figures;
pub mod gate;
pub mod hooks;
pub mod http;
pub mod identity;
pub mod import;
pub mod keys;
pub mod live;
pub mod logs;
pub mod operator;
pub mod recordings;
pub mod rooms;
pub mod sessions;
pub mod start;
pub mod store;
pub mod sweeper;
