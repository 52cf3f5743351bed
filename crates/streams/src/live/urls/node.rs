//! What one node of an installation asks of another: signed with a key that only nodes have.

use room::Millis;
use sign::stream_url::Query;
use sign::{Invalid, push_url};

use super::Urls;

/// Seconds for which a query that pulls a stream is good.
const PULL: u64 = 60;

impl Urls {
    /// The query with which one node pulls a stream from another, for a minute.
    #[must_use]
    pub fn pull_query(&self, stream: &str, now: Millis) -> String {
        self.keys.node.sign(stream, now.secs().saturating_add(PULL))
    }

    /// Whether this query is a node's.
    ///
    /// # Errors
    /// Why not.
    pub fn may_pull(&self, stream: &str, query: &str, now: Millis) -> Result<u64, Invalid> {
        // Clocks of nodes differ a little.
        let ends = now.secs()..=now.secs().saturating_add(2 * PULL);
        push_url::verify(
            stream,
            &Query::parse(query)?,
            &[&self.keys.node.secret, &self.backup.read().node.secret],
            ends,
        )
    }
}
