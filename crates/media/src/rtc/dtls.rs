//! DTLS for str0m by `rtc-dtls`. The one that str0m brings knows certificates with ECDSA keys only, and GStreamer, many
//! hardware encoders and older libraries come with RSA keys. Our own certificate stays ECDSA, which every peer takes.

mod curves;
mod greeting;
mod guard;

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use parking_lot::Mutex;
use rtc_dtls::cipher_suite::CipherSuiteId;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, HandshakeConfig};
use rtc_dtls::crypto::Certificate;
use rtc_dtls::crypto_provider::{RTCCryptoProvider, SignatureScheme as KeyScheme};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile as Srtp;
use rtc_dtls::signature_hash_algorithm::SignatureScheme;
use rtc_shared::TransportProtocol;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{
    DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, KeyingMaterial, ProtocolVersion, SrtpProfile,
};

use super::srtp::Keys;
use greeting::{GREET_AGAIN, Greeting};
pub(super) use greeting::{Link, made};
use guard::Guard;

/// How long an answer to a flight is waited for before it is sent again (RFC 9147 §5.8.2 for real-time applications).
const FLIGHT: Duration = Duration::from_millis(600);
/// Nothing to wait for.
const LONG: Duration = Duration::from_secs(3600);
/// `rtc-dtls` tells peers apart by address. An instance has one peer, and str0m knows its address.
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);
/// Most bytes of a record.
const MTU: usize = 1200;

/// str0m's cryptography, with this file's DTLS.
pub(super) fn crypto() -> CryptoProvider {
    CryptoProvider { dtls_provider: &PROVIDER, ..str0m::crypto::from_feature_flags() }
}

static PROVIDER: Provider = Provider { known: Mutex::new(None) };

/// Makes instances. A server has one certificate, so what a handshake is configured with is kept.
struct Provider {
    known: Mutex<Option<(Vec<u8>, Both)>>,
}

/// The configuration as the server and as the client of a handshake.
type Both = [Arc<HandshakeConfig>; 2];

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Provider")
    }
}

impl DtlsProvider for Provider {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        _version: DtlsVersion,
        _mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let mut known = self.known.lock();
        let configs = match &*known {
            Some((of, configs)) if *of == cert.certificate => configs.clone(),
            _ => {
                let configs = configure(cert).map_err(|error| CryptoError::Other(error.to_string()))?;
                known.insert((cert.certificate.clone(), configs)).1.clone()
            }
        };
        let link = greeting::make();
        Ok(Box::new(Instance { configs, active: false, now, link, side: Mutex::new(None) }))
    }
}

thread_local! {
    /// What the handshake that ended last on this thread agreed on.
    static AGREED: Cell<Option<Keys>> = const { Cell::new(None) };
}

/// What a handshake agreed on that has ended since this was last asked on this thread. str0m keeps it to itself: who wants it
/// asks before and after each of its calls.
pub(super) fn agreed() -> Option<Keys> {
    AGREED.take()
}

fn configure(cert: &DtlsCert) -> Result<Both, rtc_shared::error::Error> {
    let provider: Arc<dyn RTCCryptoProvider> = Arc::new(curves::Curves::new());
    let key = provider
        .crypto()
        .import_signing_key(KeyScheme::EcdsaP256Sha256, &cert.private_key)
        .map_err(|error| rtc_shared::error::Error::Crypto(error.to_string()))?;
    let own = Certificate::from_signing_key(vec![cert.certificate.clone().into()], key);
    let build = |client: bool| {
        let config = ConfigBuilder::default()
            .with_crypto_provider(Arc::clone(&provider))
            .with_certificates(vec![own.clone()])
            .with_client_auth(ClientAuthType::RequireAnyClientCert)
            // Who the peer is says the fingerprint in its SDP, which str0m compares; no authority signs such certificates.
            .with_insecure_skip_verify(true)
            .with_cipher_suites(vec![
                CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_128_Gcm_Sha256,
                CipherSuiteId::Tls_Ecdhe_Rsa_With_Aes_128_Gcm_Sha256,
                CipherSuiteId::Tls_Ecdhe_Ecdsa_With_ChaCha20_Poly1305_Sha256,
                CipherSuiteId::Tls_Ecdhe_Rsa_With_ChaCha20_Poly1305_Sha256,
                CipherSuiteId::Tls_Ecdhe_Ecdsa_With_Aes_256_Cbc_Sha,
                CipherSuiteId::Tls_Ecdhe_Rsa_With_Aes_256_Cbc_Sha,
            ])
            .with_signature_schemes(vec![
                SignatureScheme::EcdsaWithP256AndSha256,
                SignatureScheme::Pkcs1WithSha256,
                SignatureScheme::EcdsaWithP384AndSha384,
                SignatureScheme::Pkcs1WithSha384,
                SignatureScheme::Pkcs1WithSha512,
                SignatureScheme::Ed25519,
            ])
            .with_srtp_protection_profiles(vec![
                Srtp::Srtp_Aead_Aes_128_Gcm,
                Srtp::Srtp_Aes128_Cm_Hmac_Sha1_80,
                Srtp::Srtp_Aead_Aes_256_Gcm,
            ])
            .with_flight_interval(FLIGHT)
            .with_mtu(MTU);
        config.build(client, Some(PEER)).map(Arc::new)
    };
    Ok([build(false)?, build(true)?])
}

