//! The certificate for an address in a private network, which no authority vouches for: signed by an authority that is made
//! for it, whose key is thrown away, so that who trusts that authority trusts this one certificate and no other.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::OffsetDateTime;

use crate::tls::{Certificate, Settings};
use crate::write_private;

/// How long a certificate is good for, in days. Phones take no more than 825.
const DAYS: i64 = 30;
const DAY: i64 = 24 * 60 * 60;

/// The files of one address.
#[derive(Clone, Debug)]
pub struct Lan {
    certificate: PathBuf,
    key: PathBuf,
    authority: PathBuf,
}

impl Lan {
    /// Those in this directory.
    #[must_use]
    pub fn of(address: IpAddr, data_dir: &Path) -> Self {
        let dir = data_dir.join("lan").join(address.to_string());
        Self {
            certificate: dir.join("certificate.pem"),
            key: dir.join("key.pem"),
            authority: dir.join("authority.pem"),
        }
    }

    /// The certificate, and its authority as PEM. Made anew where there is none, or it ends within a week: a phone that was
    /// told to trust it need not be told at every start. `now` in Unix seconds.
    ///
    /// # Errors
    /// Files cannot be read or written. The text names the file.
    pub fn open(&self, address: IpAddr, now: i64) -> io::Result<(std::sync::Arc<Certificate>, String)> {
        let files = || Settings { certificate: self.certificate.clone(), key: self.key.clone(), ..Settings::default() };
        let found = || {
            let open = Certificate::open(&files()).ok()?;
            let until = i64::try_from(open.term()?.until).ok()?;
            (until > now + 7 * DAY).then_some((open, std::fs::read_to_string(&self.authority).ok()?))
        };
        if let Some(found) = found() {
            return Ok(found);
        }
        let [certificate, key, authority] = make(address, now).map_err(io::Error::other)?;
        if let Some(dir) = self.key.parent() {
            std::fs::create_dir_all(dir)?;
        }
        for (file, text) in [(&self.key, key), (&self.authority, authority.clone()), (&self.certificate, certificate)] {
            write_private(file, text.as_bytes())
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))?;
        }
        Ok((Certificate::open(&files())?, authority))
    }
}

/// Certificate, key and authority, as PEM.
fn make(address: IpAddr, now: i64) -> Result<[String; 3], rcgen::Error> {
    let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let named = |names: Vec<String>, name: &str| -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        // Clocks of phones may be late.
        params.not_before = at(now - DAY);
        params.not_after = at(now + DAYS * DAY);
        Ok(params)
    };
    let mut authority = named(Vec::new(), &format!("RoomService at {address}, for trying out"))?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let signs = KeyPair::generate()?;
    let vouches = authority.self_signed(&signs)?.pem();
    let issuer = Issuer::new(authority, signs);
    let mut leaf = named(vec![address.to_string()], &address.to_string())?;
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let signed = leaf.signed_by(&key, &issuer)?.pem();
    Ok([format!("{signed}{vouches}"), key.serialize_pem(), vouches])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn it_is_for_its_address_kept_for_weeks_and_its_authority_signs_nothing_more() {
        let dir = tempfile::tempdir().unwrap();
        let address = "192.168.1.5".parse().unwrap();
        let files = Lan::of(address, dir.path());
        let (_, authority) = files.open(address, NOW).unwrap();
        let (_, again) = files.open(address, NOW + 20 * DAY).unwrap();
        assert_eq!(authority, again, "phones that trust it go on");
        let (_, later) = files.open(address, NOW + 24 * DAY).unwrap();
        assert_ne!(authority, later, "it is renewed before it ends");
        assert_eq!(std::fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        let keys = walk(dir.path()).iter().filter(|text| text.contains("PRIVATE KEY")).count();
        assert_eq!(keys, 1, "the authority's key is kept nowhere");
        let checked = testkit::bounded::program("openssl")
            .args(["verify", "-purpose", "sslserver", "-verify_ip", "192.168.1.5", "-attime"])
            .arg((NOW + 25 * DAY).to_string())
            .arg("-CAfile")
            .args([&files.authority, &files.certificate])
            .output()
            .unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }

    fn walk(dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() { found.extend(walk(&path)) } else { found.push(std::fs::read_to_string(path).unwrap()) }
        }
        found
    }
}
