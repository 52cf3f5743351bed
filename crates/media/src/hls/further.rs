//! Further tracks of sound beside a stream's segments: cut where those are, written to files of their own. Where such a track
//! stays away while there are pictures, silence stands for it.

use std::sync::Arc;

use super::segment::Further as Files;
use crate::filler::Filler;
use crate::fmp4::Muxer;
use crate::frame::{Codec, Frame, Kind, is_same};

/// One track.
struct Track {
    number: u8,
    /// As that of a first track.
    config: Arc<Frame>,
    filler: Filler,
    muxer: Option<Muxer>,
}

/// The further tracks of one stream, in the codec that every HLS player takes; others are left out.
#[derive(Default)]
pub(super) struct Further {
    tracks: Vec<Track>,
}

impl Track {
    fn new(number: u8, config: Arc<Frame>) -> Self {
        let filler = Filler::new(Some(&config), true);
        Track { number, config, filler, muxer: None }
    }

    fn take(&mut self, frame: &Arc<Frame>) {
        let mut filled = Vec::new();
        self.filler.pass(frame, &mut filled);
        let Some(muxer) = &mut self.muxer else { return };
        filled.iter().chain([frame]).filter(|frame| frame.kind == Kind::Audio).for_each(|frame| muxer.push(frame));
    }
}

/// The frame as one of a first track: each file has only one.
fn alone(frame: &Arc<Frame>) -> Arc<Frame> {
    Arc::new(frame.at(frame.dts).of_track(0))
}

impl Further {
    /// The numbers of the tracks.
    pub fn numbers(&self) -> impl Iterator<Item = (u8, &Frame)> {
        self.tracks.iter().map(|track| (track.number, &*track.config))
    }

    /// A track begins, or is another from now on: says whether it was there before.
    pub fn configure(&mut self, config: &Arc<Frame>) -> bool {
        if config.codec != Codec::Aac {
            return false;
        }
        match self.tracks.binary_search_by_key(&config.track, |track| track.number) {
            Ok(at) if is_same(Some(&self.tracks[at].config), Some(config)) => false,
            Ok(at) => {
                self.tracks[at] = Track::new(config.track, alone(config));
                true
            }
            Err(at) => {
                self.tracks.insert(at, Track::new(config.track, alone(config)));
                false
            }
        }
    }

    /// Begins to write what is not written yet, from `origin` on: what it is read with.
    pub fn begin(&mut self, origin: i64) -> Files {
        let mut inits = Vec::new();
        for track in self.tracks.iter_mut().filter(|track| track.muxer.is_none()) {
            track.muxer = Muxer::new(None, Some(&track.config), origin);
            inits.extend(track.muxer.as_ref().map(|muxer| (track.number, muxer.init())));
        }
        inits
    }

    /// What follows continues nothing.
    pub fn interrupt(&mut self) {
        self.tracks.iter_mut().for_each(|track| track.muxer = None);
    }

    /// What follows is of another time.
    pub fn resume(&mut self) {
        self.tracks.iter_mut().for_each(|track| *track = Track::new(track.number, Arc::clone(&track.config)));
    }

    /// Takes a frame: of one of the tracks, or a picture, by whose time sound is missed.
    pub fn push(&mut self, frame: &Arc<Frame>) {
        if frame.kind == Kind::Video {
            self.tracks.iter_mut().for_each(|track| track.take(frame));
        } else if let Some(track) = self.tracks.iter_mut().find(|track| track.number == frame.track)
            && frame.codec == track.config.codec
        {
            track.take(&alone(frame));
        }
    }

    /// What came of each track and begins before `until`.
    pub fn cut(&mut self, until: i64) -> Files {
        let written = |track: &mut Track| Some((track.number, track.muxer.as_mut()?.cut_sound_until(until)?.bytes));
        self.tracks.iter_mut().filter_map(written).collect()
    }
}
