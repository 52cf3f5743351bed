//! A connection after the door: plain, or with TLS around it.

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// The socket itself on the left; TLS over it on the right, boxed: it is large, and most deployments leave TLS to a proxy.
pub type Wire = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Whether it is encrypted on the way.
#[must_use]
pub const fn is_secure(wire: &Wire) -> bool {
    matches!(wire, Either::Right(_))
}

/// Whether both sides agreed on HTTP/2.
#[must_use]
pub fn is_http2(wire: &Wire) -> bool {
    matches!(wire, Either::Right(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
}
