//! Where a viewer's packets go: out at once, numbered and sealed by us, or into str0m, which paces them by what it estimates.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::media::{Frequency, MediaTime};
use str0m::rtp::{ExtensionValues, RtpWrite, SeqNo, Ssrc, StreamTx};

use super::offer::Track;
use super::outbox::{Destination, Outbox};
use super::sender::{Again, Piece, Sender};

/// One outgoing track.
pub(super) struct Out {
    pub track: Track,
    /// Where str0m numbers nothing itself: what it is known by there, and its next packet's number.
    ssrc: Option<Ssrc>,
    next: u64,
}

impl Out {
    /// `seed` makes numbers start anywhere below 32768.
    pub fn new(track: Track, seed: u16) -> Self {
        Out { track, ssrc: None, next: u64::from(seed & 0x7fff) }
    }
}

/// Where packets go.
pub(super) enum Sink<'a> {
    /// Into str0m, for viewers whose network is estimated by what they report of each packet.
    Machine(&'a mut Rtc),
    /// Out.
    Own(&'a mut Sender, &'a mut Outbox, Destination),
}

impl Sink<'_> {
    /// Sends one packet of a track.
    pub fn send(&mut self, out: &mut Out, piece: &Piece<'_>, now: Instant) {
        match self {
            Sink::Own(sender, outbox, to) => sender.send(outbox, *to, out.track.mid, piece, now),
            Sink::Machine(rtc) => {
                let mut direct = rtc.direct_api();
                let stream = match out.ssrc {
                    Some(ssrc) => direct.stream_tx(&ssrc),
                    None => direct.stream_tx_by_mid(out.track.mid, None),
                };
                let Some(stream) = stream else { return };
                out.ssrc = Some(stream.ssrc());
                let number: SeqNo = out.next.into();
                out.next += 1;
                let packet = RtpWrite::new(out.track.pt, number, piece.time, piece.wall, piece.payload.clone());
                let packet = packet.marker(piece.marker).nackable(out.track.is_video);
                stream.write_rtp(match piece.delay {
                    Some(delay) => packet.ext_vals(playout(delay)),
                    None => packet,
                });
            }
        }
    }

    /// Sends a packet again, see [`Sender::resend`].
    pub fn resend(&mut self, out: &Out, number: u16, again: Again<impl FnOnce(usize) -> usize>, now: Instant) -> bool {
        match self {
            Sink::Own(sender, outbox, to) => sender.resend(outbox, *to, out.track.mid, number, again, now),
            Sink::Machine(_) => false,
        }
    }

    /// How long the oldest packet of a track waits to be sent.
    pub fn waits(&mut self, out: &Out, now: Instant) -> Duration {
        let (Sink::Machine(rtc), Some(ssrc)) = (self, out.ssrc) else { return Duration::ZERO };
        let mut direct = rtc.direct_api();
        let first = direct.stream_tx(&ssrc).and_then(|stream: &mut StreamTx| stream.queue_info()?.first_unsent());
        first.map_or(Duration::ZERO, |first| now.saturating_duration_since(first))
    }
}

/// Tells a player how long to hold pictures back.
fn playout(delay: Duration) -> ExtensionValues {
    let most = MediaTime::new(10_000, Frequency::MILLIS);
    let least = MediaTime::new(u64::try_from(delay.as_millis()).unwrap_or(0), Frequency::MILLIS);
    ExtensionValues { play_delay_min: Some(least), play_delay_max: Some(most), ..Default::default() }
}
