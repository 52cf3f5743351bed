//! The receiver reports of viewers whose packets nobody opens, sealed as SRTCP (RFC 3711, RFC 7714). Their keys are
//! overheard at the handshake. Knows no sockets.

use super::heads::Track;
use std::cell::Cell;
use std::time::Instant;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{
    AeadAes128Gcm, AeadAes128GcmCipher, AeadAes256Gcm, AeadAes256GcmCipher, Aes128CmSha1_80, Aes128CmSha1_80Cipher,
    CryptoError,
};

/// str0m's cryptography, with a DTLS whose keys are overheard.
pub fn crypto() -> CryptoProvider {
    CryptoProvider { dtls_provider: &OVERHEARD, ..str0m::crypto::from_feature_flags() }
}

/// What a handshake agreed on that has ended on this thread since this was last asked.
pub fn agreed() -> Option<Keys> {
    AGREED.take()
}

thread_local! {
    static AGREED: Cell<Option<Keys>> = const { Cell::new(None) };
}

static OVERHEARD: Provider = Provider;

/// What a handshake agreed on.
pub struct Keys {
    /// Both ends' master keys, then both ends' salts; the client's first.
    material: Vec<u8>,
    profile: SrtpProfile,
    client: bool,
}

#[derive(Debug)]
struct Provider;

impl DtlsProvider for Provider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let own = str0m::crypto::from_feature_flags().dtls_provider;
        Ok(Box::new(Overheard(own.new_dtls(certificate, now, version, mtu)?)))
    }
}

/// str0m's own DTLS; what it agrees on is noted in passing.
#[derive(Debug)]
struct Overheard(Box<dyn DtlsInstance>);

impl DtlsInstance for Overheard {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let client = self.0.is_active();
        let output = self.0.poll_output(buffer);
        if let DtlsOutput::KeyingMaterial(material, profile) = &output {
            AGREED.set(Some(Keys { material: material.to_vec(), profile: *profile, client }));
        }
        output
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}

/// Bytes of the longest tag.
const TAG: usize = AeadAes128Gcm::TAG_LEN;
/// The bit of the index that says that a packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// What the keys of RTCP are for (RFC 3711 §4.3.1).
const CIPHER: u8 = 3;
const AUTHENTICATION: u8 = 4;
const SALT: u8 = 5;

enum Cipher {
    Counter { cipher: Box<dyn Aes128CmSha1_80Cipher>, salt: [u8; 14], authentication: [u8; 20] },
    Gcm128 { cipher: Box<dyn AeadAes128GcmCipher>, salt: [u8; 12] },
    Gcm256 { cipher: Box<dyn AeadAes256GcmCipher>, salt: [u8; 12] },
}

/// Makes one viewer's reports.
pub struct Reporter {
    cipher: Cipher,
    index: u32,
    ssrc: u32,
}

impl Reporter {
    /// None: the profile is not known, or the material not as long as it has to be.
    pub fn new(keys: &Keys, ssrc: u32) -> Option<Self> {
        let provider = str0m::crypto::from_feature_flags().srtp_provider;
        let cipher = match keys.profile {
            SrtpProfile::AES128_CM_SHA1_80 => Cipher::Counter {
                cipher: provider.aes_128_cm_sha1_80().create_cipher(keys.derive::<16, 14, 16>(CIPHER)?, true),
                salt: keys.derive::<16, 14, 14>(SALT)?,
                authentication: keys.derive::<16, 14, 20>(AUTHENTICATION)?,
            },
            SrtpProfile::AEAD_AES_128_GCM => Cipher::Gcm128 {
                cipher: provider.aead_aes_128_gcm().create_cipher(keys.derive::<16, 12, 16>(CIPHER)?, true),
                salt: keys.derive::<16, 12, 12>(SALT)?,
            },
            SrtpProfile::AEAD_AES_256_GCM => Cipher::Gcm256 {
                cipher: provider.aead_aes_256_gcm().create_cipher(keys.derive::<32, 12, 32>(CIPHER)?, true),
                salt: keys.derive::<32, 12, 12>(SALT)?,
            },
            _ => return None,
        };
        Some(Reporter { cipher, index: 0, ssrc })
    }

    /// A sealed report of these tracks, each with nothing lost since the last one.
    pub fn report(&mut self, tracks: &[Track]) -> Option<Vec<u8>> {
        let mut plain = vec![0x80 | tracks.len() as u8, 201, 0, (1 + 6 * tracks.len()) as u8];
        plain.extend(self.ssrc.to_be_bytes());
        for track in tracks {
            plain.extend(track.ssrc.to_be_bytes());
            let lost = track.counts().lost().min(0x7f_ffff) as u32;
            plain.extend(lost.to_be_bytes());
            plain.extend(track.highest().to_be_bytes());
            // Neither jitter nor when the last sender report came.
            plain.extend([0; 12]);
        }
        self.seal(&plain)
    }