/// One connection.
struct Instance {
    configs: Both,
    active: bool,
    /// The moment of the last input.
    now: Instant,
    link: Link,
    /// Made once the role is known. `rtc-dtls` keeps what is `Send` but not `Sync`.
    side: Mutex<Option<Side>>,
}

/// What comes out next.
enum Out {
    PeerCert(Vec<u8>),
    Keys(Vec<u8>, SrtpProfile),
    Connected,
    Data(BytesMut),
    Close,
}

/// One end of a connection.
struct Side {
    endpoint: Endpoint,
    out: VecDeque<Out>,
    established: bool,
    guard: Guard,
    greeting: Greeting,
    /// It is over. The alert goes out first, then str0m hears of it.
    failed: bool,
    closing: bool,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("active", &self.active).finish_non_exhaustive()
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.active = active;
        let accepts = (!active).then(|| Arc::clone(&self.configs[0]));
        let endpoint = Endpoint::new(PEER, TransportProtocol::UDP, accepts);
        *self.side.get_mut() = Some(Side {
            endpoint,
            out: VecDeque::new(),
            established: false,
            guard: Guard::default(),
            greeting: if active { Greeting::Waits } else { Greeting::Done },
            failed: false,
            closing: false,
        });
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        let now = self.now;
        let Some(side) = self.side.get_mut().as_mut().filter(|side| !side.failed && !side.closing) else {
            return Ok(());
        };
        if packet.is_empty() {
            return Ok(());
        }
        side.greeting = Greeting::Done;
        if !side.guard.lets_in(packet, side.established) {
            if !side.established {
                side.fail("too many records for a handshake");
            }
            return Ok(());
        }
        match side.endpoint.read(now, PEER, None, BytesMut::from(packet)) {
            Ok(events) => side.take(events),
            // What is forged or damaged is dropped before it comes to an error, so this is the peer's own alert.
            Err(_) if side.established => side.out.push_back(Out::Close),
            Err(error) => side.fail(&error.to_string()),
        }
        Ok(())
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        self.greet();
        let now = self.now;
        let Some(side) = self.side.get_mut() else { return DtlsOutput::Timeout(now + LONG) };
        if let Some(record) = side.endpoint.poll_transmit() {
            let bytes = &record.message;
            let Some(out) = buf.get_mut(..bytes.len()) else {
                return DtlsOutput::BufferTooSmall { needed: bytes.len() };
            };
            out.copy_from_slice(bytes);
            if let Greeting::Sent { bytes: known, .. } = &mut side.greeting {
                known.clear();
                known.extend_from_slice(bytes);
            }
            return DtlsOutput::Packet(out);
        }
        if let Some(bytes) = side.greeting.again() {
            return DtlsOutput::Packet(filled(buf, bytes));
        }
        match side.out.pop_front() {
            Some(Out::PeerCert(der)) => DtlsOutput::PeerCert(filled(buf, &der)),
            Some(Out::Keys(keys, profile)) => {
                let material = KeyingMaterial::new(&keys);
                AGREED.set(Some(Keys { material: keys, profile, client: self.active }));
                DtlsOutput::KeyingMaterial(material, profile)
            }
            Some(Out::Connected) => DtlsOutput::Connected,
            Some(Out::Data(data)) => DtlsOutput::ApplicationData(filled(buf, &data)),
            Some(Out::Close) => DtlsOutput::CloseNotify,
            None if side.failed => DtlsOutput::Timeout(now),
            None => {
                let due = side.endpoint.poll_timeout(&PEER).into_iter().chain(side.greeting.due()).min();
                DtlsOutput::Timeout(due.unwrap_or(now + LONG))
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = self.now.max(now);
        let Some(side) = self.side.get_mut() else { return Ok(()) };
        if side.failed {
            return Err(DtlsImplError::ConnectionClosed);
        }
        side.greeting.tick(now);
        // Before the first flight of a client there is nothing to time out.
        let due = side.endpoint.poll_timeout(&PEER).is_some_and(|at| at <= now);
        if due && let Err(error) = side.endpoint.handle_timeout(PEER, now) {
            if matches!(side.greeting, Greeting::Sent { .. }) {
                // No peer has been there yet. How long is waited for that is not said here.
                side.endpoint = Endpoint::new(PEER, TransportProtocol::UDP, None);
                side.greeting = Greeting::Waits;
                self.link.reach(false, now);
            } else {
                side.give_up(&error.to_string());
            }
        }
        Ok(())
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        let now = self.now;
        match self.side.get_mut() {
            Some(side) if side.closing || side.failed => Err(DtlsImplError::ConnectionClosed),
            Some(side) if side.established => {
                side.endpoint.write(now, PEER, data).map_err(|_| DtlsImplError::ConnectionClosed)?;
                Ok(data.len())
            }
            _ => Ok(0),
        }
    }

    fn is_active(&self) -> bool {
        self.active
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        let established = self.side.lock().as_ref().is_some_and(|side| side.established);
        established.then_some(ProtocolVersion::DTLS1_2)
    }

    fn is_closing(&self) -> bool {
        self.side.lock().as_ref().is_some_and(|side| side.closing)
    }

    fn is_closed(&self) -> bool {
        // What is to be sent is handed out at the next poll, which comes before this is asked again.
        self.is_closing()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        let now = self.now;
        if let Some(side) = self.side.get_mut().as_mut().filter(|side| !side.closing) {
            side.closing = true;
            // The records wait in the endpoint to be polled.
            side.endpoint.stop(now, PEER);
        }
        Ok(())
    }
}

impl Instance {
    /// Begins a client's handshake once the peer can be reached, and again with what may have been dropped.
    fn greet(&mut self) {
        let heard = self.link.take();
        let Some(reached) = heard.reached else { return };
        self.now = self.now.max(reached);
        let now = self.now;
        let Some(side) = self.side.get_mut().as_mut().filter(|side| !side.failed && !side.closing) else { return };
        match &mut side.greeting {
            Greeting::Waits => {
                side.greeting = Greeting::Sent { bytes: Vec::new(), count: 0, due: now + GREET_AGAIN, again: false };
                side.failed = side.endpoint.connect(now, PEER, Arc::clone(&self.configs[1]), None).is_err();
            }
            Greeting::Sent { count, due, again, .. } if heard.settled => {
                *count = 0;
                *due = now + GREET_AGAIN;
                *again = true;
            }
            _ => {}
        }
    }
}

/// The part of `buf` that holds `bytes` now. str0m's buffer is larger than a record; a certificate beyond it is cut, and no
/// fingerprint is that of a cut certificate.
fn filled<'a>(buf: &'a mut [u8], bytes: &[u8]) -> &'a [u8] {
    let n = bytes.len().min(buf.len());
    buf[..n].copy_from_slice(&bytes[..n]);
    &buf[..n]
}

