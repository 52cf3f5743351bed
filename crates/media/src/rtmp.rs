//! RTMP: publish and play. Handshake, chunks and AMF0 are machines over bytes; [`Session`] is the server's side of a
//! connection as a machine; [`serve()`] owns the sockets; [`client`] is the other side.
//!
//! Sources: Adobe's RTMP specification 1.0, AMF0 specification, Enhanced RTMP (Veovera); the digest handshake by what
//! players send.

pub mod amf0;
mod ask;
pub mod chunk;
pub mod client;
pub mod handshake;
mod kind;
mod link;
mod message;
pub mod mux;
mod play;
pub mod serve;
pub mod session;
mod socket;
mod target;

pub use serve::{Limits, serve, serve_each};
pub use session::Session;
pub use socket::{Accepted, Duplex, Socket};
