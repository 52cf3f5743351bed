//! Offers in, answers out: which codecs and extensions are agreed on, which addresses are advertised, and the fragments of
//! trickle ICE. Knows SDP as far as str0m leaves it to us.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::bwe::Bitrate;
use str0m::change::SdpOffer;
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::{Codec as RtcCodec, CodecConfig, CodecSpec, FormatParams};
use str0m::media::{Frequency, Media, MediaKind, Mid, Pt, Rid};
use str0m::net::{Protocol, TcpType};
use str0m::rtp::{Extension, ExtensionMap};
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

use super::Refused;
use super::choice::{FIRST, LOOK_EVERY};
use super::dtls::{self, Link};
use super::h264::MAX_PAYLOADS;
use super::pairs;
use super::payload::Format;
use super::sdp::{self, Sdp};
use crate::frame::Codec;
use crate::hub::MOST_LAYERS;

/// Longest offer, in bytes. A browser's is 4 to 10 kB.
const MAX_OFFER: usize = 64 << 10;
/// How often a publisher's session says how well it does.
const FIGURES_EVERY: Duration = Duration::from_secs(5);
/// After how many packets more a packet of sound is given up: publishers are not asked for sound again.
const LATE_SOUND: usize = 4;
/// Most `m=` lines of an offer.
const MAX_MEDIA: usize = 8;

/// Which way media goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// From the peer to us (WHIP).
    In,
    /// From us to the peer (WHEP).
    Out,
    /// The same, with an estimate of what the peer's network carries: for streams of which there are several layers.
    Adapting,
}

/// What all sessions of a server have in common.
pub(super) struct Identity {
    crypto: Arc<CryptoProvider>,
    /// One certificate for all sessions: making one costs more than the rest of a session's start.
    cert: Option<DtlsCert>,
    /// Addresses put into answers.
    pub udp: Vec<SocketAddr>,
    /// The same for ICE over TCP.
    pub tcp: Vec<SocketAddr>,
}

impl Identity {
    /// Makes the certificate.
    pub fn new(udp: Vec<SocketAddr>, tcp: Vec<SocketAddr>) -> Self {
        let crypto = Arc::new(dtls::crypto());
        let cert = crypto.dtls_provider.generate_certificate();
        Identity { crypto, cert, udp, tcp }
    }

    /// The addresses as ICE candidates; those that cannot be any (unspecified, multicast) are left out.
    pub fn candidates(&self) -> Vec<Candidate> {
        let udp = self.udp.iter().map(|a| Candidate::host(*a, Protocol::Udp));
        let tcp = self.tcp.iter().map(|a| Candidate::builder().tcp().host(*a).tcptype(TcpType::Passive).build());
        udp.chain(tcp).filter_map(Result::ok).collect()
    }
}

/// One agreed track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Track {
    /// Its `m=` line.
    pub mid: Mid,
    /// The payload type to send.
    pub pt: Pt,
    /// It is of pictures rather than of sound.
    pub is_video: bool,
}

/// An offer that was accepted.
pub(super) struct Accepted {
    /// The machine, with its candidates and credentials.
    pub rtc: Box<Rtc>,
    /// The answer.
    pub sdp: String,
    /// Our ICE credentials.
    pub creds: IceCreds,
    /// The peer's ICE user name fragment.
    pub remote_ufrag: String,
    /// The offer as it was accepted.
    pub offer: Box<str>,
    /// What a fragment of this session begins with.
    pub restart: Box<str>,
    /// The track of pictures, if agreed on.
    pub video: Option<Track>,
    /// All payload types of it, with what they stand for, in the peer's order.
    pub formats: Vec<(Pt, Format)>,
    /// The Opus track, if agreed on.
    pub audio: Option<Track>,
    /// The peer sends its pictures in several sizes.
    pub simulcast: bool,
    /// What the peer's network carries is estimated.
    pub adapts: bool,
    /// The peer sends lost pictures again as they were.
    pub repeats: bool,
    /// The peer asks for lost sound again.
    pub repeats_sound: bool,
    /// The peer wants sound in packets of less than 40 ms.
    pub short_sound: bool,
    /// Tells the handshake that the peer can be reached.
    pub link: Link,
}

