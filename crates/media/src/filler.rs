//! Keeps the promise of a track to players that stop at the end of any track: silence where sound stays away, the last
//! keyframe once more where pictures do. Pure: knows no time but that of the frames.

use std::sync::Arc;

use bytes::Bytes;

use crate::frame::{Codec, Frame, Kind};
use crate::silence;

/// Sound that stays behind the pictures by this much more than before is filled, in microseconds.
const PATIENCE: i64 = 300_000;
/// Likewise pictures, which may be few.
const PATIENCE_STILL: i64 = 1_000_000;
/// The longest that a track is waited for which came after all before, in microseconds.
const MOST_PATIENCE: i64 = 8_000_000;
/// How often the last keyframe is repeated, in microseconds.
const STILL: i64 = 240_000;
/// Most that is filled at once, in microseconds: what is missing beyond is a gap of all tracks.
const MOST: i64 = 10_000_000;

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on, behind what was filled in.
    Pass,
    /// Something stands in its place already, or it cannot be decoded behind that.
    Drop,
}

/// Fills what is missing of the tracks that a player was promised.
pub(crate) struct Filler {
    sound: Option<Sound>,
    pictures: Option<Pictures>,
}

struct Sound {
    codec: Codec,
    silence: (Bytes, i64),
    /// Where the next frame belongs.
    end: Option<i64>,
    /// How far behind the newest picture the last frame came.
    lag: i64,
    filling: bool,
    /// A frame came.
    heard: bool,
    patience: i64,
}

struct Pictures {
    key: Option<Arc<Frame>>,
    last: Option<i64>,
    /// How far behind the newest sound the last picture came.
    lag: i64,
    /// The last keyframe stands where pictures should: what follows cannot be decoded before the next.
    still: bool,
    patience: i64,
}

impl Filler {
    /// For the sound that this configuration describes, and for pictures.
    pub fn new(audio: Option<&Frame>, video: bool) -> Self {
        let mut filler = Filler { sound: None, pictures: None };
        filler.promise(audio, video);
        filler
    }

    /// Promises these tracks from now on, too. A track that was promised stays so.
    pub fn promise(&mut self, audio: Option<&Frame>, video: bool) {
        if let Some(config) = audio {
            let (end, lag) = self.sound.as_ref().map_or((None, 0), |sound| (sound.end, sound.lag));
            let codec = config.codec;
            self.sound = silence::frame(config).map(|silence| Sound {
                codec,
                silence,
                end,
                lag,
                filling: false,
                heard: false,
                patience: PATIENCE,
            });
        }
        if video {
            self.pictures.get_or_insert(Pictures {
                key: None,
                last: None,
                lag: 0,
                still: false,
                patience: PATIENCE_STILL,
            });
        }
    }

    /// Whether there is a picture to show where others should be.
    pub fn has_picture(&self) -> bool {
        self.pictures.as_ref().is_some_and(|pictures| pictures.key.is_some())
    }

    /// Pictures of another kind come: none of before is shown any more, and what comes takes nobody's place.
    pub fn forget_picture(&mut self) {
        if let Some(pictures) = &mut self.pictures {
            pictures.key = None;
            pictures.still = false;
        }
    }

    /// Shows this keyframe until pictures come.
    pub fn begin_with(&mut self, key: Arc<Frame>) {
        self.promise(None, true);
        if let Some(pictures) = &mut self.pictures {
            pictures.last = Some(key.dts);
            pictures.key = Some(key);
            pictures.still = true;
        }
    }

    /// Appends to `out` what is to go before this frame, and says what becomes of the frame itself.
    pub fn pass(&mut self, frame: &Arc<Frame>, out: &mut Vec<Arc<Frame>>) -> Verdict {
        match frame.kind {
            _ if frame.is_further() => Verdict::Pass,
            Kind::Audio => self.sound(frame, out),
            Kind::Video => self.picture(frame, out),
            _ => Verdict::Pass,
        }
    }

