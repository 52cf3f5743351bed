//! What an RTMP connection is carried by: a TCP socket, or something around one (TLS). Knows no protocol.

use std::any::Any;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::either::Either;

/// Reads and writes.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The plain socket on the left: nearly all of them, so without an indirection. Anything else on the right.
pub type Socket = Either<TcpStream, Box<dyn Duplex>>;

/// A connection that was accepted before.
pub struct Accepted {
    /// The connection.
    pub socket: Socket,
    /// Whose it is.
    pub peer: SocketAddr,
    /// Dropped when the connection ends.
    pub held: Box<dyn Any + Send>,
}

/// Nothing waits for more, and the kernel buffers this much.
pub(super) fn prepare(socket: &Socket, send_buffer: usize) {
    if let Either::Left(socket) = socket {
        // Bursts are written whole: nothing is gained by waiting for more.
        let _ = socket.set_nodelay(true);
        let _ = socket2::SockRef::from(socket).set_send_buffer_size(send_buffer);
    }
}