/// Has str0m ask for packets of a track that are lost. It does so by itself only where the peer has a format of its own for what is
/// sent again (RFC 4588); others (OBS) send the same packets once more.
pub(super) fn ask_for_losses(rtc: &mut Rtc, mid: Mid, rid: Option<Rid>) {
    if let Some(stream) = rtc.direct_api().stream_rx_by_mid(mid, rid) {
        stream.suppress_nack(false);
    }
}

/// What a peer hears whose offer can be read but not answered.
pub(super) const UNANSWERABLE: &str =
    "no session can be made of this SDP: it needs m= lines with ICE credentials and a DTLS fingerprint";

/// Why an SDP cannot be read, in our words: the parser's own hold addresses of our memory.
pub(super) fn unreadable(sdp: &str) -> String {
    let mut lines = sdp.lines().zip(1..);
    if lines.next().is_none_or(|(first, _)| first.trim_end() != "v=0") {
        return "malformed SDP: it does not begin with v=0".into();
    }
    let named = |line: &str| matches!(line.as_bytes(), [b'a'..=b'z', b'=', ..]);
    match lines.find(|(line, _)| !named(line)) {
        Some((_, n)) => format!("malformed SDP: line {n} is not of the form letter=value"),
        None => "malformed SDP: a line is missing, out of order, or has a value that it may not have".into(),
    }
}

/// Answers an offer. A viewer's answer holds the codecs of `stream`: what its stream's pictures are, and behind that what they may
/// come to be; where that is not known yet, all that it offers. A publisher's holds one codec, see [`sdp::choose`].
pub(super) fn accept(
    offer: &str,
    way: Way,
    stream: &[Format],
    identity: &Identity,
    now: Instant,
) -> Result<Accepted, Refused> {
    bounded(offer)?;
    let remote_ufrag =
        offer.lines().find_map(|l| l.trim_end().strip_prefix("a=ice-ufrag:")).unwrap_or_default().to_owned();
    let mut completed = Sdp::read(offer);
    completed.complete(way)?;
    let simulcast = way == Way::In && has_layers(offer) && completed.has_own_names();
    let others = completed.take_others();
    let offered = completed.video_codecs();
    let codecs = chosen(way, stream, offered);
    let text = readable(&completed, way, simulcast);
    let parsed = SdpOffer::from_sdp_string(&text).map_err(|_| Refused::Bad(unreadable(offer)))?;
    let (mut rtc, link) = begun(way, &codecs, identity, now);
    let answer = rtc.sdp_api().accept_offer(parsed).map_err(|_| Refused::Bad(UNANSWERABLE.into()))?;
    let creds = rtc.direct_api().local_ice_credentials();
    let mut answer = Sdp::read(&answer.to_sdp_string());
    answer.answer(&Sdp::read(&text));
    answer.rename(&completed);
    answer.reject(others);
    let (video, audio, mut formats) = agreed(&rtc, &answer.text(), way);
    tell_depth(&mut formats, offer);
    let shown = stream.first().copied();
    if let Some(format) = shown {
        answer.begin_with(formats.iter().filter(|(_, of)| of.codec == format.codec).map(|(pt, _)| **pt));
    }
    let repeats_sound = audio.is_some_and(|track| way == Way::Out && answer.repeats_sound(&completed, *track.pt));
    answer.call_as(&completed);
    let repeats = way == Way::In && answer.repeats_plainly(formats.iter().map(|(pt, _)| **pt));
    if let Some(video) = video.filter(|_| repeats) {
        ask_for_losses(&mut rtc, video.mid, None);
    }
    // Never a part of what was offered: many peers end in an error, or wait for ever, when one of their lines is refused.
    let is_shown = shown.is_none_or(|format| best_format(&formats, format).is_some());
    let video = video.filter(|_| completed.offers("video") && is_shown);
    let audio = audio.filter(|_| completed.offers("audio"));
    whole(&completed, video.is_some(), audio.is_some(), shown)?;
    Ok(Accepted {
        rtc,
        restart: answer.fragment().into(),
        sdp: answer.text(),
        creds,
        remote_ufrag,
        offer: text.into(),
        video,
        formats,
        audio,
        simulcast,
        adapts: way == Way::Adapting,
        repeats,
        repeats_sound,
        short_sound: pairs::are_unwanted(offer),
        link,
    })
}

/// All profiles of AV1 have 10 bits, and Chromium and Firefox show none of such a stream: their decoder of WebRTC's takes 8 alone.
fn tell_depth(formats: &mut [(Pt, Format)], offer: &str) {
    let deep = u8::from(!is_of_browser(offer));
    formats.iter_mut().filter(|(_, of)| of.codec == Codec::Av1).for_each(|(_, of)| of.profile[1] = deep);
}