    fn sound(&mut self, frame: &Arc<Frame>, out: &mut Vec<Arc<Frame>>) -> Verdict {
        let newest = self.pictures.as_ref().and_then(|pictures| pictures.last);
        if let Some(sound) = self.sound.as_mut().filter(|sound| sound.codec == frame.codec) {
            sound.lag = newest.map_or(0, |newest| (newest - frame.dts).max(0));
            let unit = sound.silence.1;
            let filled = std::mem::take(&mut sound.filling);
            if !std::mem::replace(&mut sound.heard, true)
                && !filled
                && let Some(pictures) = &mut self.pictures
            {
                // It may be stamped seconds ahead.
                pictures.lag = newest.map_or(0, |newest| (frame.dts - newest).max(0));
            }
            if filled && sound.end.is_some_and(|end| frame.dts < end - unit) {
                // It was only late.
                sound.patience = (2 * sound.patience).min(MOST_PATIENCE);
            }
            if sound.patience > PATIENCE && sound.end.is_some_and(|end| frame.dts < end - unit) {
                return Verdict::Drop;
            }
            if filled {
                sound.fill(frame.dts, out);
            }
            sound.end = Some(frame.dts + unit);
        }
        let Some(pictures) = &mut self.pictures else { return Verdict::Pass };
        let (Some(last), Some(key)) = (pictures.last, &pictures.key) else { return Verdict::Pass };
        let until = frame.dts - pictures.lag;
        let missing = until - last;
        let is_gap = missing.abs() >= MOST;
        if is_gap && !pictures.still {
            // Of all tracks: these are waited for from here on.
            pictures.last = Some(until);
        } else if is_gap || (!pictures.still && missing > pictures.patience) {
            out.push(Arc::new(key.at(until)));
            pictures.last = Some(until);
            pictures.still = true;
        } else if pictures.still {
            // In steps of their own, not in those of sound: two of them fill a part of HLS. Behind a hole of both no more than that.
            let steps = missing / STILL;
            pictures.last = Some(last + steps.max(0) * STILL);
            out.extend((1.max(steps - 1)..=steps).map(|step| Arc::new(key.at(last + step * STILL))));
        }
        Verdict::Pass
    }

    fn picture(&mut self, frame: &Arc<Frame>, out: &mut Vec<Arc<Frame>>) -> Verdict {
        let Some(pictures) = &mut self.pictures else { return Verdict::Pass };
        if pictures.still && !frame.key || pictures.last.is_some_and(|last| pictures.still && frame.dts <= last) {
            return Verdict::Drop;
        }
        if std::mem::take(&mut pictures.still) {
            // They may be as few as that.
            pictures.patience = (2 * pictures.patience).min(MOST_PATIENCE);
        }
        if frame.key {
            pictures.key = Some(Arc::clone(frame));
        }
        let hole = pictures.last.is_some_and(|last| frame.dts - last > PATIENCE_STILL);
        pictures.last = Some(frame.dts);
        let Some(sound) = &mut self.sound else { return Verdict::Pass };
        let end = *sound.end.get_or_insert(frame.dts);
        pictures.lag = (end - frame.dts).max(0);
        let missing = frame.dts - sound.lag - end;
        // Where the pictures have a hole, too, sound has the time that it had before.
        if sound.filling || (missing > sound.patience && !hole) {
            sound.filling = true;
            sound.fill(frame.dts - sound.lag, out);
        }
        Verdict::Pass
    }
}

impl Sound {
    /// Fills with silence up to `until`.
    fn fill(&mut self, until: i64, out: &mut Vec<Arc<Frame>>) {
        let Some(mut end) = self.end else { return };
        if until - end > MOST {
            end = until - self.silence.1;
        }
        while end + self.silence.1 <= until {
            out.push(Arc::new(Frame::audio(self.codec, end, self.silence.0.clone())));
            end += self.silence.1;
        }
        self.end = Some(end);
    }
}

#[cfg(test)]
mod tests;
