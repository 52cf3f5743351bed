//! SRTP of what we send ourselves (RFC 3711, RFC 7714): keys made of a handshake's, packets sealed where they lie. The ciphers
//! are str0m's. Knows no streams.

use str0m::config::CryptoProvider;
use str0m::crypto::dtls::SrtpProfile;
use str0m::crypto::{
    AeadAes128Gcm, AeadAes128GcmCipher, AeadAes256Gcm, AeadAes256GcmCipher, Aes128CmSha1_80, Aes128CmSha1_80Cipher,
    Sha1HmacProvider, SrtpProvider,
};

/// What a handshake agreed on.
pub(super) struct Keys {
    /// Both ends' master keys, then both ends' salts; the client's first.
    pub material: Vec<u8>,
    pub profile: SrtpProfile,
    /// We were the client.
    pub client: bool,
}

/// Bytes of the longest tag.
const TAG: usize = AeadAes128Gcm::TAG_LEN;
/// The bit of SRTCP's index that says that a packet is encrypted, and how far the index counts.
const ENCRYPTED: u32 = 1 << 31;
/// What a key is for (RFC 3711 §4.3.1): of RTP, then of RTCP the same three later.
const CIPHER: u8 = 0;
const AUTHENTICATION: u8 = 1;
const SALT: u8 = 2;

/// Our end's keys.
pub(super) struct Srtp {
    rtp: Cipher,
    rtcp: Cipher,
    hmac: &'static dyn Sha1HmacProvider,
    index: u32,
}

enum Cipher {
    Counter { cipher: Box<dyn Aes128CmSha1_80Cipher>, salt: [u8; 14], authentication: [u8; 20] },
    Gcm128 { cipher: Box<dyn AeadAes128GcmCipher>, salt: [u8; 12] },
    Gcm256 { cipher: Box<dyn AeadAes256GcmCipher>, salt: [u8; 12] },
}

impl Srtp {
    /// None: the profile is not one of ours, or the material is not as long as it has to be.
    pub fn new(crypto: &CryptoProvider, keys: &Keys) -> Option<Self> {
        let cipher = |first| Cipher::new(crypto.srtp_provider, keys, first);
        Some(Srtp { rtp: cipher(0)?, rtcp: cipher(3)?, hmac: crypto.sha1_hmac_provider, index: 0 })
    }

    /// Appends `payload` to an RTP head that begins at `start` of `out`, sealed. `index`: the packet's number, with the
    /// times that it came round above its 16 bits.
    pub fn seal(&mut self, out: &mut Vec<u8>, start: usize, payload: &[u8], ssrc: u32, index: u64) {
        let body = out.len();
        out.resize(body + payload.len() + TAG, 0);
        let (head, sealed) = out.split_at_mut(body);
        let head = &head[start..];
        let rounds = (index >> 16) as u32;
        let number = index as u16;
        let done = match &mut self.rtp {
            Cipher::Gcm128 { cipher, salt } => {
                cipher.encrypt(&AeadAes128Gcm::rtp_iv(*salt, ssrc, rounds, number), head, payload, sealed)
            }
            Cipher::Gcm256 { cipher, salt } => {
                cipher.encrypt(&AeadAes256Gcm::rtp_iv(*salt, ssrc, rounds, number), head, payload, sealed)
            }
            Cipher::Counter { cipher, salt, authentication } => {
                let done = cipher.encrypt(&Aes128CmSha1_80::rtp_iv(*salt, ssrc, index), payload, sealed);
                let end = body + payload.len();
                let tag = self.hmac.sha1_hmac(&authentication[..], &[&out[start..end], &rounds.to_be_bytes()]);
                out.truncate(end);
                out.extend_from_slice(&tag[..Aes128CmSha1_80::HMAC_TAG_LEN]);
                done
            }
        };
        // Nothing leaves unencrypted.
        if done.is_err() {
            out.truncate(start);
        }
    }

