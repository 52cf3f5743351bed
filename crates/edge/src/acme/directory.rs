//! The HTTP client that the ACME protocol is spoken over: HTTPS only, bounded in time and size. Knows nothing of orders.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

use super::Settings;
use crate::tls::provider;

/// The longest that a request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer, in bytes: a chain of certificates is some kilobytes.
const LARGEST: usize = 512 * 1024;

/// No answer came; it may come another time.
#[derive(Debug)]
pub(super) struct Away(String);

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the authority cannot be reached: {}", self.0)
    }
}

impl std::error::Error for Away {}

/// An authority's HTTP server.
pub(super) struct Directory(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl Directory {
    /// # Errors
    /// `directory_ca` cannot be read.
    pub(super) fn new(settings: &Settings) -> io::Result<Self> {
        let file = &settings.directory_ca;
        let builder = if file.as_os_str().is_empty() {
            HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider()).map_err(io::Error::other)?
        } else {
            let named =
                |e: &dyn fmt::Display| io::Error::other(format!("tls.acme.directory_ca {}: {e}", file.display()));
            let mut roots = RootCertStore::empty();
            for one in CertificateDer::pem_file_iter(file).map_err(|e| named(&e))? {
                roots.add(one.map_err(|e| named(&e))?).map_err(|e| named(&e))?;
            }
            let config = ClientConfig::builder_with_provider(provider().into()).with_safe_default_protocol_versions();
            let config = config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(config)
        };
        Ok(Self(Client::builder(TokioExecutor::new()).build(builder.https_only().enable_http1().build())))
    }
}

impl HttpClient for Directory {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let away = |why: String| Error::Other(Box::new(Away(why)));
        let answer = self.0.request(request);
        let exchange = async move {
            let (parts, body) = answer.await.map_err(|e| away(causes(&e)))?.into_parts();
            if parts.status.is_server_error() {
                return Err(away(format!("HTTP status {}", parts.status.as_u16())));
            }
            let body = Limited::new(body, LARGEST).collect().await.map_err(|e| away(e.to_string()))?.to_bytes();
            Ok(BytesResponse { parts, body: Box::new(body) })
        };
        Box::pin(async move {
            tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_| Err(away("no answer in time".into())))
        })
    }
}

/// An error with what it came from: the outermost says only that it did not work.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
