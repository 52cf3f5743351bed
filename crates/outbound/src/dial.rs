//! How a connection to a service comes about: TCP or TLS over the internet, or whatever else carries bytes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use tower::Service;

/// Bytes in both directions.
pub trait Socket: Read + Write + Send + Unpin + 'static {}
impl<T: Read + Write + Send + Unpin + 'static> Socket for T {}

/// What connecting gives.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Socket>>> + Send>>;

/// A way to connect to the host of a URL.
pub trait Dial: Send + Sync + 'static {
    /// Connects. The caller bounds the time.
    fn dial(&self, url: &Uri) -> Connecting;
}

/// TCP, with TLS for `https`. Certificates are checked against the roots that Mozilla trusts.
pub struct Internet(HttpsConnector<HttpConnector>);

impl Default for Internet {
    fn default() -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
            .expect("this provider has the versions of TLS that are safe");
        Self(tls.https_or_http().enable_http1().wrap_connector(tcp))
    }
}

impl Dial for Internet {
    fn dial(&self, url: &Uri) -> Connecting {
        let mut connector = self.0.clone();
        let url = url.clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| connector.poll_ready(cx)).await.map_err(io::Error::other)?;
            let stream = connector.call(url).await.map_err(io::Error::other)?;
            Ok(Box::new(stream) as Box<dyn Socket>)
        })
    }
}

/// A [`Dial`] as the client library wants it.
#[derive(Clone)]
pub(super) struct Dialer(Arc<dyn Dial>);

impl Dialer {
    pub(super) fn new(dial: impl Dial) -> Self {
        Self(Arc::new(dial))
    }
}

impl Service<Uri> for Dialer {
    type Response = Dialed;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Dialed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.0.dial(&url);
        Box::pin(async move { connecting.await.map(Dialed) })
    }
}

/// A connection.
pub(super) struct Dialed(Box<dyn Socket>);

impl Connection for Dialed {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Dialed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buffer)
    }
}

impl Write for Dialed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write_vectored(cx, bytes)
    }
}
