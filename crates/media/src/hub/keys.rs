//! The wish for a keyframe: any number of readers have it, the publisher hears of it once. Knows no frames.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

#[derive(Default)]
pub(super) struct Keys {
    wanted: AtomicBool,
    asked: Notify,
}

impl Keys {
    /// A reader wants a keyframe.
    pub fn ask(&self) {
        if !self.wanted.swap(true, Ordering::Relaxed) {
            self.asked.notify_one();
        }
    }

    /// A keyframe came.
    pub fn met(&self) {
        if self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(false, Ordering::Relaxed);
        }
    }

    /// Waits until a keyframe is wanted. Cancel safe.
    pub async fn wanted(&self) {
        loop {
            self.asked.notified().await;
            // The wish may have been met before it was heard.
            if self.wanted.swap(false, Ordering::Relaxed) {
                return;
            }
        }
    }
}
