//! TLS as a client sees it: which certificate is shown at an address, and whether browsers would take it. Lets every certificate
//! pass, so nothing may be sent over what is opened here.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tls::{Term, provider};

/// What was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its time and its names, where they can be read.
    pub term: Option<Term>,
    /// Whether it leads to an authority that browsers know (Mozilla's list).
    pub known: bool,
    /// What else is wrong with it for this name, its time and names included.
    pub wrong: Option<String>,
}

/// Makes a handshake as a client of `host` does, and leaves. Not bounded in time.
///
/// # Errors
/// No TLS is spoken there, or the host is no name that TLS knows.
pub async fn shown(socket: TcpStream, host: &str) -> io::Result<Shown> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let by = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider())).build();
    let looks = Arc::new(Looks { by: by.map_err(io::Error::other)?, seen: Mutex::default() });
    let builder = ClientConfig::builder_with_provider(Arc::new(provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let config = builder.dangerous().with_custom_certificate_verifier(looks.clone()).with_no_client_auth();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    let seen = looks.seen.lock().take();
    seen.ok_or_else(|| io::Error::other("no certificate was shown"))
}

/// Takes every certificate, and notes what it is.
#[derive(Debug)]
struct Looks {
    by: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<Shown>>,
}

impl ServerCertVerifier for Looks {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let judged = self.by.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let error = judged.err();
        let known = !matches!(error, Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
        let wrong = error.filter(|_| known).map(|error| error.to_string());
        *self.seen.lock() = Some(Shown { term: Term::of(end_entity), known, wrong });
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by.supported_verify_schemes()
    }
}
