//! What `rtc-dtls` verifies signatures with. It has names for keys on P-256 and P-384; in DTLS 1.2 a name says no more than ECDSA
//! and a hash (RFC 5246 §7.4.1.4.1), and certificates of libraries in use have keys on P-224 and P-521, too.

use aws_lc_rs::{digest, signature};
use p224::ecdsa::signature::hazmat::PrehashVerifier;
use rtc_dtls::crypto_provider::providers::AwsLcRsProvider;
use rtc_dtls::crypto_provider::{
    ActiveKeyExchange, AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CbcAlgorithm, CbcCipher, CryptoAlgorithm,
    CryptoError, HashAlgorithm, HmacAlgorithm, KeyExchangeAlgorithm, Mac, PublicKey, RTCCrypto, RTCCryptoProvider,
    RTCRandom, SignatureScheme, SigningKey, StreamCipher, StreamCipherAlgorithm,
};
use std::sync::Arc;

/// AWS-LC, with signatures of keys on four curves.
pub(super) struct Curves(AwsLcRsProvider);

impl Curves {
    pub(super) fn new() -> Curves {
        Curves(AwsLcRsProvider::new())
    }
}

impl RTCCryptoProvider for Curves {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn crypto(&self) -> &dyn RTCCrypto {
        self
    }

    fn random(&self) -> &dyn RTCRandom {
        self.0.random()
    }
}

impl RTCCrypto for Curves {
    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        key: PublicKey<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        let hash = match scheme {
            SignatureScheme::EcdsaP256Sha256 | SignatureScheme::EcdsaP384Sha256 => Hash::Sha256,
            SignatureScheme::EcdsaP384Sha384 => Hash::Sha384,
            _ => return self.0.crypto().verify_signature(scheme, key, message, signature),
        };
        verify(hash, key.bytes, message, signature)
    }

    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        self.0.crypto().supports(algorithm)
    }

    fn hash(&self, algorithm: HashAlgorithm, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.0.crypto().hash(algorithm, data)
    }

    fn block_encrypt(&self, algorithm: BlockCipherAlgorithm, key: &[u8], block: &mut [u8]) -> Result<(), CryptoError> {
        self.0.crypto().block_encrypt(algorithm, key, block)
    }

    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        self.0.crypto().new_hmac(algorithm, key)
    }

    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        self.0.crypto().new_stream_cipher(algorithm, key)
    }

    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        self.0.crypto().new_aead(algorithm, key)
    }

    fn new_cbc(&self, algorithm: CbcAlgorithm, key: &[u8]) -> Result<Box<dyn CbcCipher>, CryptoError> {
        self.0.crypto().new_cbc(algorithm, key)
    }

    fn start_key_exchange(&self, algorithm: KeyExchangeAlgorithm) -> Result<Box<dyn ActiveKeyExchange>, CryptoError> {
        self.0.crypto().start_key_exchange(algorithm)
    }

    fn generate_signing_key(&self, scheme: SignatureScheme) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.0.crypto().generate_signing_key(scheme)
    }

    fn import_signing_key(&self, scheme: SignatureScheme, pkcs8: &[u8]) -> Result<Arc<dyn SigningKey>, CryptoError> {
        self.0.crypto().import_signing_key(scheme, pkcs8)
    }
}

/// The hashes that we offer for ECDSA.
#[derive(Clone, Copy, Debug)]
enum Hash {
    Sha256,
    Sha384,
}

