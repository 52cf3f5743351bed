//! The tasks of readers that wait, woken all at once outside the stream's lock.

use std::task::Waker;

#[derive(Default)]
pub(super) struct Wakers {
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Wakers {
    /// A place for one reader.
    pub fn join(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    pub fn leave(&mut self, slot: usize) {
        self.slots[slot] = None;
        self.free.push(slot);
        if self.free.len() == self.slots.len() {
            *self = Wakers::default();
        }
    }

    pub fn register(&mut self, slot: usize, waker: &Waker) {
        match &mut self.slots[slot] {
            Some(old) => old.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
    }

    /// Readers now, waiting or not.
    pub fn readers(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn take(&mut self) -> Vec<Waker> {
        self.slots.iter_mut().filter_map(Option::take).collect()
    }
}
