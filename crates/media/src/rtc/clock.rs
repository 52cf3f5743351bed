//! One clock for the tracks of a WebRTC publisher: RTP times, which start anywhere, become microseconds that agree between
//! audio and video. Pure: times are arguments.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::hub::MOST_LAYERS;

/// A sender report: its wall clock and the RTP time of the same moment, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    /// The sender's wall clock.
    pub wall: SystemTime,
    /// The track's RTP time of that moment, in microseconds.
    pub rtp: i64,
}

/// Most that a track is moved with one frame once its reports tell how it lies, in microseconds.
const STEP: i64 = 5_000;
/// Differences of less than this are left alone, in microseconds.
const SLACK: i64 = 3_000;

/// Number of the audio track; pictures have the others, a layer each.
pub(super) const AUDIO: usize = 0;

/// The clocks of all tracks.
#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    tracks: [Track; 1 + MOST_LAYERS],
}

#[derive(Debug, Default, Clone, Copy)]
struct Track {
    /// Stream time minus RTP time, in microseconds.
    offset: Option<i64>,
    /// Wall clock minus RTP time, in microseconds, once a report came.
    wall: Option<i64>,
}

impl Clock {
    /// Stream time is 0 at `start`.
    pub fn new(start: Instant) -> Self {
        Clock { start, tracks: Default::default() }
    }

    /// The stream time in microseconds of a frame of track `number` with RTP time `rtp` (microseconds) that arrived at `arrival`.
    ///
    /// A track is placed by the arrival of its first frame. Once it and the audio track have sent reports, it is moved step
    /// by step to where its reports put it beside the audio track.
    pub fn place(&mut self, number: usize, rtp: i64, arrival: Instant, report: Option<Report>) -> i64 {
        let arrived = i64::try_from(arrival.saturating_duration_since(self.start).as_micros()).unwrap_or(i64::MAX);
        let audio = self.tracks[AUDIO];
        let Some(track) = self.tracks.get_mut(number) else { return arrived };
        let own = track.wall;
        if let Some(report) = report {
            let wall = report.wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_micros();
            track.wall = Some(i64::try_from(wall).unwrap_or(i64::MAX).saturating_sub(report.rtp));
        }
        let offset = *track.offset.get_or_insert(arrived.saturating_sub(rtp));
        if number != AUDIO
            && let (Some(own), Some(other), Some(anchor)) = (own, audio.wall, audio.offset)
        {
            // Stream time minus wall clock is the audio track's to say.
            let wanted = anchor.saturating_sub(other).saturating_add(own);
            let off = wanted.saturating_sub(offset);
            if off.abs() > SLACK {
                track.offset = Some(offset.saturating_add(off.clamp(-STEP, STEP)));
            }
        }
        rtp.saturating_add(track.offset.unwrap_or(offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_that_arrive_apart_are_brought_together_by_reports() {
        let start = Instant::now();
        let mut clock = Clock::new(start);
        let wall = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        // Audio and video of one moment; video's network path is 90 ms longer at first. RTP clocks start anywhere.
        let audio0 = 777_000_000i64;
        let video0 = -5_000_000i64;
        let mut last = 0;
        for i in 0..200i64 {
            let moment = Duration::from_millis(20 * i as u64);
            let report = (i >= 50).then(|| wall + moment);
            let micros = moment.as_micros() as i64;
            let at = |rtp: i64| report.map(|wall| Report { wall, rtp });
            let a = clock.place(AUDIO, audio0 + micros, start + moment, at(audio0 + micros));
            let late = start + moment + Duration::from_millis(90);
            let v = clock.place(1, video0 + micros, late, at(video0 + micros));
            assert_eq!(a, micros);
            assert!(v >= last, "video never steps back");
            last = v;
            if i == 40 {
                assert_eq!(v - a, 90_000);
            }
            if i > 100 {
                assert!((v - a).abs() <= SLACK, "{}", v - a);
            }
        }
    }

    #[test]
    fn absurd_reports_do_not_overflow() {
        let start = Instant::now();
        let mut clock = Clock::new(start);
        for rtp in [i64::MIN, 0, i64::MAX] {
            for number in 0..9 {
                let report = Report { wall: UNIX_EPOCH - Duration::from_secs(9), rtp: i64::MIN };
                clock.place(number, rtp, start, Some(report));
                let report = Report { wall: UNIX_EPOCH + Duration::from_secs(1 << 40), rtp: i64::MAX };
                clock.place(number, rtp, start, Some(report));
            }
        }
    }
}