/// Verifies an ASN.1 signature by a key that is an uncompressed point (SEC 1 §2.3.3): its length tells the curve.
fn verify(hash: Hash, key: &[u8], message: &[u8], signed: &[u8]) -> Result<(), CryptoError> {
    let algorithm = match (key.len(), hash) {
        (57, hash) => return verify_p224(hash, key, message, signed).ok_or(CryptoError::InvalidSignature),
        (65, Hash::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (65, Hash::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (97, Hash::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (97, Hash::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
        (133, Hash::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
        (133, Hash::Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
        _ => return Err(CryptoError::InvalidSignature),
    };
    let key = signature::UnparsedPublicKey::new(algorithm, key);
    key.verify(message, signed).map_err(|_| CryptoError::InvalidSignature)
}

/// AWS-LC's crate has no P-224.
fn verify_p224(hash: Hash, key: &[u8], message: &[u8], signed: &[u8]) -> Option<()> {
    let algorithm = match hash {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
    };
    let key = p224::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
    let signed = p224::ecdsa::Signature::from_der(signed).ok()?;
    key.verify_prehash(digest::digest(algorithm, message).as_ref(), &signed).ok()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::KeyPair;
    use rtc_dtls::crypto_provider::PublicKeyEncoding;

    use super::*;

    fn verified(scheme: SignatureScheme, key: &[u8], message: &[u8], signed: &[u8]) -> bool {
        let key = PublicKey { encoding: PublicKeyEncoding::EcUncompressedPoint, bytes: key };
        Curves::new().verify_signature(scheme, key, message, signed).is_ok()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// Signed by OpenSSL 3.0.19: `openssl dgst -sha256 -sign`.
    #[test]
    fn a_key_on_p224_is_verified() {
        let key = bytes(
            "0420d438cb047339c927663a364f8db4bae64a67d05a29b51e738a293a9bb44e0069b6817a856a635ccdf606f863c79d0f33e594dd42605073",
        );
        let by_256 = bytes(
            "303e021d009ff938e6a5dc9206b6ee667b0786decc9b78f43af394cc4205de86b7021d00895ea579c54310cced0082026f71bacb5af9d3b365f6\
             ea4474e105e4",
        );
        let by_384 = bytes(
            "303d021c1694e5e1a4aa1fa97761c0509b7fb954d0b540ccb299242e3e1ab422021d00bec84dc752cf6cc6f0c5e826a90b22eb4604d6b4ca9362\
             ef1b0a93f4",
        );
        assert!(verified(SignatureScheme::EcdsaP256Sha256, &key, b"handshake", &by_256));
        assert!(verified(SignatureScheme::EcdsaP384Sha384, &key, b"handshake", &by_384));
        assert!(!verified(SignatureScheme::EcdsaP256Sha256, &key, b"handshake", &by_384));
        assert!(!verified(SignatureScheme::EcdsaP256Sha256, &key, b"Handshake", &by_256));
        let mut other = key.clone();
        other[56] ^= 1;
        assert!(!verified(SignatureScheme::EcdsaP256Sha256, &other, b"handshake", &by_256), "no point of the curve");
        assert!(!verified(SignatureScheme::EcdsaP256Sha256, &key[..56], b"handshake", &by_256));
        assert!(!verified(SignatureScheme::EcdsaP256Sha256, &key, b"handshake", b""));
    }

    #[test]
    fn the_length_of_a_key_tells_its_curve() {
        let ways = [
            (SignatureScheme::EcdsaP256Sha256, &signature::ECDSA_P256_SHA256_ASN1_SIGNING),
            (SignatureScheme::EcdsaP384Sha384, &signature::ECDSA_P384_SHA384_ASN1_SIGNING),
            (SignatureScheme::EcdsaP256Sha256, &signature::ECDSA_P521_SHA256_ASN1_SIGNING),
            (SignatureScheme::EcdsaP384Sha384, &signature::ECDSA_P521_SHA384_ASN1_SIGNING),
        ];
        for (scheme, way) in ways {
            let pair = signature::EcdsaKeyPair::generate(way).unwrap();
            let key = pair.public_key().as_ref();
            let signed = pair.sign(&SystemRandom::new(), b"handshake").unwrap();
            assert!(verified(scheme, key, b"handshake", signed.as_ref()), "{way:?}");
            assert!(!verified(scheme, key, b"another", signed.as_ref()), "{way:?}");
        }
    }
}
