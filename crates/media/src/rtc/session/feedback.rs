//! What comes back for a viewer's packets: requests to send again, and reports.

use std::time::Instant;

use str0m::rtp::rtcp::{NackEntry, ReceptionReport, Rtcp};

use super::{Role, Session};
use crate::rtc::outbox::Outbox;
use crate::rtc::redundancy::LOSSY;
use crate::rtc::sender::Reported;

impl Session {
    /// What came back for packets that we sent ourselves.
    pub(in crate::rtc) fn feedback(&mut self, feedback: &Rtcp, outbox: &mut Outbox, now: Instant) {
        match feedback {
            Rtcp::Nack(nack) => {
                let Some(mid) = self.sender.as_ref().and_then(|sender| sender.track_of(*nack.ssrc)) else { return };
                let asked: Vec<u16> = nack.reports.iter().flat_map(numbers).collect();
                self.tally.nacks(asked.len() as u64);
                self.play(outbox, now, |whep, sink| whep.asked(sink, mid, &asked, now));
            }
            Rtcp::ReceiverReport(report) => self.all_reported(&report.reports, now),
            // Of who sends something, too.
            Rtcp::SenderReport(report) => self.all_reported(&report.reports, now),
            _ => {}
        }
    }

    fn all_reported<'a>(&mut self, reports: impl IntoIterator<Item = &'a ReceptionReport>, now: Instant) {
        for report in reports {
            if let Some(one) = self.sender.as_mut().and_then(|sender| sender.reported(report, now)) {
                self.reported(one, now);
            }
        }
    }

    /// What a viewer reports of a track.
    pub(super) fn reported(&mut self, one: Reported, now: Instant) {
        if let Role::Play { whep, .. } = &mut self.role {
            if whep.is_video(one.mid) {
                whep.reported(one, now);
            } else if let Some(sender) = &mut self.sender
                && one.loss.is_some_and(|loss| loss >= LOSSY)
                && !whep.congestion.is_narrow()
            {
                sender.protect(one.mid, now);
            }
        }
        self.tally.round_trip(one.round_trip);
        self.tally.loss(one.loss);
    }
}

/// RFC 4585 §6.2.1: a number, and a bit for each of the sixteen after it.
pub(in crate::rtc) fn numbers(entry: &NackEntry) -> impl Iterator<Item = u16> + use<> {
    let first = entry.pid;
    let more = entry.blp;
    (0..=16).filter(move |n| *n == 0 || more >> (n - 1) & 1 == 1).map(move |n| first.wrapping_add(n))
}