/// A completed offer as str0m is to read it.
fn readable(offer: &Sdp, way: Way, simulcast: bool) -> String {
    begun_by_us(match way {
        Way::In if simulcast => offer.text(),
        Way::In => one_layer(&offer.text()),
        Way::Out | Way::Adapting => one_stream(&one_layer(&offer.text())),
    })
}

/// Refuses an offer that is too large to be one.
fn bounded(offer: &str) -> Result<(), Refused> {
    if offer.len() > MAX_OFFER {
        return Err(Refused::Bad("longer than 64 kB".into()));
    }
    if offer.matches("\nm=").count() > MAX_MEDIA {
        return Err(Refused::Bad("too many m= lines".into()));
    }
    Ok(())
}

/// Refuses an offer of which not all was agreed on.
fn whole(offer: &Sdp, has_video: bool, has_audio: bool, stream: Option<Format>) -> Result<(), Refused> {
    let why = if offer.offers("video") && !has_video {
        lacking(offer, "video", stream)
    } else if offer.offers("audio") && !has_audio {
        lacking(offer, "audio", None)
    } else if has_video || has_audio {
        return Ok(());
    } else {
        "neither video nor audio is offered".into()
    };
    Err(Refused::Unsupported(why))
}

/// The video codecs that an answer holds.
fn chosen(way: Way, stream: &[Format], offered: Vec<Codec>) -> Vec<Codec> {
    match (way, stream) {
        (Way::In, _) => sdp::choose(&offered).into_iter().collect(),
        (_, []) => offered,
        (_, stream) => stream.iter().map(|format| format.codec).collect(),
    }
}

/// What a peer hears that has no codec in common with us, or with the stream.
fn lacking(offer: &Sdp, kind: &str, stream: Option<Format>) -> String {
    let offered = match offer.names(kind).join(", ") {
        none if none.is_empty() => "no codec".to_owned(),
        names => names,
    };
    match (kind, stream) {
        ("video", Some(format)) if format.unusual().is_some() && offer.video_codecs().contains(&format.codec) => {
            format!(
                "the stream's video is {format}, and the offer has {offered} without that profile: publish in 8 bits, 4:2:0 (yuv420p)"
            )
        }
        ("video", Some(format)) => {
            format!("the stream's video is {}, and the offer has {offered}", format.codec.as_str())
        }
        ("video", None) if !offer.video_codecs().is_empty() => {
            format!("the offer has {offered} for video, in a profile that is not served")
        }
        ("video", None) => format!("the offer has {offered} for video; served are H264, H265, AV1, VP8 and VP9"),
        _ => format!("the offer has {offered} for audio; served is opus"),
    }
}

/// The tracks of an answer, and all payload types of its pictures.
fn agreed(rtc: &Rtc, answer: &str, way: Way) -> (Option<Track>, Option<Track>, Vec<(Pt, Format)>) {
    let mut video = None;
    let mut audio = None;
    let mut formats = Vec::new();
    for mid in answer.lines().filter_map(|line| line.strip_prefix("a=mid:")).map(Mid::from) {
        let flows = |media: &&Media| match way {
            Way::In => media.direction().is_receiving(),
            Way::Out | Way::Adapting => media.direction().is_sending(),
        };
        let Some(media) = rtc.media(mid).filter(flows) else { continue };
        let params = rtc.codec_config().params();
        let of = |pt: &Pt| params.iter().find(|p| p.pt() == *pt);
        let offered = media.remote_pts().iter().filter_map(of);
        match media.kind() {
            MediaKind::Video if video.is_none() => {
                let mut params: Vec<_> = offered.collect();
                // Who takes fragments as well is sent pictures as formats that may hold them.
                params.sort_by_key(|p| way != Way::In && p.spec().format.packetization_mode == Some(0));
                formats = params.iter().filter_map(|p| Some((p.pt(), format_of(p.spec())?))).collect();
                video = formats.first().map(|(pt, _)| Track { mid, pt: *pt, is_video: true });
            }
            MediaKind::Audio if audio.is_none() => {
                let opus = offered.into_iter().find(|p| p.spec().codec == RtcCodec::Opus);
                audio = opus.map(|p| Track { mid, pt: p.pt(), is_video: false });
            }
            _ => {}
        }
    }
    (video, audio, formats)
}

