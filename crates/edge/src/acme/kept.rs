//! What is kept of an authority in `data_dir/acme`: the account's key, and the certificate with its own. Readable by their
//! owner only; written whole or not at all.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use instant_acme::AccountCredentials;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};

use crate::{tls, write_private};

/// Where it is kept.
pub(super) struct Kept(PathBuf);

/// An account, and whose.
#[derive(Serialize, Deserialize)]
struct Account {
    directory: String,
    credentials: AccountCredentials,
}

impl Kept {
    pub(super) fn open(data_dir: &Path) -> io::Result<Self> {
        let dir = data_dir.join("acme");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(Self(dir))
    }

    /// What may be there already. Makes nothing.
    pub(super) fn there(data_dir: &Path) -> Self {
        Self(data_dir.join("acme"))
    }

    fn account_file(&self) -> PathBuf {
        self.0.join("account.json")
    }

    fn certificate_file(&self) -> PathBuf {
        self.0.join("certificate.pem")
    }

    /// The account at this authority, if there is one.
    pub(super) fn account(&self, directory: &str) -> io::Result<Option<AccountCredentials>> {
        let path = self.account_file();
        let Some(text) = read(&path)? else { return Ok(None) };
        let found: Account = serde_json::from_slice(&text).map_err(|e| {
            io::Error::other(format!("{}: {e}; remove the file to have a new account made", path.display()))
        })?;
        Ok((found.directory == directory).then_some(found.credentials))
    }

    pub(super) fn keep_account(&self, directory: &str, credentials: AccountCredentials) -> io::Result<()> {
        let account = Account { directory: directory.to_owned(), credentials };
        write_private(&self.account_file(), &serde_json::to_vec(&account)?)
    }

    /// The authority knows the account no more.
    pub(super) fn forget_account(&self) -> io::Result<()> {
        std::fs::remove_file(self.account_file())
    }

    /// The certificate that came from this authority, if there is one.
    pub(super) fn certificate(&self, directory: &str) -> io::Result<Option<Arc<CertifiedKey>>> {
        let path = self.certificate_file();
        let Some(text) = read(&path)? else { return Ok(None) };
        if !text.starts_with(origin(directory).as_bytes()) {
            return Ok(None);
        }
        parse(&text).map(Some).map_err(|e| io::Error::other(format!("{}: {e}", path.display())))
    }

    /// Keeps key and chain: in one file, because one without the other is nothing.
    pub(super) fn keep_certificate(&self, directory: &str, pem: &str) -> io::Result<()> {
        write_private(&self.certificate_file(), format!("{}{pem}", origin(directory)).as_bytes())
    }
}

/// What stands before the PEM blocks: a certificate of a test authority must not stay when another is configured.
fn origin(directory: &str) -> String {
    format!("Ordered by roomservice at {directory}\n")
}

/// Key and chain out of one PEM text.
pub(super) fn parse(pem: &[u8]) -> io::Result<Arc<CertifiedKey>> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(io::Error::other)?;
    if chain.is_empty() {
        return Err(io::Error::other("holds no certificate"));
    }
    tls::certified(chain, key).map_err(io::Error::other)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
