//! What an RTMP connection is carried by: a TCP socket, or something around one (TLS). Knows no protocol.

use std::any::Any;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Reads and writes.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Either kind.
pub enum Socket {
    /// The plain socket; nearly all of them, so without an indirection.
    Tcp(TcpStream),
    /// Whatever else.
    Other(Box<dyn Duplex>),
}

/// A connection that somebody else accepted.
pub struct Accepted {
    /// The connection.
    pub socket: Socket,
    /// Whose it is.
    pub peer: SocketAddr,
    /// Dropped when the connection ends.
    pub held: Box<dyn Any + Send>,
}

impl Socket {
    /// Nothing waits for more, and the kernel buffers this much.
    pub(super) fn prepare(&self, send_buffer: usize) {
        if let Self::Tcp(socket) = self {
            // Bursts are written whole: nothing is gained by waiting for more.
            let _ = socket.set_nodelay(true);
            let _ = socket2::SockRef::from(socket).set_send_buffer_size(send_buffer);
        }
    }
}

macro_rules! either {
    ($self:ident, $socket:ident => $then:expr) => {
        match $self.get_mut() {
            Socket::Tcp(socket) => {
                let $socket = Pin::new(socket);
                $then
            }
            Socket::Other(other) => {
                let $socket = Pin::new(&mut **other);
                $then
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, socket => socket.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, socket => socket.poll_write_vectored(cx, slices))
    }
}
