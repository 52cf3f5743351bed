//! Readers that came before their publisher.

use std::sync::Arc;

use tokio::sync::Notify;

use super::Inner;
use crate::name::StreamName;

/// A reader's place among those that wait for a publisher; the last to leave takes the entry away.
pub(super) struct Place<'a> {
    inner: &'a Inner,
    name: &'a StreamName,
    pub notify: Arc<Notify>,
}

impl<'a> Place<'a> {
    pub fn take(inner: &'a Inner, name: &'a StreamName) -> Self {
        let notify = Arc::clone(inner.waiting.lock().entry(name.clone()).or_default());
        Place { inner, name, notify }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.inner.waiting.lock();
        // This place and the table's: nobody else is left. (The table may meanwhile hold another publisher's waiters.)
        let last = waiting.get(self.name).is_some_and(|n| Arc::ptr_eq(n, &self.notify))
            && Arc::strong_count(&self.notify) == 2;
        if last {
            waiting.remove(self.name);
        }
    }
}