    /// Appends RTCP packets to `out`, sealed. They begin with a head and an SSRC.
    pub fn seal_rtcp(&mut self, packets: &[u8], out: &mut Vec<u8>) {
        let Some((head, rest)) = packets.split_first_chunk::<8>() else { return };
        let ssrc = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        let index = self.index;
        self.index = (self.index + 1) % ENCRYPTED;
        let start = out.len();
        let trailer = (index | ENCRYPTED).to_be_bytes();
        out.extend_from_slice(head);
        out.resize(start + packets.len() + TAG, 0);
        let sealed = &mut out[start + head.len()..];
        let [a, b, c, d, e, f, g, h] = *head;
        let [i, j, k, l] = trailer;
        let known = [a, b, c, d, e, f, g, h, i, j, k, l];
        let done = match &mut self.rtcp {
            Cipher::Gcm128 { cipher, salt } => {
                cipher.encrypt(&AeadAes128Gcm::rtcp_iv(*salt, ssrc, index), &known, rest, sealed)
            }
            Cipher::Gcm256 { cipher, salt } => {
                cipher.encrypt(&AeadAes256Gcm::rtcp_iv(*salt, ssrc, index), &known, rest, sealed)
            }
            Cipher::Counter { cipher, salt, authentication } => {
                let done = cipher.encrypt(&Aes128CmSha1_80::rtp_iv(*salt, ssrc, u64::from(index)), rest, sealed);
                out.truncate(start + packets.len());
                out.extend_from_slice(&trailer);
                let tag = self.hmac.sha1_hmac(&authentication[..], &[&out[start..]]);
                out.extend_from_slice(&tag[..Aes128CmSha1_80::HMAC_TAG_LEN]);
                done
            }
        };
        match (done, &self.rtcp) {
            (Err(_), _) => out.truncate(start),
            (Ok(()), Cipher::Counter { .. }) => {}
            (Ok(()), _) => out.extend_from_slice(&trailer),
        }
    }
}

impl Cipher {
    /// The keys of RTP (`first` is 0) or of RTCP (3).
    fn new(provider: &dyn SrtpProvider, keys: &Keys, first: u8) -> Option<Self> {
        Some(match keys.profile {
            SrtpProfile::AES128_CM_SHA1_80 => {
                let master = Master::<16, 14>::of(keys)?;
                Cipher::Counter {
                    cipher: provider.aes_128_cm_sha1_80().create_cipher(master.key(provider, first + CIPHER), true),
                    salt: master.key(provider, first + SALT),
                    authentication: master.key(provider, first + AUTHENTICATION),
                }
            }
            SrtpProfile::AEAD_AES_128_GCM => {
                let master = Master::<16, 12>::of(keys)?;
                let key = master.key(provider, first + CIPHER);
                let cipher = provider.aead_aes_128_gcm().create_cipher(key, true);
                Cipher::Gcm128 { cipher, salt: master.key(provider, first + SALT) }
            }
            SrtpProfile::AEAD_AES_256_GCM => {
                let master = Master::<32, 12>::of(keys)?;
                let key = master.key(provider, first + CIPHER);
                let cipher = provider.aead_aes_256_gcm().create_cipher(key, true);
                Cipher::Gcm256 { cipher, salt: master.key(provider, first + SALT) }
            }
            _ => return None,
        })
    }
}

/// Our end's master key and salt.
struct Master<'a, const KEY: usize, const SALT: usize> {
    key: &'a [u8; KEY],
    salt: &'a [u8; SALT],
}

impl<'a, const KEY: usize, const SALT: usize> Master<'a, KEY, SALT> {
    fn of(keys: &'a Keys) -> Option<Self> {
        let (client, rest) = keys.material.split_first_chunk::<KEY>()?;
        let (server, rest) = rest.split_first_chunk::<KEY>()?;
        let (client_salt, rest) = rest.split_first_chunk::<SALT>()?;
        let server_salt = <&[u8; SALT]>::try_from(rest).ok()?;
        Some(if keys.client {
            Master { key: client, salt: client_salt }
        } else {
            Master { key: server, salt: server_salt }
        })
    }