fn format_of(spec: CodecSpec) -> Option<Format> {
    let bytes = |n: u32| [(n >> 16) as u8, (n >> 8) as u8, n as u8];
    let (codec, profile) = match spec.codec {
        RtcCodec::H264 => (Codec::H264, bytes(spec.format.profile_level_id.unwrap_or(0x42_00_0a))),
        RtcCodec::H265 => {
            let level = spec.format.h265_profile_tier_level;
            (Codec::H265, [level.map_or(spec.format.profile_id.unwrap_or(1) as u8, |level| level.profile_id()), 0, 0])
        }
        RtcCodec::Av1 => (Codec::Av1, [spec.format.profile.unwrap_or(0), 0, 0]),
        RtcCodec::Vp8 => (Codec::Vp8, [0; 3]),
        RtcCodec::Vp9 => (Codec::Vp9, [spec.format.profile_id.unwrap_or(0) as u8, 0, 0]),
        _ => return None,
    };
    Some(Format { codec, profile })
}

/// The payload type that suits a stream best: the same profile, else one whose decoders take it. None: none was agreed on, and what
/// is decoded as another profile is no picture.
pub(super) fn best_format(formats: &[(Pt, Format)], stream: Format) -> Option<Pt> {
    let find = |fits: &dyn Fn([u8; 3]) -> bool| {
        formats.iter().find(|(_, f)| f.codec == stream.codec && fits(f.profile)).map(|(pt, _)| *pt)
    };
    let [kind, constraints, _] = stream.profile;
    let same = || find(&|p| p[0] == kind);
    match (stream.codec, kind) {
        // A decoder of High 4:4:4 takes what has more bits or colours than High (ITU-T H.264, A.2.11).
        (Codec::H264, 44 | 110 | 122 | 244) => same().or_else(|| find(&|p| p[0] == 244)),
        // Of the others, all of 8 bits and 4:2:0: the same kind, else the most that a baseline decoder is not asked for in vain.
        (Codec::H264, _) => find(&|p| p[..2] == [kind, constraints])
            .or_else(same)
            .or_else(|| find(&|p| p[..2] == [0x42, 0xe0]))
            .or_else(|| find(&|_| true)),
        // Main, a still picture of it, and what does not say: Main 10 holds it.
        (Codec::H265, 0 | 1 | 3) => find(&|p| p[0] == 1).or_else(|| find(&|p| p[0] == 2)),
        // Each profile of AV1 holds those below. What has more bits is another matter.
        (Codec::Av1, _) => {
            find(&|p| p[0] == kind && p[1] >= constraints).or_else(|| find(&|p| p[0] > kind && p[1] >= constraints))
        }
        (Codec::Vp8, _) => find(&|_| true),
        _ => same(),
    }
}

/// A session with this server's candidates, and what its handshake tells.
fn begun(way: Way, codecs: &[Codec], identity: &Identity, now: Instant) -> (Box<Rtc>, Link) {
    let mut rtc = Box::new(config(way, codecs, identity).build(now));
    let link = dtls::made();
    for candidate in identity.candidates() {
        rtc.add_local_candidate(candidate);
    }
    (rtc, link)
}

fn config(way: Way, wanted: &[Codec], identity: &Identity) -> RtcConfig {
    let mut config = RtcConfig::new()
        .set_crypto_provider(Arc::clone(&identity.crypto))
        .set_ice_lite(true)
        // Of what we send ourselves str0m knows nothing, and would keep each report for a sum that it never makes.
        .set_stats_interval(match way {
            Way::In => Some(FIGURES_EVERY),
            Way::Out => None,
            Way::Adapting => Some(LOOK_EVERY),
        })
        .set_rtp_mode(way != Way::In);
    if let Some(cert) = &identity.cert {
        config = config.set_dtls_cert(cert.clone());
    }
    let mut extensions = ExtensionMap::empty();
    extensions.set(4, Extension::RtpMid);
    if way == Way::In {
        // Feedback for the publisher's rate control. Players send none unless there is something to choose: it
        // costs more than the media does.
        extensions.set(3, Extension::TransportSequenceNumber);
        extensions.set(10, Extension::RtpStreamId);
        extensions.set(11, Extension::RepairedRtpStreamId);
        config = config.set_reordering_size_audio(LATE_SOUND);
    } else {
        extensions.set(6, Extension::PlayoutDelay);
        if way == Way::Adapting {
            extensions.set(3, Extension::TransportSequenceNumber);
            config = config.enable_bwe(Some(Bitrate::bps(FIRST)));
        }
        if way == Way::Out {
            // We send ourselves, and what comes back is for us.
            config = config.enable_raw_packets(true);
        }
        // A largest keyframe is kept to be sent again: by str0m where it sends, else by us.
        let kept = if way == Way::Out { 1 } else { MAX_PAYLOADS };
        config = config.set_send_buffer_audio(16).set_send_buffer_video(kept);
        // Browsers bring lips and sound in step once each track has reported twice: after 2 s rather than 10.
        config = config.set_rtcp_report_interval_audio(Duration::from_secs(1));
    }
    config = config.set_extension_map(extensions);
    *config.codec_config() = codecs(way, wanted);
    config
}

