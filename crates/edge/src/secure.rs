//! All that TLS in this process needs, put together: the certificate, and who renews it. Knows no connections.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::acme::{Acme, Answers};
use super::tls::{Certificate, PROOF, Settings, Tls};
use store::clock;

/// A certificate with what keeps it good.
#[derive(Clone)]
pub struct Secure {
    certificate: Arc<Certificate>,
    /// Who orders it, where that is we.
    pub acme: Option<Arc<Acme>>,
}

impl Secure {
    /// From files, or from what was ordered; none where no TLS is done.
    ///
    /// # Errors
    /// Files cannot be read or written. The text names the file.
    pub fn open(settings: &Settings, data_dir: &Path) -> io::Result<Option<Self>> {
        if settings.acme.is_on() {
            let acme = Acme::open(&settings.acme, data_dir, Arc::new(clock::System))?;
            return Ok(Some(Self { certificate: acme.certificate(), acme: Some(acme) }));
        }
        let open = || Ok(Self { certificate: Certificate::open(settings)?, acme: None });
        settings.is_on().then(open).transpose()
    }

    /// Handshakes of HTTP, and of authorities that look for a proof.
    ///
    /// # Errors
    /// As [`Tls::new`].
    pub fn https(&self) -> io::Result<Tls> {
        let protocols: [&[u8]; 3] = [b"h2", b"http/1.1", PROOF];
        Tls::new(&self.certificate, if self.acme.is_some() { &protocols } else { &protocols[..2] })
    }

    /// Handshakes of RTMP.
    ///
    /// # Errors
    /// As [`Tls::new`].
    pub fn rtmps(&self) -> io::Result<Tls> {
        Tls::new(&self.certificate, &[])
    }

    /// What plain HTTP answers to authorities.
    #[must_use]
    pub fn answers(&self) -> Option<Arc<Answers>> {
        self.acme.as_ref().map(|acme| acme.answers.clone())
    }

    /// When the certificate ends, in Unix seconds; 0 for one that no client trusts.
    #[must_use]
    pub fn ends(&self) -> u64 {
        let trusted = self.acme.as_ref().is_none_or(|acme| acme.is_given());
        self.certificate.term().filter(|_| trusted).map_or(0, |term| term.until)
    }

    /// Renews it, for ever. Authorities come to see us: the listeners must be there.
    pub async fn keep(self) {
        match self.acme {
            Some(acme) => acme.keep().await,
            None => self.certificate.keep().await,
        }
    }
}