    /// The key for what a label says (RFC 3711 §4.3.3): AES in counter mode over the salt with the label in it.
    fn key<const N: usize>(&self, provider: &dyn SrtpProvider, label: u8) -> [u8; N] {
        let mut made = [0; N];
        for (part, round) in made.chunks_mut(16).zip(0u16..) {
            let mut input = [0; 16];
            input[..SALT].copy_from_slice(self.salt);
            input[7] ^= label;
            input[14..].copy_from_slice(&round.to_be_bytes());
            // Some ciphers fill a block more.
            let mut block = [0; 32];
            match KEY {
                16 => provider.srtp_aes_128_ecb_round(self.key, &input, &mut block),
                _ => provider.srtp_aes_256_ecb_round(self.key, &input, &mut block),
            }
            part.copy_from_slice(&block[..part.len()]);
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3711 appendix B.3.
    #[test]
    fn keys_are_those_of_the_standard() {
        let crypto = str0m::crypto::from_feature_flags();
        let key = 0xE1F9_7A0D_3E01_8BE0_D64F_A32C_06DE_4139_u128.to_be_bytes();
        let salt = [0x0E, 0xC6, 0x75, 0xAD, 0x49, 0x8A, 0xFE, 0xEB, 0xB6, 0x96, 0x0B, 0x3A, 0xAB, 0xE6];
        let master = Master { key: &key, salt: &salt };
        let cipher: [u8; 16] = master.key(crypto.srtp_provider, CIPHER);
        assert_eq!(u128::from_be_bytes(cipher), 0xC61E_7A93_744F_39EE_1073_4AFE_3FF7_A087);
        let salt: [u8; 14] = master.key(crypto.srtp_provider, SALT);
        assert_eq!(salt[..4], [0x30, 0xCB, 0xBC, 0x08]);
        let authentication: [u8; 20] = master.key(crypto.srtp_provider, AUTHENTICATION);
        assert_eq!(authentication[..4], [0xCE, 0xBE, 0x32, 0x1F]);
    }

    /// RFC 6188 §7.2.
    #[test]
    fn long_keys_are_those_of_the_standard() {
        let crypto = str0m::crypto::from_feature_flags();
        let key = [0xF0F0_4914_B513_F276_3A1B_1FA1_30F1_0E29_u128, 0x98F6_F6E4_3E43_09D1_E622_A0E3_32B9_F1B6];
        let key: Vec<u8> = key.iter().flat_map(|half| half.to_be_bytes()).collect();
        let salt = [0x3B, 0x04, 0x80, 0x3D, 0xE5, 0x1E, 0xE7, 0xC9, 0x64, 0x23, 0xAB, 0x5B, 0x78, 0xD2];
        let master = Master::<32, 14> { key: key.as_slice().try_into().unwrap(), salt: &salt };
        let cipher: [u8; 32] = master.key(crypto.srtp_provider, CIPHER);
        let half = |at| u128::from_be_bytes(*cipher[at..].first_chunk().unwrap());
        assert_eq!(half(0), 0x5BA1_064E_30EC_5161_3CAD_926C_5A28_EF73);
        assert_eq!(half(16), 0x1EC7_FB39_7F70_A960_653C_AF06_554C_D8C4);
        let salt: [u8; 14] = master.key(crypto.srtp_provider, SALT);
        assert_eq!(salt[..4], [0xFA, 0x31, 0x79, 0x16]);
        let authentication: [u8; 20] = master.key(crypto.srtp_provider, AUTHENTICATION);
        assert_eq!(authentication[..4], [0xFD, 0x9C, 0x32, 0xD3]);
    }

    #[test]
    fn material_of_another_length_is_none() {
        let crypto = str0m::crypto::from_feature_flags();
        for (profile, length) in [(SrtpProfile::AEAD_AES_128_GCM, 56), (SrtpProfile::AES128_CM_SHA1_80, 60)] {
            let keys = |length| Keys { material: vec![7; length], profile, client: false };
            assert!(Srtp::new(&crypto, &keys(length)).is_some());
            assert!(Srtp::new(&crypto, &keys(length - 1)).is_none());
            assert!(Srtp::new(&crypto, &keys(length + 1)).is_none());
        }
    }
}