/// Opus and the codecs that are wanted, each in every profile that browsers offer. The numbers are only ours until the
/// offer's take their place.
fn codecs(way: Way, wanted: &[Codec]) -> CodecConfig {
    let mut codecs = CodecConfig::empty();
    // Layers are sent by str0m, as they are.
    codecs.enable_opus(true, way != Way::Adapting);
    codecs.enable_vp8(wanted.contains(&Codec::Vp8));
    codecs.enable_vp9(wanted.contains(&Codec::Vp9));
    codecs.enable_av1(wanted.contains(&Codec::Av1));
    codecs.enable_h265(wanted.contains(&Codec::H265));
    more_profiles(&mut codecs, wanted);
    if wanted.contains(&Codec::H264) {
        let profiles = [0x42_e0_1f, 0x42_00_1f, 0x4d_00_1f, 0x64_00_1f, 0x64_0c_1f, 0xf4_00_1f];
        // Fragments first: who offers both modes gets them.
        let modes = [true, false].into_iter().flat_map(|mode| profiles.map(|profile| (mode, profile)));
        for (pt, (mode, profile)) in H264_NUMBERS.into_iter().zip(modes) {
            codecs.add_h264(pt.into(), Some((pt + 1).into()), mode, profile);
        }
    }
    let adjust = |p: &str0m::format::PayloadParams| {
        let mut p = *p;
        p.set_fb_transport_cc(way != Way::Out);
        p.set_fb_remb(false);
        p
    };
    CodecConfig::new_from_payload_params(codecs.params().iter().map(adjust).collect())
}

/// The profiles of more bits and colours that str0m knows but does not enable, under payload types that no other codec is given.
fn more_profiles(codecs: &mut CodecConfig, wanted: &[Codec]) {
    let vp9 = |profile| (RtcCodec::Vp9, FormatParams { profile_id: Some(profile), ..Default::default() });
    let av1 = |profile| (RtcCodec::Av1, FormatParams { profile: Some(profile), ..Default::default() });
    for (pt, (codec, format)) in [(104_u8, vp9(1)), (106, vp9(3)), (108, av1(1)), (116, av1(2))] {
        if wanted.contains(if codec == RtcCodec::Vp9 { &Codec::Vp9 } else { &Codec::Av1 }) {
            codecs.add_config(pt.into(), Some((pt + 1).into()), codec, Frequency::NINETY_KHZ, None, format);
        }
    }
    if wanted.contains(&Codec::H265) {
        // Main 10, at the level that str0m has Main at.
        codecs.add_h265(118.into(), Some(119.into()), 2, 0, 180);
    }
}

/// Payload types that str0m gives to no other codec, as their successors.
const H264_NUMBERS: [u8; 12] = [35, 37, 39, 41, 43, 47, 49, 51, 53, 55, 57, 114];

/// Whether an offer is of a few sizes.
fn has_layers(offer: &str) -> bool {
    let rids = offer.lines().filter(|line| line.starts_with("a=rid:")).count();
    (2..=MOST_LAYERS).contains(&rids)
}

/// The offer without its simulcast layers: the publisher then sends one, the first.
fn one_layer(offer: &str) -> String {
    let layered = |line: &&str| line.starts_with("a=simulcast:") || line.starts_with("a=rid:");
    offer.lines().filter(|l| !layered(l)).flat_map(|l| [l, "\r\n"]).collect()
}

