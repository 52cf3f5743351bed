//! Version 1: the members signed with a private key, SHA-256 throughout. The curve is P-256 or
//! secp256k1; RSA is what the OpenSSL-based libraries do with an RSA key (PKCS#1 v1.5).

use super::members::{Checked, Members};
use super::{Claims, Expected, Grant, Version, outer};
use crate::{BadKey, Invalid, Secret, pem};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use k256::ecdsa::signature::{Signer, Verifier};
use k256::ecdsa::{Signature as K1Signature, SigningKey, VerifyingKey};
use k256::pkcs8::{DecodePrivateKey, DecodePublicKey};
use std::fmt;

/// What official libraries of the last published kind write; not part of what is signed.
const LIBRARY_VERSION: &str = "201803230000";
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
const RSA_SIZE: BadKey = BadKey("an RSA key must have 2048 to 4096 bits");
const BAD_PRIVATE: BadKey =
    BadKey("the private key is damaged or of a kind not supported: use P-256, secp256k1 or RSA");
const BAD_PUBLIC: BadKey = BadKey("the public key is damaged or of a kind not supported: use P-256, secp256k1 or RSA");

/// A key that signs. `Debug` shows its kind only.
pub struct PrivateKey(Private);

enum Private {
    P256(EcdsaKeyPair),
    /// aws-lc verifies this curve at a third of the speed: 178 against 59 µs.
    K1(Box<SigningKey>),
    Rsa(Box<rsa::KeyPair>),
}

/// A key that verifies.
#[derive(Clone)]
pub struct PublicKey(Public);

#[derive(Clone)]
enum Public {
    P256(ParsedPublicKey),
    K1(Box<VerifyingKey>),
    Rsa(ParsedPublicKey),
}

/// A new pair as PEM texts, for key files.
pub struct Generated {
    /// PKCS#8, as Tencent's console gives it.
    pub private_pem: Secret,
    /// SubjectPublicKeyInfo.
    pub public_pem: String,
}

impl PrivateKey {
    /// Reads PKCS#8 (`PRIVATE KEY`), SEC1 (`EC PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`). Line ends
    /// may be missing or written as `\n`, as in configuration files.
    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        let block = pem::read(text)?;
        let der = &block.der;
        let key = match block.label {
            "PRIVATE KEY" => p256(der).or_else(|| {
                let k1 = SigningKey::from_pkcs8_der(der).ok().map(|key| Private::K1(Box::new(key)));
                k1.or_else(|| rsa(rsa::KeyPair::from_pkcs8(der)))
            }),
            "EC PRIVATE KEY" => {
                // A SEC1 block names its curve or means P-256, so the order matters.
                p256(der).or_else(|| k1_sec1(der))
            }
            "RSA PRIVATE KEY" => rsa(rsa::KeyPair::from_der(der)),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => {
                return Err(BadKey("this is a public key; a private key is needed here"));
            }
            _ => None,
        };
        match key.ok_or(BAD_PRIVATE)? {
            Private::Rsa(key) if !RSA_BYTES.contains(&key.public_modulus_len()) => Err(RSA_SIZE),
            key => Ok(PrivateKey(key)),
        }
    }

    /// A new P-256 pair, for first start in development mode and for `keygen`.
    pub fn generate_p256() -> Generated {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .expect("making a P-256 key needs only random bytes");
        let private = key.to_pkcs8v1().expect("a key just made can be written");
        let public = key.public_key().as_der().expect("a key just made can be written");
        Generated {
            private_pem: Secret::new(pem::write("PRIVATE KEY", private.as_ref())),
            public_pem: pem::write("PUBLIC KEY", public.as_ref()),
        }
    }

    /// The key that verifies what this one signs.
    pub fn public_key(&self) -> PublicKey {
        const WHOLE: &str = "a pair that was read holds a whole public key";
        PublicKey(match &self.0 {
            Private::P256(key) => {
                Public::P256(ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.public_key().as_ref()).expect(WHOLE))
            }
            Private::K1(key) => Public::K1(Box::new(*key.verifying_key())),
            Private::Rsa(key) => {
                Public::Rsa(ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref()).expect(WHOLE))
            }
        })
    }

    fn sign(&self, content: &[u8]) -> Vec<u8> {
        const SIGNS: &str = "a whole key signs any message";
        match &self.0 {
            Private::P256(key) => key.sign(&SystemRandom::new(), content).expect(SIGNS).as_ref().to_vec(),
            Private::K1(key) => {
                let signature: K1Signature = key.sign(content);
                signature.to_der().as_bytes().to_vec()
            }
            Private::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), content, &mut signature).expect(SIGNS);
                signature
            }
        }
    }
}

fn p256(der: &[u8]) -> Option<Private> {
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der).ok().map(Private::P256)
}

fn k1_sec1(der: &[u8]) -> Option<Private> {
    let key = k256::SecretKey::from_sec1_der(der).ok()?;
    Some(Private::K1(Box::new(SigningKey::from(key))))
}

fn rsa(key: Result<rsa::KeyPair, aws_lc_rs::error::KeyRejected>) -> Option<Private> {
    key.ok().map(|key| Private::Rsa(Box::new(key)))
}

