//! How many pictures went by since the last keyframe, as far as it matters to who changes a stream's configuration. Knows no
//! streams.

/// Pictures after a keyframe before another configuration may follow. The FLV players that feed Media Source Extensions
/// (flv.js, mpegts.js) hold their last pictures back and decode them with the configuration that comes behind: a picture that
/// leans on others is dropped there, a keyframe ends the player.
const ENOUGH: u8 = 2;

/// Counts up to what is enough.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SinceKey(u8);

impl Default for SinceKey {
    /// There was no keyframe.
    fn default() -> Self {
        SinceKey(ENOUGH)
    }
}

impl SinceKey {
    /// These pictures follow, in this order: whether each is a keyframe. Looks at no more of them than it must.
    pub fn count(&mut self, keys: impl DoubleEndedIterator<Item = bool>) {
        let mut newer = 0;
        for is_key in keys.rev() {
            if is_key {
                self.0 = newer;
                return;
            }
            newer += 1;
            if newer == ENOUGH {
                break;
            }
        }
        self.0 = ENOUGH.min(self.0 + newer);
    }

    /// Whether another configuration may follow.
    pub fn may_change(self) -> bool {
        self.0 == ENOUGH
    }
}