/// The offer with all its tracks in one stream. A viewer's offer names none, and str0m would invent one for each track of its
/// answer; but browsers keep only tracks of one stream in step with each other.
fn one_stream(offer: &str) -> String {
    let mut out = String::with_capacity(offer.len() + 128);
    let mut tracks = 0;
    for line in offer.lines().filter(|l| !l.starts_with("a=msid:")) {
        out.push_str(line);
        out.push_str("\r\n");
        if line.starts_with("a=mid:") {
            out.push_str(&format!("a=msid:live track{tracks}\r\n"));
            tracks += 1;
        }
    }
    out
}

/// What an offer says whose peer leaves it to us who begins the handshake, and what it says where it does not begin itself.
const EITHER: &str = "a=setup:actpass";
const NOT_THE_PEER: &str = "a=setup:passive";

/// A browser's offer as one that waits for us to begin the handshake: libwebrtc keeps what comes early, and answers it two round
/// trips before it would be through with a handshake of its own. Other libraries are known to be slower that way, or not to answer.
fn begun_by_us(offer: String) -> String {
    if is_of_libwebrtc(&offer) { offer.replace(EITHER, NOT_THE_PEER) } else { offer }
}

/// Whether libwebrtc made an offer, told by what it and nothing else writes.
fn is_of_libwebrtc(offer: &str) -> bool {
    let has = |start: &str, end: &str| offer.lines().any(|line| line.starts_with(start) && line.ends_with(end));
    has("o=- ", " IN IP4 127.0.0.1") && has("a=msid-semantic: ", "")
}

/// Whether a browser made an offer, all of which have libwebrtc's decoders.
fn is_of_browser(offer: &str) -> bool {
    is_of_libwebrtc(offer) || offer.lines().any(|line| line.starts_with("o=mozilla"))
}

/// Whether the handshake is ours to begin, by an offer as it was accepted.
pub(super) fn is_ours_to_begin(offer: &str) -> bool {
    offer.lines().any(|line| line == NOT_THE_PEER)
}

/// An offer with other ICE credentials and no candidates.
pub(super) fn with_credentials(offer: &str, ufrag: &str, password: &str) -> String {
    let replaced = offer.lines().filter(|l| !l.starts_with("a=candidate:")).map(|line| match line {
        l if l.starts_with("a=ice-ufrag:") => format!("a=ice-ufrag:{ufrag}\r\n"),
        l if l.starts_with("a=ice-pwd:") => format!("a=ice-pwd:{password}\r\n"),
        l => format!("{l}\r\n"),
    });
    replaced.collect()
}

/// What a trickle ICE fragment (RFC 8840) says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// The peer's ICE user name fragment and password, if given.
    pub creds: Option<(String, String)>,
    /// Candidates in SDP form, without `a=`.
    pub candidates: Vec<String>,
}

impl Fragment {
    /// Reads `application/trickle-ice-sdpfrag`. Lines that mean nothing here are passed over.
    pub fn read(body: &str) -> Result<Self, Refused> {
        if body.len() > MAX_OFFER {
            return Err(Refused::Bad("fragment longer than 64 kB".into()));
        }
        let mut ufrag = None;
        let mut password = None;
        let mut candidates = Vec::new();
        for line in body.lines().map(str::trim) {
            let Some(line) = line.strip_prefix("a=") else { continue };
            if let Some(value) = line.strip_prefix("ice-ufrag:") {
                ufrag.get_or_insert_with(|| value.to_owned());
            } else if let Some(value) = line.strip_prefix("ice-pwd:") {
                password.get_or_insert_with(|| value.to_owned());
            } else if line.starts_with("candidate:") && candidates.len() < 64 {
                candidates.push(line.to_owned());
            }
        }
        let creds = match (ufrag, password) {
            (Some(u), Some(p)) if (4..=256).contains(&u.len()) && (22..=256).contains(&p.len()) => Some((u, p)),
            (None, None) => None,
            _ => return Err(Refused::Bad("ICE credentials are incomplete".into())),
        };
        Ok(Fragment { creds, candidates })
    }

    /// Writes the answer to an ICE restart.
    /// `lines`: what it says of the session, see [`Sdp::fragment`].
    pub(super) fn write(lines: &str, creds: &IceCreds, candidates: &[Candidate]) -> String {
        let mut out = format!("{lines}a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", creds.ufrag, creds.pass);
        for candidate in candidates {
            let line = candidate.to_sdp_string();
            out.push_str(&format!("a={}\r\n", line.trim_start_matches("a=").trim_end()));
        }
        out.push_str("a=end-of-candidates\r\n");
        out
    }
}
