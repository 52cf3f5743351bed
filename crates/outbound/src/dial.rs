//! How a connection to a service comes about: TCP or TLS over the internet, or whatever else carries bytes.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
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

/// TCP, with TLS for `https`. Certificates are checked against the roots that Mozilla trusts, and those of an authority of one's own.
pub struct Internet(HttpsConnector<HttpConnector>);

impl Default for Internet {
    fn default() -> Self {
        Self::with_roots(mozilla())
    }
}

fn mozilla() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

impl Internet {
    /// Trusts the authorities of a PEM file too, for servers inside a company.
    ///
    /// # Errors
    /// The file cannot be read, or holds no certificate.
    pub fn trusting(file: &Path) -> io::Result<Self> {
        let bad = |why: &dyn fmt::Display| io::Error::new(io::ErrorKind::InvalidData, why.to_string());
        let mut roots = mozilla();
        let before = roots.len();
        for one in CertificateDer::pem_slice_iter(&std::fs::read(file)?) {
            roots.add(one.map_err(|e| bad(&e))?).map_err(|e| bad(&e))?;
        }
        if roots.len() == before {
            return Err(bad(&"there is no certificate in it"));
        }
        Ok(Self::with_roots(roots))
    }

    fn with_roots(roots: RootCertStore) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(60)));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("this provider has the versions of TLS that are safe");
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let tls = HttpsConnectorBuilder::new().with_tls_config(config);
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
