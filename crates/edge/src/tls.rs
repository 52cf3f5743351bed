//! TLS in this process: the certificate's files, read again when they change, and handshakes. Knows no protocol inside.

use std::collections::HashMap;
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

use super::acme;

/// How often it is looked whether the certificate was renewed.
const LOOK: Duration = Duration::from_secs(30);

/// The protocol by which an authority asks for proof (RFC 8737).
pub const PROOF: &[u8] = b"acme-tls/1";

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
    /// Where plain HTTP is redirected to HTTPS; empty: nowhere.
    pub redirect_listen: String,
    /// A certificate that the server fetches itself.
    pub acme: acme::Settings,
}

impl Settings {
    /// Whether HTTP is served over TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty() || self.acme.is_on()
    }

    /// Adds what is wrong with these settings.
    pub fn problems(&self, found: &mut Vec<String>) {
        let files = [&self.certificate, &self.key].map(|file| !file.as_os_str().is_empty());
        if files[0] != files[1] {
            found.push("tls.certificate and tls.key must be set together".into());
        }
        if files[0] && self.acme.is_on() {
            found.push("tls.certificate and tls.acme.domains are two ways to one certificate: set one of them".into());
        }
        let named =
            [("certificate", &self.certificate), ("key", &self.key), ("acme.directory_ca", &self.acme.directory_ca)];
        for (name, file) in named.into_iter().filter(|(_, file)| !file.as_os_str().is_empty()) {
            if let Err(why) = std::fs::File::open(file) {
                found.push(format!("tls.{name} = \"{}\" cannot be read: {why}", file.display()));
            }
        }
        self.acme.problems(!self.redirect_listen.is_empty(), found);
        for (name, listen) in [("rtmps_listen", &self.rtmps_listen), ("redirect_listen", &self.redirect_listen)] {
            if !listen.is_empty() && listen.parse::<std::net::SocketAddr>().is_err() {
                found.push(format!(
                    "tls.{name} = \"{listen}\" must be address:port, such as \"0.0.0.0:8443\", or empty"
                ));
            }
            if !listen.is_empty() && !self.is_on() {
                found.push(format!("tls.{name} needs tls.certificate and tls.key, or tls.acme.domains"));
            }
        }
    }
}

/// The certificate of now.
#[derive(Debug)]
pub struct Certificate {
    /// Where it is read from; none: it is handed over (`acme.rs`).
    files: Option<[PathBuf; 2]>,
    current: RwLock<Arc<CertifiedKey>>,
    /// Proof for an authority that asks whether a name leads here (RFC 8737), by name.
    proofs: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Such a proof says nothing about who we are, so no other client gets it, and who asks for one gets nothing else.
        if hello.alpn().is_some_and(|mut offered| offered.next() == Some(PROOF) && offered.next().is_none()) {
            return self.proofs.read().get(&hello.server_name()?.to_ascii_lowercase()).cloned();
        }
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
        let current = load(&files)?;
        Ok(Arc::new(Self { files: Some(files), ..Self::held(current) }))
    }

    /// One that others renew with [`Certificate::set`].
    pub(super) fn held(current: Arc<CertifiedKey>) -> Self {
        Self { files: None, current: RwLock::new(current), proofs: RwLock::default() }
    }

    /// Another one from the next handshake on.
    pub(super) fn set(&self, new: Arc<CertifiedKey>) {
        *self.current.write() = new;
    }

    /// When its time begins and ends, and the names that it is for; `None` where it cannot be read.
    #[must_use]
    pub fn term(&self) -> Option<Term> {
        Term::of(self.current.read().cert.first()?)
    }

    /// Proves from now on that this name leads here; nothing: no more.
    pub(super) fn prove(&self, name: &str, proof: Option<Arc<CertifiedKey>>) {
        let mut proofs = self.proofs.write();
        match proof {
            Some(proof) => _ = proofs.insert(name.to_ascii_lowercase(), proof),
            None => _ = proofs.remove(&name.to_ascii_lowercase()),
        }
    }

    /// Reads the files again.
    ///
    /// # Errors
    /// As [`Certificate::open`]; the one before stays.
    fn reload(&self, files: &[PathBuf; 2]) -> io::Result<()> {
        self.set(load(files)?);
        Ok(())
    }

    /// Reads the files again whenever they change, for ever.
    pub async fn keep(self: Arc<Self>) {
        let Some(files) = self.files.clone() else { return };
        let mut known = stamps(&files);
        loop {
            tokio::time::sleep(LOOK).await;
            let certificate = self.clone();
            let files = files.clone();
            let seen = known;
            let looked = tokio::task::spawn_blocking(move || {
                let now = stamps(&files);
                (now != seen).then(|| (now, certificate.reload(&files)))
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

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// From when it is good, in Unix seconds.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// The DNS names that it is for, in order.
    pub names: Vec<String>,
}

impl Term {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        use x509_cert::der::Decode;
        use x509_cert::ext::pkix::{SubjectAltName, name::GeneralName};
        let read = x509_cert::Certificate::from_der(certificate).ok()?;
        let read = read.tbs_certificate();
        let names = read.get_extension::<SubjectAltName>().ok()?.map_or_else(Vec::new, |(_, names)| names.0);
        let dns = |name| if let GeneralName::DnsName(name) = name { Some(name.to_string()) } else { None };
        let mut names: Vec<String> = names.into_iter().filter_map(dns).collect();
        names.sort();
        let unix = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
        let validity = read.validity();
        Some(Self { from: unix(validity.not_before), until: unix(validity.not_after), names })
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
    certified(chain, private).map_err(|e| named(key, e.to_string()))
}

/// A chain with its key, if they belong together.
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    CertifiedKey::from_der(chain, key, &provider()).map(Arc::new)
}

/// The same where nobody looks into the certificate: the mark of a proof (RFC 8737) must be one that whoever does not know it
/// refuses, and rustls refuses it, here too.
pub(super) fn unchecked(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let key = provider().key_provider.load_private_key(key)?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate], key)))
}

pub(super) fn provider() -> CryptoProvider {
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
        let made = testkit::bounded::program("openssl")
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
            let mut settings = Settings::default();
            let mut found = Vec::new();
            set(&mut settings);
            settings.problems(&mut found);
            found.len()
        };
        assert_eq!(problems(|_| {}), 0);
        assert_eq!(problems(|s| s.certificate = "Cargo.toml".into()), 1);
        assert_eq!(problems(|s| s.key = "Cargo.toml".into()), 1);
        assert_eq!(problems(|s| s.rtmps_listen = "127.0.0.1:443".into()), 1);
        assert_eq!(problems(|s| s.redirect_listen = "nowhere".into()), 2);
    }
}