impl PublicKey {
    /// Reads SubjectPublicKeyInfo (`PUBLIC KEY`) or PKCS#1 (`RSA PUBLIC KEY`), with the same tolerance
    /// for line ends as the private key.
    pub fn from_pem(text: &str) -> Result<Self, BadKey> {
        let block = pem::read(text)?;
        let der = &block.der;
        match block.label {
            "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
            "PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY" => {
                return Err(BadKey("this is a private key; a public key is needed here"));
            }
            _ => return Err(BAD_PUBLIC),
        }
        if let Ok(key) = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der) {
            return Ok(PublicKey(Public::P256(key)));
        }
        if let Ok(key) = VerifyingKey::from_public_key_der(der) {
            return Ok(PublicKey(Public::K1(Box::new(key))));
        }
        let key = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der).map_err(|_| BAD_PUBLIC)?;
        let parts = rsa::PublicKey::from_der(der).map_err(|_| BAD_PUBLIC)?;
        if !RSA_BYTES.contains(&parts.modulus_len()) {
            return Err(RSA_SIZE);
        }
        Ok(PublicKey(Public::Rsa(key)))
    }

    fn verify(&self, content: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Public::P256(key) | Public::Rsa(key) => key.verify_sig(content, signature).is_ok(),
            // OpenSSL writes the upper half of s as often as the lower one; k256 takes only the lower.
            Public::K1(key) => K1Signature::from_der(signature)
                .is_ok_and(|signature| key.verify(content, &signature.normalize_s()).is_ok()),
        }
    }

    fn kind(&self) -> &'static str {
        match &self.0 {
            Public::P256(_) => "P-256",
            Public::K1(_) => "secp256k1",
            Public::Rsa(_) => "RSA",
        }
    }
}

pub(super) fn verify(
    members: &Members<'_>,
    key: Option<&PublicKey>,
    expected: &Expected<'_>,
) -> Result<Claims, Invalid> {
    let checked = members.check_v1()?;
    checked.matches(expected)?;
    let key = key.ok_or(Invalid::NoKey("userSig version 1"))?;
    if !key.verify(content(&checked).as_bytes(), &checked.signature) {
        return Err(Invalid::Signature);
    }
    Ok(Claims {
        version: Version::V1,
        issued_at: checked.issued_at,
        expires_at: checked.expires_at,
        userbuf: checked.userbuf_bytes,
    })
}

/// Makes a userSig. `account_type` is `"0"` unless the app has one of its own. Fails only when the
/// grant is out of its bounds.
pub fn sign(key: &PrivateKey, grant: &Grant<'_>, account_type: &str) -> Result<String, Invalid> {
    grant.check()?;
    let members = serde_json::json!({
        "TLS.account_type": account_type,
        "TLS.identifier": grant.user_id,
        "TLS.appid_at_3rd": "0",
        "TLS.sdk_appid": grant.sdk_app_id.to_string(),
        "TLS.expire_after": grant.lifetime.to_string(),
        "TLS.version": LIBRARY_VERSION,
        "TLS.time": grant.issued_at.to_string(),
        "TLS.sig": "",
    });
    let serde_json::Value::Object(mut members) = members else { unreachable!("json!({{}}) makes an object") };
    if let Some(bytes) = grant.userbuf {
        members.insert("TLS.userbuf".to_owned(), STANDARD.encode(bytes).into());
    }
    let write = |members: &serde_json::Map<_, _>| serde_json::to_vec(members).map_err(|_| Invalid::Malformed("userID"));
    let json = write(&members)?;
    // What the verifier will read back is what is signed, and it checks every bound on the way.
    let content = content(&Members::parse(&json)?.check_v1()?);
    members.insert("TLS.sig".to_owned(), STANDARD.encode(key.sign(content.as_bytes())).into());
    Ok(outer::wrap(&write(&members)?))
}

fn content(checked: &Checked<'_>) -> String {
    let Checked { account_type, identifier, sdk_app_id, time, expire, .. } = checked;
    let mut content = String::with_capacity(256);
    let mut line = |name: &str, value: &str| {
        for part in ["TLS.", name, ":", value, "\n"] {
            content.push_str(part);
        }
    };
    if let Some(appid_at_3rd) = checked.appid_at_3rd {
        line("appid_at_3rd", appid_at_3rd);
    }
    line("account_type", account_type.unwrap_or_default());
    line("identifier", identifier);
    line("sdk_appid", sdk_app_id);
    line("time", time);
    line("expire_after", expire);
    if let Some(userbuf) = checked.userbuf {
        line("userbuf", userbuf);
    }
    content
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Public::K1(one), Public::K1(two)) => one == two,
            (Public::P256(one), Public::P256(two)) | (Public::Rsa(one), Public::Rsa(two)) => {
                match (one.as_der(), two.as_der()) {
                    (Ok(one), Ok(two)) => one.as_ref() == two.as_ref(),
                    _ => false,
                }
            }
            _ => false,
        }
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, ***)", self.public_key().kind())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.kind())
    }
}