impl Side {
    fn take(&mut self, events: Vec<EndpointEvent>) {
        for event in events {
            match event {
                EndpointEvent::HandshakeComplete => self.complete(),
                EndpointEvent::ApplicationData(data) => self.out.push_back(Out::Data(data)),
                EndpointEvent::PeerClosed => self.out.push_back(Out::Close),
                _ => {}
            }
        }
    }

    /// The certificate is told before the keys are: str0m compares its fingerprint with the one in the SDP.
    fn complete(&mut self) {
        let Some(state) = self.endpoint.get_connection_state(PEER) else { return };
        let profile = match state.srtp_protection_profile() {
            Srtp::Srtp_Aead_Aes_128_Gcm => SrtpProfile::AEAD_AES_128_GCM,
            Srtp::Srtp_Aead_Aes_256_Gcm => SrtpProfile::AEAD_AES_256_GCM,
            Srtp::Srtp_Aes128_Cm_Hmac_Sha1_80 => SrtpProfile::AES128_CM_SHA1_80,
            other => return self.fail(&format!("no SRTP profile in common ({other:?})")),
        };
        let Some(certificate) = state.peer_certificates.first().cloned() else {
            return self.fail("the peer showed no certificate");
        };
        match state.export_keying_material("EXTRACTOR-dtls_srtp", &[], profile.keying_material_len()) {
            Ok(keys) => {
                self.established = true;
                self.out.push_back(Out::PeerCert(certificate));
                self.out.push_back(Out::Keys(keys.into_bytes().to_vec(), profile));
                self.out.push_back(Out::Connected);
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// Nothing came any more: no fault of a certificate.
    fn give_up(&mut self, error: &str) {
        if !self.failed && !self.closing {
            tracing::info!(
                %error,
                "a DTLS handshake stopped halfway: nothing comes from the peer any more. Its page was closed, or its network \
                 has stopped to let UDP through"
            );
        }
        self.failed = true;
    }

    fn fail(&mut self, error: &str) {
        if !self.failed && !self.closing {
            let shown = self.endpoint.get_connection_state(PEER).and_then(|state| state.peer_certificates.first());
            tracing::warn!(
                %error, peer_certificate = shown.map_or("not seen", |der| key_of(der)),
                "a DTLS handshake failed: peers need DTLS 1.2 with SRTP and a certificate with an ECDSA key on P-256 or P-384 (P-224 or \
                 P-521 if the peer begins the handshake), an Ed25519 key, or an RSA key of 2048 bits or more"
            );
        }
        self.failed = true;
    }
}

/// The kind of key in a certificate, told by the object identifier that stands in it.
fn key_of(der: &[u8]) -> &'static str {
    const KINDS: [(&[u8], &str); 6] = [
        (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", "RSA"),
        (b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", "ECDSA P-256"),
        (b"\x06\x05\x2b\x81\x04\x00\x22", "ECDSA P-384"),
        (b"\x06\x05\x2b\x81\x04\x00\x23", "ECDSA P-521"),
        (b"\x06\x05\x2b\x81\x04\x00\x21", "ECDSA P-224"),
        (b"\x06\x03\x2b\x65\x70", "Ed25519"),
    ];
    let found = KINDS.iter().find(|(oid, _)| memchr::memmem::find(der, oid).is_some());
    found.map_or("of another kind", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_keys_are_told() {
        let cert = crypto().dtls_provider.generate_certificate().unwrap();
        assert_eq!(key_of(&cert.certificate), "ECDSA P-256");
        assert_eq!(key_of(b"nothing"), "of another kind");
    }

    /// What an instance sends by itself at a moment.
    fn sent(one: &mut Box<dyn DtlsInstance>, now: Instant) -> Vec<Vec<u8>> {
        let mut buf = [0; 2_000];
        let mut packets = Vec::new();
        one.handle_timeout(now).unwrap();
        loop {
            match one.poll_output(&mut buf) {
                DtlsOutput::Packet(packet) => packets.push(packet.to_vec()),
                DtlsOutput::Timeout(_) => return packets,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_client_greets_when_it_reaches_the_peer_and_again_until_it_hears_something() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let cert = PROVIDER.generate_certificate().unwrap();
        let mut client = PROVIDER.new_dtls(&cert, start, DtlsVersion::Dtls12, None).unwrap();
        let link = made();
        client.set_active(true);
        assert!(sent(&mut client, at(9_000)).is_empty(), "nobody is there");
        link.reach(false, at(9_100));
        let greeting = sent(&mut client, at(9_100));
        assert_eq!(greeting.len(), 1);
        assert!(sent(&mut client, at(9_149)).is_empty());
        assert_eq!(sent(&mut client, at(9_150)), greeting, "the same bytes");
        link.reach(false, at(9_160));
        assert!(sent(&mut client, at(9_160)).is_empty(), "another check means nothing");
        link.reach(true, at(9_170));
        assert_eq!(sent(&mut client, at(9_170)), greeting, "it has settled on a path");
        // As long as it takes: with bounds on how much is said.
        let all = (9_171..30_000).map(|ms| sent(&mut client, at(ms)).len()).sum::<usize>();
        assert!((30..90).contains(&all), "{all}");
        let mut server = PROVIDER.new_dtls(&cert, start, DtlsVersion::Dtls12, None).unwrap();
        server.set_active(false);
        server.handle_packet(&greeting[0]).unwrap();
        let [answer] = &sent(&mut server, at(30_000))[..] else { panic!("one answer") };
        client.handle_packet(answer).unwrap();
        assert!(!sent(&mut client, at(30_001)).is_empty());
        assert!(sent(&mut client, at(30_500)).is_empty(), "only the handshake repeats itself now");
    }

    /// What is logged, by level.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<tracing::Level>>>);

    impl tracing::Subscriber for Log {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.target().starts_with("media")
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            self.0.lock().push(*event.metadata().level());
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn a_peer_that_is_gone_in_mid_handshake_is_no_fault_of_a_certificate() {
        let start = Instant::now();
        let cert = PROVIDER.generate_certificate().unwrap();
        let made = |active| {
            let mut one = PROVIDER.new_dtls(&cert, start, DtlsVersion::Dtls12, None).unwrap();
            one.set_active(active);
            super::made().reach(false, start);
            one
        };
        let mut ends = [made(true), made(false)];
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let greeting = sent(&mut ends[0], start);
            ends[1].handle_packet(&greeting[0]).unwrap();
            let answer = sent(&mut ends[1], start);
            ends[0].handle_packet(&answer[0]).unwrap();
            let mut buf = [0; 2_000];
            let mut now = start;
            while ends[0].handle_timeout(now).is_ok() {
                while !matches!(ends[0].poll_output(&mut buf), DtlsOutput::Timeout(_)) {}
                now += Duration::from_millis(100);
                assert!(now < start + Duration::from_secs(600), "it never ends");
            }
        });
        assert_eq!(*log.0.lock(), [tracing::Level::INFO]);
    }

    /// Two instances that hand each other what they send.
    #[test]
    fn two_of_them_agree_on_keys() {
        let now = Instant::now();
        let cert = PROVIDER.generate_certificate().unwrap();
        let made = |active| {
            let mut one = PROVIDER.new_dtls(&cert, now, DtlsVersion::Dtls12, None).unwrap();
            one.set_active(active);
            super::made().reach(false, now);
            one
        };
        let mut ends = [made(true), made(false)];
        let mut keys = [Vec::new(), Vec::new()];
        let mut buf = [0; 2_000];
        for turn in 0..40 {
            let from = turn % 2;
            let to = 1 - turn % 2;
            let mut packets = Vec::new();
            loop {
                match ends[from].poll_output(&mut buf) {
                    DtlsOutput::Packet(packet) => packets.push(packet.to_vec()),
                    DtlsOutput::KeyingMaterial(material, _) => keys[from] = material.as_ref().to_vec(),
                    DtlsOutput::Timeout(_) => break,
                    _ => {}
                }
            }
            packets.iter().for_each(|packet| ends[to].handle_packet(packet).unwrap());
        }
        assert!(!keys[0].is_empty());
        assert_eq!(keys[0], keys[1]);
        ends[0].close().unwrap();
        let DtlsOutput::Packet(goodbye) = ends[0].poll_output(&mut buf) else { panic!("a goodbye") };
        let goodbye = goodbye.to_vec();
        ends[1].handle_packet(&goodbye).unwrap();
        let mut said = Vec::new();
        loop {
            match ends[1].poll_output(&mut buf) {
                DtlsOutput::CloseNotify => said.push(true),
                DtlsOutput::Timeout(_) => break,
                _ => {}
            }
        }
        assert_eq!(said, [true]);
    }
}