    fn seal(&mut self, plain: &[u8]) -> Option<Vec<u8>> {
        let (head, rest) = plain.split_at_checked(8)?;
        let index = self.index;
        self.index += 1;
        let trailer = (index | ENCRYPTED).to_be_bytes();
        let mut out = plain.to_vec();
        out.resize(plain.len() + TAG, 0);
        let sealed = out.get_mut(head.len()..)?;
        let known = [head, &trailer].concat();
        match &mut self.cipher {
            Cipher::Gcm128 { cipher, salt } => {
                cipher.encrypt(&AeadAes128Gcm::rtcp_iv(*salt, self.ssrc, index), &known, rest, sealed).ok()?;
                out.extend(trailer);
            }
            Cipher::Gcm256 { cipher, salt } => {
                cipher.encrypt(&AeadAes256Gcm::rtcp_iv(*salt, self.ssrc, index), &known, rest, sealed).ok()?;
                out.extend(trailer);
            }
            Cipher::Counter { cipher, salt, authentication } => {
                cipher.encrypt(&Aes128CmSha1_80::rtp_iv(*salt, self.ssrc, u64::from(index)), rest, sealed).ok()?;
                out.truncate(plain.len());
                out.extend(trailer);
                let hmac = str0m::crypto::from_feature_flags().sha1_hmac_provider;
                let tag = hmac.sha1_hmac(&authentication[..], &[&out]);
                out.extend(&tag[..Aes128CmSha1_80::HMAC_TAG_LEN]);
            }
        }
        Some(out)
    }
}

impl Keys {
    /// Our end's key for what a label says (RFC 3711 §4.3.3): AES in counter mode over the salt with the label in it.
    fn derive<const KEY: usize, const SALT: usize, const N: usize>(&self, label: u8) -> Option<[u8; N]> {
        let provider = str0m::crypto::from_feature_flags().srtp_provider;
        let end = usize::from(!self.client);
        let key = self.material.get(end * KEY..(end + 1) * KEY)?;
        let salt = self.material.get(2 * KEY + end * SALT..2 * KEY + (end + 1) * SALT)?;
        if self.material.len() != 2 * (KEY + SALT) {
            return None;
        }
        let mut made = [0; N];
        for (part, round) in made.chunks_mut(16).zip(0u16..) {
            let mut input = [0; 16];
            input[..SALT].copy_from_slice(salt);
            input[7] ^= label;
            input[14..].copy_from_slice(&round.to_be_bytes());
            // Some ciphers fill a block more.
            let mut block = [0; 32];
            match KEY {
                16 => provider.srtp_aes_128_ecb_round(key, &input, &mut block),
                _ => provider.srtp_aes_256_ecb_round(key, &input, &mut block),
            }
            part.copy_from_slice(&block[..part.len()]);
        }
        Some(made)
    }
}

#[cfg(test)]
mod tests {
    use super::super::heads::Head;
    use super::*;

    /// RFC 3711 appendix B.3.
    #[test]
    fn keys_are_those_of_the_standard() {
        let key = 0xE1F9_7A0D_3E01_8BE0_D64F_A32C_06DE_4139_u128.to_be_bytes();
        let salt = [0x0E, 0xC6, 0x75, 0xAD, 0x49, 0x8A, 0xFE, 0xEB, 0xB6, 0x96, 0x0B, 0x3A, 0xAB, 0xE6];
        let material = [&key[..], &[7; 16], &salt, &[7; 14]].concat();
        let keys = Keys { material, profile: SrtpProfile::AES128_CM_SHA1_80, client: true };
        let cipher = keys.derive::<16, 14, 16>(0).unwrap();
        assert_eq!(u128::from_be_bytes(cipher), 0xC61E_7A93_744F_39EE_1073_4AFE_3FF7_A087);
        assert_eq!(keys.derive::<16, 14, 14>(2).unwrap()[..4], [0x30, 0xCB, 0xBC, 0x08]);
        assert_eq!(keys.derive::<16, 14, 20>(1).unwrap()[..4], [0xCE, 0xBE, 0x32, 0x1F]);
        assert!(keys.derive::<16, 12, 16>(0).is_none(), "material of another length");
    }

    #[test]
    fn a_report_is_opened_with_the_same_keys() {
        let mut track = Track::default();
        track.take(Head { payload_type: 96, marker: true, number: 5, time: 0, ssrc: 0x0102_0304, payload: 10 });
        track.take(Head { payload_type: 96, marker: true, number: 8, time: 0, ssrc: 0x0102_0304, payload: 10 });
        let keys = Keys { material: vec![3; 56], profile: SrtpProfile::AEAD_AES_128_GCM, client: false };
        let mut reporter = Reporter::new(&keys, 9).unwrap();
        reporter.report(&[track]).unwrap();
        let sealed = reporter.report(&[track]).unwrap();
        let (head, rest) = sealed.split_at(8);
        let (body, trailer) = rest.split_at(rest.len() - 4);
        assert_eq!((head, trailer), (&[0x81, 201, 0, 7, 0, 0, 0, 9][..], &[0x80, 0, 0, 1][..]));
        let provider = str0m::crypto::from_feature_flags().srtp_provider;
        let key = keys.derive::<16, 12, 16>(CIPHER).unwrap();
        let iv = AeadAes128Gcm::rtcp_iv(keys.derive::<16, 12, 12>(SALT).unwrap(), 9, 1);
        let mut plain = vec![0; body.len()];
        let mut cipher = provider.aead_aes_128_gcm().create_cipher(key, false);
        cipher.decrypt(&iv, &[head, trailer], body, &mut plain).unwrap();
        assert_eq!(plain[..12], [1, 2, 3, 4, 0, 0, 0, 2, 0, 0, 0, 8]);
    }
}
