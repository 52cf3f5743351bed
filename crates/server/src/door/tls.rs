//! TLS in this process: the certificate's files, read again when they change, and handshakes. Knows no protocol inside.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often it is looked whether the certificate was renewed.
const LOOK: Duration = Duration::from_secs(30);

/// `[tls]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// PEM file of the certificate and those that lead to its authority. Empty: no TLS here.
    pub certificate: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
    /// Where RTMP over TLS is taken; empty: nowhere.
    pub rtmps_listen: String,
    /// Where plain HTTP is told to come by HTTPS; empty: nowhere.
    pub redirect_listen: String,
}

impl Settings {
    /// Whether HTTP is served over TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    pub(crate) fn problems(&self, found: &mut Vec<String>) {
        if self.is_on() == self.key.as_os_str().is_empty() {
            found.push("tls.certificate and tls.key must be set together".into());
        }
        for (name, listen) in [("rtmps_listen", &self.rtmps_listen), ("redirect_listen", &self.redirect_listen)] {
            if !listen.is_empty() && listen.parse::<std::net::SocketAddr>().is_err() {
                found.push(format!("tls.{name} = \"{listen}\" must be address:port, or empty"));
            }
            if !listen.is_empty() && !self.is_on() {
                found.push(format!("tls.{name} needs tls.certificate and tls.key"));
            }
        }
    }
}

/// The certificate of now.
#[derive(Debug)]
pub struct Certificate {
    files: [PathBuf; 2],
    current: RwLock<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().clone())
    }
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// They cannot be read, or do not belong together. The text names the file.
    pub fn open(settings: &Settings) -> io::Result<Arc<Self>> {
        let files = [settings.certificate.clone(), settings.key.clone()];
        let current = RwLock::new(load(&files)?);
        Ok(Arc::new(Self { files, current }))
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// As [`Certificate::open`]; the one before stays.
    pub fn reload(&self) -> io::Result<()> {
        let new = load(&self.files)?;
        *self.current.write() = new;
        Ok(())
    }

    /// Reads the files again whenever they change, for ever.
    pub async fn keep(self: Arc<Self>) {
        let mut known = stamps(&self.files);
        loop {
            tokio::time::sleep(LOOK).await;
            let (certificate, seen) = (self.clone(), known);
            let looked = tokio::task::spawn_blocking(move || {
                let now = stamps(&certificate.files);
                (now != seen).then(|| (now, certificate.reload()))
            });
            match looked.await {
                Ok(Some((now, Ok(())))) => {
                    known = now;
                    tracing::info!("the TLS certificate was renewed");
                }
                // Perhaps only one of the two is written yet: looked at again.
                Ok(Some((_, Err(error)))) => tracing::warn!(%error, "the new TLS certificate cannot be used yet"),
                Ok(None) | Err(_) => {}
            }
        }
    }
}

fn stamps(files: &[PathBuf; 2]) -> [Option<(SystemTime, u64)>; 2] {
    let stamp = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    [stamp(&files[0]), stamp(&files[1])]
}

fn load([certificate, key]: &[PathBuf; 2]) -> io::Result<Arc<CertifiedKey>> {
    let named =
        |path: &Path, why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()));
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|e| named(certificate, e.to_string()))?;
    if chain.is_empty() {
        return Err(named(certificate, "holds no certificate".into()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| named(key, e.to_string()))?;
    let found = CertifiedKey::from_der(chain, private, &provider());
    found.map(Arc::new).map_err(|e| named(key, e.to_string()))
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// Makes handshakes.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// With a certificate, for protocols that are agreed on in the handshake.
    ///
    /// # Errors
    /// The cryptography there is does not do TLS 1.2 and 1.3.
    pub fn new(certificate: &Arc<Certificate>, protocols: &[&[u8]]) -> io::Result<Self> {
        let builder = ServerConfig::builder_with_provider(Arc::new(provider()));
        let builder = builder.with_protocol_versions(&[&version::TLS13, &version::TLS12]).map_err(io::Error::other)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(certificate.clone());
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Makes one; not bounded in time.
    ///
    /// # Errors
    /// The peer does not speak TLS, or leaves.
    pub async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.0.accept(socket).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path) {
        let made = std::process::Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost".split(' '))
            .arg("-keyout")
            .arg(dir.join("key.pem"))
            .arg("-out")
            .arg(dir.join("certificate.pem"))
            .stderr(std::process::Stdio::null())
            .status();
        assert!(made.unwrap().success());
    }

    #[tokio::test(start_paused = true)]
    async fn renewed_files_are_taken_and_half_renewed_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        let files = ["certificate.pem", "key.pem"].map(|name| dir.path().join(name));
        let [certificate, key] = files.clone();
        let open = Certificate::open(&Settings { certificate, key, ..Settings::default() }).unwrap();
        let now = || open.current.read().cert[0].clone();
        let first = now();
        tokio::spawn(open.clone().keep());
        tokio::time::sleep(LOOK * 3).await;
        assert_eq!(now(), first);
        // One of two files: the old certificate stays.
        let old = std::fs::read(&files[1]).unwrap();
        write(dir.path());
        let new = std::fs::read(&files[1]).unwrap();
        std::fs::write(&files[1], [old, vec![b'\n']].concat()).unwrap();
        tokio::time::sleep(LOOK * 3).await;
        assert_eq!(now(), first);
        std::fs::write(&files[1], new).unwrap();
        while now() == first {
            tokio::time::sleep(LOOK).await;
        }
        std::fs::remove_file(&files[0]).unwrap();
        let second = now();
        tokio::time::sleep(LOOK * 3).await;
        assert_eq!(now(), second);
    }

    #[test]
    fn half_of_it_is_no_setting() {
        let problems = |set: fn(&mut Settings)| {
            let (mut settings, mut found) = (Settings::default(), Vec::new());
            set(&mut settings);
            settings.problems(&mut found);
            found.len()
        };
        assert_eq!(problems(|_| {}), 0);
        assert_eq!(problems(|s| s.certificate = "a".into()), 1);
        assert_eq!(problems(|s| s.key = "a".into()), 1);
        assert_eq!(problems(|s| s.rtmps_listen = "127.0.0.1:443".into()), 1);
        assert_eq!(problems(|s| s.redirect_listen = "nowhere".into()), 2);
    }
}
